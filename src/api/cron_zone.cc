// Time zones from TZif files: the transitions of the 64-bit block. Moments past the last one follow
// the last year's pattern, which is what the files of today's tzdata hold until 2037.
#include <algorithm>
#include <memory>
#include <vector>

#include "api/cron.h"

namespace knarr::api {
namespace {

struct Header {
  uint32_t is_ut, is_std, leap, transitions, types, chars;
};

constexpr size_t kHeaderBytes = 44;

uint64_t big_endian(std::string_view bytes, size_t at, size_t n) {
  uint64_t out = 0;
  for (size_t i = 0; i < n; i++) out = out << 8 | static_cast<uint8_t>(bytes[at + i]);
  return out;
}

bool read_header(std::string_view bytes, Header& out) {
  if (bytes.size() < kHeaderBytes || bytes.substr(0, 4) != "TZif") return false;
  uint32_t* fields[] = {&out.is_ut,       &out.is_std, &out.leap,
                        &out.transitions, &out.types,  &out.chars};
  for (size_t i = 0; i < 6; i++)
    *fields[i] = static_cast<uint32_t>(big_endian(bytes, 20 + 4 * i, 4));
  return true;
}

size_t block_bytes(const Header& h, size_t time_bytes) {
  return size_t{h.transitions} * (time_bytes + 1) + size_t{h.types} * 6 + h.chars +
         size_t{h.leap} * (time_bytes + 4) + h.is_std + h.is_ut;
}

struct Zone {
  int64_t before = 0;  // the offset ahead of the first transition
  std::vector<std::pair<int64_t, int64_t>> changes;

  int64_t offset(int64_t at) const {
    // The Gregorian calendar repeats, weekdays included, every 400 years; 28 are enough until 2100.
    constexpr int64_t kCycle = 28LL * 365 * 86400 + 7LL * 86400;
    if (!changes.empty()) {
      while (at > changes.back().first && changes.size() > 60) at -= kCycle;
    }
    auto next = std::upper_bound(changes.begin(), changes.end(), at,
                                 [](int64_t t, const auto& change) { return t < change.first; });
    return next == changes.begin() ? before : std::prev(next)->second;
  }
};

}  // namespace

Result<ZoneOffset> parse_tzif(std::string_view bytes) {
  const Error broken = make_error(Code::kBadRequest, "malformed time zone information");
  Header header;
  if (!read_header(bytes, header)) return broken;
  size_t time_bytes = 4;
  if (bytes[4] >= '2') {
    size_t skip = kHeaderBytes + block_bytes(header, 4);
    if (skip > bytes.size()) return broken;
    bytes.remove_prefix(skip);
    if (!read_header(bytes, header)) return broken;
    time_bytes = 8;
  }
  bytes.remove_prefix(kHeaderBytes);
  if (bytes.size() < block_bytes(header, time_bytes) || header.types == 0) return broken;
  size_t types_at = size_t{header.transitions} * (time_bytes + 1);
  auto offset_of = [&](size_t type) {
    return int64_t{static_cast<int32_t>(big_endian(bytes, types_at + 6 * type, 4))};
  };
  auto zone = std::make_shared<Zone>();
  zone->before = offset_of(0);
  for (size_t i = 0; i < header.transitions; i++) {
    uint64_t raw = big_endian(bytes, i * time_bytes, time_bytes);
    int64_t at = time_bytes == 8 ? static_cast<int64_t>(raw) : static_cast<int32_t>(raw);
    size_t type = static_cast<uint8_t>(bytes[size_t{header.transitions} * time_bytes + i]);
    if (type >= header.types) return broken;
    zone->changes.emplace_back(at, offset_of(type));
  }
  if (!std::is_sorted(zone->changes.begin(), zone->changes.end())) return broken;
  return ZoneOffset([zone](int64_t at) { return zone->offset(at); });
}

}  // namespace knarr::api
