#include "net/dns.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <map>

namespace knarr::net::dns {

namespace {

constexpr size_t kHeaderBytes = 12;
constexpr size_t kMaxNameBytes = 255;

Error bad(const char* why) { return make_error(Code::kBadRequest, std::string("dns: ") + why); }

struct Reader {
  std::string_view bytes;
  size_t at = 0;

  bool has(size_t n) const { return bytes.size() - at >= n; }
  uint8_t byte(size_t i) const { return static_cast<uint8_t>(bytes[i]); }
  Result<uint16_t> u16() {
    if (!has(2)) return bad("message is cut");
    at += 2;
    return static_cast<uint16_t>(byte(at - 2) << 8 | byte(at - 1));
  }
  Result<uint32_t> u32() {
    TRY_ASSIGN(uint16_t high, u16());
    TRY_ASSIGN(uint16_t low, u16());
    return static_cast<uint32_t>(high) << 16 | low;
  }
  Result<std::string> name();
};

void append_label(std::string& out, std::string_view label) {
  if (!out.empty()) out += '.';
  for (char c : label) {
    auto u = static_cast<unsigned char>(c);
    if (c == '.' || c == '\\') {
      out += '\\';
      out += c;
    } else if (u <= ' ' || u >= 127) {
      char text[8];
      snprintf(text, sizeof text, "\\%03u", u);
      out += text;
    } else {
      out += c;
    }
  }
}

// A pointer must lead before the place where the name it continues began, so there is an end.
Result<std::string> Reader::name() {
  std::string out;
  size_t pos = at;
  size_t start = at;
  size_t used = 1;
  bool jumped = false;
  while (true) {
    if (pos >= bytes.size()) return bad("name is cut");
    uint8_t size = byte(pos);
    if (size == 0) {
      if (!jumped) at = pos + 1;
      return out;
    }
    if ((size & 0xc0) == 0xc0) {
      if (pos + 1 >= bytes.size()) return bad("name is cut");
      size_t target = static_cast<size_t>(size & 0x3f) << 8 | byte(pos + 1);
      if (target >= start) return bad("compression pointer leads forwards");
      if (!jumped) at = pos + 2;
      jumped = true;
      pos = start = target;
      continue;
    }
    if ((size & 0xc0) != 0) return bad("unknown label type");
    used += size + 1U;
    if (used > kMaxNameBytes) return bad("name is too long");
    if (pos + 1 + size > bytes.size()) return bad("name is cut");
    append_label(out, bytes.substr(pos + 1, size));
    pos += size + 1U;
  }
}

Result<decltype(Record::data)> read_data(Reader& r, uint16_t type, size_t end) {
  std::string_view raw = r.bytes.substr(r.at, end - r.at);
  switch (type) {
    case kA:
    case kAaaa: {
      if (raw.size() != (type == kA ? 4U : 16U)) return bad("bad address length");
      char text[INET6_ADDRSTRLEN];
      inet_ntop(type == kA ? AF_INET : AF_INET6, raw.data(), text, sizeof text);
      r.at = end;
      return {Address{text}};
    }
    case kNs:
    case kCname:
    case kPtr: {
      TRY_ASSIGN(std::string name, r.name());
      return {Name{std::move(name)}};
    }
    case kSoa: {
      Soa soa;
      TRY_ASSIGN(soa.primary, r.name());
      TRY_ASSIGN(soa.mailbox, r.name());
      TRY_ASSIGN(soa.serial, r.u32());
      TRY_ASSIGN(soa.refresh, r.u32());
      TRY_ASSIGN(soa.retry, r.u32());
      TRY_ASSIGN(soa.expire, r.u32());
      TRY_ASSIGN(soa.minimum, r.u32());
      return {std::move(soa)};
    }
    case kSrv: {
      Srv srv;
      TRY_ASSIGN(srv.priority, r.u16());
      TRY_ASSIGN(srv.weight, r.u16());
      TRY_ASSIGN(srv.port, r.u16());
      TRY_ASSIGN(srv.target, r.name());
      return {std::move(srv)};
    }
    case kTxt: {
      Txt txt;
      while (r.at < end) {
        size_t size = r.byte(r.at);
        if (end - r.at - 1 < size) return bad("text is cut");
        txt.strings.emplace_back(r.bytes.substr(r.at + 1, size));
        r.at += size + 1;
      }
      return {std::move(txt)};
    }
    default: r.at = end; return {Raw{std::string(raw)}};
  }
}

void read_opt(Message& m, uint16_t klass, uint32_t ttl, std::string options) {
  m.has_edns = true;
  m.edns.udp_size = klass;
  m.edns.version = static_cast<uint8_t>(ttl >> 16);
  m.edns.dnssec_ok = (ttl & 0x8000) != 0;
  m.edns.options = std::move(options);
  m.rcode = static_cast<uint8_t>(m.rcode | (ttl >> 24) << 4);
}

Result<void> read_section(Reader& r, int count, std::vector<Record>& out, Message& m,
                          bool additional) {
  for (int i = 0; i < count; i++) {
    Record record;
    TRY_ASSIGN(record.name, r.name());
    TRY_ASSIGN(record.type, r.u16());
    TRY_ASSIGN(record.klass, r.u16());
    TRY_ASSIGN(record.ttl_seconds, r.u32());
    TRY_ASSIGN(uint16_t size, r.u16());
    if (!r.has(size)) return bad("record is cut");
    size_t end = r.at + size;
    if (record.type == kOpt && additional) {
      if (m.has_edns || !record.name.empty()) return bad("bad OPT record");
      read_opt(m, record.klass, record.ttl_seconds, std::string(r.bytes.substr(r.at, size)));
      r.at = end;
      continue;
    }
    TRY_ASSIGN(record.data, read_data(r, record.type, end));
    if (r.at != end) return bad("record length is wrong");
    out.push_back(std::move(record));
  }
  return {};
}

struct Writer {
  std::string out;
  std::map<std::string, size_t> names;  // lower-cased suffixes that were written, and where

  void u16(size_t v) {
    out += static_cast<char>(v >> 8);
    out += static_cast<char>(v);
  }
  void u32(uint32_t v) {
    u16(v >> 16);
    u16(v & 0xffff);
  }
  void name(std::string_view text, bool compress);
  void data(const Record& record);
  void record(const Record& record);
};

// The labels of a name as text, unescaped.
std::vector<std::string> labels(std::string_view text) {
  std::vector<std::string> out;
  std::string label;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '.') {
      if (!label.empty()) out.push_back(std::move(label));
      label.clear();
    } else if (text[i] == '\\' && i + 3 < text.size() && isdigit(text[i + 1]) != 0 &&
               isdigit(text[i + 2]) != 0 && isdigit(text[i + 3]) != 0) {
      label += static_cast<char>((text[i + 1] - '0') * 100 + (text[i + 2] - '0') * 10 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else if (text[i] == '\\' && i + 1 < text.size()) {
      label += text[++i];
    } else {
      label += text[i];
    }
  }
  if (!label.empty()) out.push_back(std::move(label));
  return out;
}

void Writer::name(std::string_view text, bool compress) {
  std::vector<std::string> parts = labels(text);
  for (size_t i = 0; i < parts.size(); i++) {
    std::string suffix;
    for (size_t k = i; k < parts.size(); k++) {
      suffix += static_cast<char>(parts[k].size());
      for (char c : parts[k]) suffix += static_cast<char>(tolower(static_cast<unsigned char>(c)));
    }
    auto known = names.find(suffix);
    if (compress && known != names.end()) return u16(0xc000 | known->second);
    if (out.size() < 0x4000) names.emplace(std::move(suffix), out.size());
    std::string_view label = std::string_view(parts[i]).substr(0, 63);
    out += static_cast<char>(label.size());
    out += label;
  }
  out += '\0';
}

void Writer::data(const Record& record) {
  if (const auto* address = std::get_if<Address>(&record.data)) {
    unsigned char bytes[16] = {};
    inet_pton(record.type == kA ? AF_INET : AF_INET6, address->text.c_str(), bytes);
    out.append(reinterpret_cast<char*>(bytes), record.type == kA ? 4 : 16);
  } else if (const auto* target = std::get_if<Name>(&record.data)) {
    name(target->name, true);
  } else if (const auto* soa = std::get_if<Soa>(&record.data)) {
    name(soa->primary, true);
    name(soa->mailbox, true);
    for (uint32_t v : {soa->serial, soa->refresh, soa->retry, soa->expire, soa->minimum}) u32(v);
  } else if (const auto* srv = std::get_if<Srv>(&record.data)) {
    for (uint16_t v : {srv->priority, srv->weight, srv->port}) u16(v);
    name(srv->target, false);  // RFC 2782
  } else if (const auto* txt = std::get_if<Txt>(&record.data)) {
    for (const std::string& s : txt->strings) {
      std::string_view part = std::string_view(s).substr(0, 255);
      out += static_cast<char>(part.size());
      out += part;
    }
  } else if (const auto* raw = std::get_if<Raw>(&record.data)) {
    out += raw->bytes;
  }
}

void Writer::record(const Record& r) {
  name(r.name, true);
  u16(r.type);
  u16(r.klass);
  u32(r.ttl_seconds);
  u16(0);
  size_t at = out.size();
  data(r);
  size_t size = out.size() - at;
  out[at - 2] = static_cast<char>(size >> 8);
  out[at - 1] = static_cast<char>(size);
}

std::string opt_record(const Message& m) {
  Writer w;
  w.out += '\0';
  w.u16(kOpt);
  w.u16(m.edns.udp_size);
  w.u32(static_cast<uint32_t>(m.rcode >> 4) << 24 | static_cast<uint32_t>(m.edns.version) << 16 |
        (m.edns.dnssec_ok ? 0x8000U : 0U));
  w.u16(m.edns.options.size());
  w.out += m.edns.options;
  return w.out;
}

}  // namespace

Result<Message> parse(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes) return bad("message is cut");
  Reader r{bytes};
  Message m;
  TRY_ASSIGN(m.id, r.u16());
  TRY_ASSIGN(uint16_t flags, r.u16());
  m.response = (flags & 0x8000) != 0;
  m.opcode = static_cast<uint8_t>(flags >> 11 & 15);
  m.authoritative = (flags & 0x0400) != 0;
  m.truncated = (flags & 0x0200) != 0;
  m.recursion_desired = (flags & 0x0100) != 0;
  m.recursion_available = (flags & 0x0080) != 0;
  m.authentic_data = (flags & 0x0020) != 0;
  m.checking_disabled = (flags & 0x0010) != 0;
  m.rcode = static_cast<uint8_t>(flags & 15);
  uint16_t counts[4];
  for (uint16_t& count : counts) {
    TRY_ASSIGN(count, r.u16());
  }
  for (int i = 0; i < counts[0]; i++) {
    Question q;
    TRY_ASSIGN(q.name, r.name());
    TRY_ASSIGN(q.type, r.u16());
    TRY_ASSIGN(q.klass, r.u16());
    m.questions.push_back(std::move(q));
  }
  TRY(read_section(r, counts[1], m.answers, m, false));
  TRY(read_section(r, counts[2], m.authorities, m, false));
  TRY(read_section(r, counts[3], m.additionals, m, true));
  return m;
}

std::string write(const Message& m, size_t limit_bytes) {
  Writer w;
  std::string opt = m.has_edns ? opt_record(m) : std::string();
  w.u16(m.id);
  w.u16(0);
  for (int i = 0; i < 4; i++) w.u16(0);
  for (const Question& q : m.questions) {
    w.name(q.name, true);
    w.u16(q.type);
    w.u16(q.klass);
  }
  bool truncated = m.truncated;
  bool full = false;
  auto section = [&](const std::vector<Record>& records, bool required) {
    size_t count = 0;
    for (const Record& record : records) {
      if (full) break;
      size_t before = w.out.size();
      w.record(record);
      if (w.out.size() + opt.size() > limit_bytes) {
        w.out.resize(before);
        std::erase_if(w.names, [before](const auto& known) { return known.second >= before; });
        truncated = truncated || required;
        full = true;
        break;
      }
      count++;
    }
    return count;
  };
  size_t counts[4] = {m.questions.size(), section(m.answers, true), section(m.authorities, true),
                      section(m.additionals, false)};
  if (m.has_edns) {
    w.out += opt;
    counts[3]++;
  }
  size_t flags = (m.response ? 0x8000U : 0U) | static_cast<size_t>(m.opcode & 15) << 11 |
                 (m.authoritative ? 0x0400U : 0U) | (truncated ? 0x0200U : 0U) |
                 (m.recursion_desired ? 0x0100U : 0U) | (m.recursion_available ? 0x0080U : 0U) |
                 (m.authentic_data ? 0x0020U : 0U) | (m.checking_disabled ? 0x0010U : 0U) |
                 (m.rcode & 15U);
  auto put = [&w](size_t at, size_t v) {
    w.out[at] = static_cast<char>(v >> 8);
    w.out[at + 1] = static_cast<char>(v);
  };
  put(2, flags);
  for (size_t i = 0; i < 4; i++) put(4 + 2 * i, counts[i]);
  return std::move(w.out);
}

Message reply_to(const Message& query) {
  Message m;
  m.id = query.id;
  m.response = true;
  m.opcode = query.opcode;
  m.recursion_desired = query.recursion_desired;
  m.checking_disabled = query.checking_disabled;
  m.questions = query.questions;
  m.has_edns = query.has_edns;
  m.edns.dnssec_ok = query.edns.dnssec_ok;
  return m;
}

size_t udp_limit(const Message& query) {
  return query.has_edns ? std::max<size_t>(512, query.edns.udp_size) : 512;
}

std::string reverse_name(std::string_view ip) {
  std::string text(ip);
  unsigned char bytes[16];
  std::string out;
  if (inet_pton(AF_INET, text.c_str(), bytes) == 1) {
    for (int i = 3; i >= 0; i--) out += std::to_string(bytes[i]) + ".";
    return out + "in-addr.arpa";
  }
  if (inet_pton(AF_INET6, text.c_str(), bytes) != 1) return {};
  static const char* kDigits = "0123456789abcdef";
  for (int i = 15; i >= 0; i--) {
    out += {kDigits[bytes[i] & 15], '.', kDigits[bytes[i] >> 4], '.'};
  }
  return out + "ip6.arpa";
}

std::string reverse_address(std::string_view name) {
  std::vector<std::string> parts = labels(name);
  std::string text;
  if (parts.size() == 6) {
    for (int i = 3; i >= 0; i--) text += parts[static_cast<size_t>(i)] + (i > 0 ? "." : "");
  } else if (parts.size() == 34) {
    for (int i = 31; i >= 0; i--) {
      text += parts[static_cast<size_t>(i)];
      if (i % 4 == 0 && i > 0) text += ":";
    }
    unsigned char bytes[16];
    char shown[INET6_ADDRSTRLEN];
    if (inet_pton(AF_INET6, text.c_str(), bytes) != 1) return {};
    inet_ntop(AF_INET6, bytes, shown, sizeof shown);
    text = shown;
  }
  // The way back tells whether it was one.
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return tolower(c); });
  return !text.empty() && reverse_name(text) == lower ? text : std::string();
}

}  // namespace knarr::net::dns
