#include "agent/network/address_pool.h"

#include <algorithm>

#include "base/format.h"

namespace knarr::agent {

namespace {

constexpr uint64_t kMostAddresses = uint64_t{1} << 32;  // of a larger (IPv6) range the first ones

}  // namespace

AddressPool::AddressPool(api::Cidr range) : range_(std::move(range)) {
  int host_bits = range_.address.bits() - range_.prefix;
  uint64_t size = host_bits >= 32 ? kMostAddresses : uint64_t{1} << host_bits;
  uint64_t kept = range_.address.v6 ? 0 : 1;  // the broadcast address
  last_ = size > kept + 1 ? size - 1 - kept : 1;
}

std::optional<uint64_t> AddressPool::offset_of(const api::IpAddress& address) const {
  if (!range_.contains(address)) return std::nullopt;
  api::IpAddress network = range_.network();
  size_t size = static_cast<size_t>(address.bits() / 8);
  uint64_t offset = 0;
  for (size_t i = size > 8 ? size - 8 : 0; i < size; i++) {
    offset = offset << 8 | (address.bytes[i] ^ network.bytes[i]);
  }
  return offset;
}

Result<api::IpAddress> AddressPool::take(const std::string& owner) {
  if (auto had = find(owner)) return *had;
  uint64_t room = last_ >= first_ ? last_ - first_ + 1 : 0;
  if (taken_.size() >= room) {
    return make_error(Code::kServiceUnavailable,
                      fmt::format("no free address in {}", range_.text()));
  }
  while (true) {
    if (next_ < first_ || next_ > last_) next_ = first_;
    uint64_t offset = next_++;
    if (!taken_.try_emplace(offset, owner).second) continue;
    owners_[owner] = offset;
    return *range_.network().plus(offset);
  }
}

bool AddressPool::adopt(const std::string& owner, const api::IpAddress& address) {
  auto offset = offset_of(address);
  if (!offset || *offset < first_ || *offset > last_ || owners_.count(owner) > 0) return false;
  if (!taken_.try_emplace(*offset, owner).second) return false;
  owners_[owner] = *offset;
  next_ = std::max(next_, *offset + 1);
  return true;
}

void AddressPool::free(const std::string& owner) {
  auto it = owners_.find(owner);
  if (it == owners_.end()) return;
  taken_.erase(it->second);
  owners_.erase(it);
}

std::optional<api::IpAddress> AddressPool::find(const std::string& owner) const {
  auto it = owners_.find(owner);
  if (it == owners_.end()) return std::nullopt;
  return range_.network().plus(it->second);
}

}  // namespace knarr::agent
