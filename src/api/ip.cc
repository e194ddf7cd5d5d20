#include "api/ip.h"

#include <vector>

#include "base/format.h"

namespace knarr::api {
namespace {

// A decimal number without leading zeros, at most `max`; -1 when it is not one.
int parse_decimal(std::string_view text, int max) {
  if (text.empty() || text.size() > 3 || (text.size() > 1 && text[0] == '0')) return -1;
  int value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value <= max ? value : -1;
}

bool parse_v4(std::string_view text, uint8_t* out) {
  for (int i = 0; i < 4; i++) {
    size_t dot = i < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos) return false;
    int value = parse_decimal(text.substr(0, dot), 255);
    if (value < 0) return false;
    out[i] = static_cast<uint8_t>(value);
    text.remove_prefix(i < 3 ? dot + 1 : dot);
  }
  return true;
}

int parse_hex(std::string_view text) {
  if (text.empty() || text.size() > 4) return -1;
  int value = 0;
  for (char c : text) {
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

// The groups of one side of "::", appended as bytes. Only the last may be a v4 address.
bool parse_groups(std::string_view text, bool last_side, std::vector<uint8_t>& out) {
  if (text.empty()) return true;
  for (;;) {
    size_t colon = text.find(':');
    std::string_view group = text.substr(0, colon);
    bool last = colon == std::string_view::npos;
    if (last && last_side && group.find('.') != std::string_view::npos) {
      uint8_t v4[4];
      if (!parse_v4(group, v4)) return false;
      out.insert(out.end(), v4, v4 + 4);
      return true;
    }
    int value = parse_hex(group);
    if (value < 0) return false;
    out.push_back(static_cast<uint8_t>(value >> 8));
    out.push_back(static_cast<uint8_t>(value & 255));
    if (last) return true;
    text.remove_prefix(colon + 1);
  }
}

bool parse_v6(std::string_view text, std::array<uint8_t, 16>& out) {
  std::vector<uint8_t> head;
  std::vector<uint8_t> tail;
  size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    if (!parse_groups(text, true, head) || head.size() != 16) return false;
  } else {
    std::string_view after = text.substr(gap + 2);
    if (after.find("::") != std::string_view::npos) return false;
    if (!parse_groups(text.substr(0, gap), false, head) || !parse_groups(after, true, tail)) {
      return false;
    }
    if (head.size() + tail.size() > 14) return false;
  }
  out.fill(0);
  std::copy(head.begin(), head.end(), out.begin());
  std::copy(tail.begin(), tail.end(), out.end() - static_cast<std::ptrdiff_t>(tail.size()));
  return true;
}

std::string text_v6(const std::array<uint8_t, 16>& bytes) {
  int groups[8];
  for (size_t i = 0; i < 8; i++) groups[i] = bytes[2 * i] << 8 | bytes[2 * i + 1];
  int best = -1;
  int best_length = 1;  // a single zero group is not shortened
  for (int i = 0; i < 8; i++) {
    int length = 0;
    while (i + length < 8 && groups[i + length] == 0) length++;
    if (length > best_length) {
      best = i;
      best_length = length;
    }
  }
  std::string out;
  for (int i = 0; i < 8; i++) {
    if (i == best) {
      out += "::";
      i += best_length - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    out += fmt::format("{:x}", groups[i]);
  }
  return out;
}

bool same_prefix(const IpAddress& a, const IpAddress& b, int prefix) {
  if (a.v6 != b.v6) return false;
  for (int i = 0; i < prefix; i++) {
    auto at = static_cast<size_t>(i / 8);
    int mask = 0x80 >> (i % 8);
    if (((a.bytes[at] ^ b.bytes[at]) & mask) != 0) return false;
  }
  return true;
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  IpAddress ip;
  if (text.find(':') == std::string_view::npos) {
    if (!parse_v4(text, ip.bytes.data())) return std::nullopt;
    return ip;
  }
  ip.v6 = true;
  if (!parse_v6(text, ip.bytes)) return std::nullopt;
  return ip;
}

std::string IpAddress::text() const {
  if (!v6) return fmt::format("{}.{}.{}.{}", bytes[0], bytes[1], bytes[2], bytes[3]);
  if (is_v4_mapped()) {
    return fmt::format("::ffff:{}.{}.{}.{}", bytes[12], bytes[13], bytes[14], bytes[15]);
  }
  return text_v6(bytes);
}

bool IpAddress::is_v4_mapped() const {
  if (!v6 || bytes[10] != 0xff || bytes[11] != 0xff) return false;
  for (size_t i = 0; i < 10; i++) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

bool IpAddress::is_unspecified() const {
  for (uint8_t byte : bytes) {
    if (byte != 0) return false;
  }
  return true;
}

bool IpAddress::is_loopback() const {
  if (!v6) return bytes[0] == 127;
  IpAddress one;
  one.v6 = true;
  one.bytes[15] = 1;
  return *this == one;
}

bool IpAddress::is_link_local_unicast() const {
  return v6 ? bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80 : bytes[0] == 169 && bytes[1] == 254;
}

bool IpAddress::is_link_local_multicast() const {
  return v6 ? bytes[0] == 0xff && (bytes[1] & 0x0f) == 0x02
            : bytes[0] == 224 && bytes[1] == 0 && bytes[2] == 0;
}

bool IpAddress::is_multicast() const { return v6 ? bytes[0] == 0xff : (bytes[0] & 0xf0) == 0xe0; }

std::optional<IpAddress> IpAddress::plus(uint64_t offset) const {
  IpAddress out = *this;
  unsigned carry = 0;
  for (size_t i = v6 ? 16 : 4; i-- > 0;) {
    unsigned sum = out.bytes[i] + static_cast<unsigned>(offset & 255) + carry;
    out.bytes[i] = static_cast<uint8_t>(sum & 255);
    carry = sum >> 8;
    offset >>= 8;
  }
  if (carry != 0 || offset != 0) return std::nullopt;
  return out;
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
  size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  int prefix = parse_decimal(text.substr(slash + 1), address->bits());
  if (prefix < 0) return std::nullopt;
  return Cidr{*address, prefix};
}

std::string Cidr::text() const { return fmt::format("{}/{}", address.text(), prefix); }

IpAddress Cidr::network() const {
  IpAddress out = address;
  for (int i = prefix; i < out.bits(); i++) {
    out.bytes[static_cast<size_t>(i / 8)] &= static_cast<uint8_t>(~(0x80 >> (i % 8)));
  }
  return out;
}

IpAddress Cidr::last() const {
  IpAddress out = address;
  for (int i = prefix; i < out.bits(); i++) {
    out.bytes[static_cast<size_t>(i / 8)] |= static_cast<uint8_t>(0x80 >> (i % 8));
  }
  return out;
}

bool Cidr::contains(const IpAddress& ip) const { return same_prefix(address, ip, prefix); }

bool Cidr::contains(const Cidr& other) const {
  return prefix <= other.prefix && contains(other.address);
}

bool Cidr::overlaps(const Cidr& other) const { return contains(other) || other.contains(*this); }

}  // namespace knarr::api
