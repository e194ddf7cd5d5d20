#include "server/registry/address_range.h"

#include <algorithm>

#include "base/format.h"

namespace knarr::server {
namespace {

constexpr int kMostBits = 62;

}  // namespace

AddressRange::AddressRange(const api::Cidr& range, Random& random)
    : range_{range.network(), range.prefix},
      random_(&random),
      size_(uint64_t{1} << std::min(range.address.bits() - range.prefix, kMostBits)),
      last_(size_ - (range.address.v6 ? 1 : 2)) {}  // IPv4 ends with the broadcast address

std::optional<uint64_t> AddressRange::offset_of(const std::string& text) const {
  auto address = api::IpAddress::parse(text);
  if (!address || !range_.contains(*address)) return std::nullopt;
  auto bytes = static_cast<size_t>(address->bits() / 8);
  uint64_t offset = 0;
  for (size_t i = 0; i < bytes; i++) {
    auto differs = static_cast<uint8_t>(address->bytes[i] ^ range_.address.bytes[i]);
    if (i + 8 < bytes && differs != 0) return std::nullopt;
    offset = offset << 8 | differs;
  }
  return offset;
}

Result<void> AddressRange::check(const std::string& address) const {
  if (!api::IpAddress::parse(address)) {
    return make_error(Code::kInvalid, "the provided IP (" + address + ") is not valid");
  }
  auto offset = offset_of(address);
  if (!offset || *offset == 0 || *offset > last_) {
    return make_error(Code::kInvalid,
                      fmt::format("the provided IP ({}) is not in the valid range. The range of "
                                  "valid IPs is {}",
                                  address, range_.text()));
  }
  return {};
}

Result<void> AddressRange::take(const std::string& address) {
  TRY(check(address));
  if (!taken_.insert(*offset_of(address)).second) {
    return make_error(Code::kInvalid, "provided IP is already allocated");
  }
  return {};
}

Result<std::string> AddressRange::take_any() {
  // The lower part of the range is for those who choose their address (KEP-3070).
  uint64_t reserved = std::min<uint64_t>(std::max<uint64_t>(16, size_ / 16), 256);
  if (reserved >= last_) reserved = 0;
  auto search = [&](uint64_t low, uint64_t high) -> uint64_t {
    if (low > high) return 0;
    uint64_t count = high - low + 1;
    uint64_t start = random_->below(count);
    for (uint64_t i = 0; i < count; i++) {
      uint64_t offset = low + (start + i) % count;
      if (taken_.insert(offset).second) return offset;
    }
    return 0;
  };
  uint64_t offset = search(reserved + 1, last_);
  if (offset == 0) offset = search(1, reserved);
  if (offset == 0) return make_error(Code::kInternalError, "range is full");
  return nth(offset);
}

void AddressRange::free(const std::string& address) {
  if (auto offset = offset_of(address)) taken_.erase(*offset);
}

void AddressRange::hold(const std::string& address) {
  if (auto offset = offset_of(address)) taken_.insert(*offset);
}

}  // namespace knarr::server
