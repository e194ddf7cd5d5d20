// The pod addresses of this node: which are taken, by whom, and which comes next. An address that
// was freed is given again only when the pool has gone round. The network's address, the first (the
// gateway's) and, in IPv4, the last are never given. Pure state; the caller keeps it on disk.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "api/ip.h"
#include "knarr/result.h"

namespace knarr::agent {

class AddressPool {
 public:
  explicit AddressPool(api::Cidr range);

  const api::Cidr& range() const { return range_; }
  api::IpAddress gateway() const { return *range_.network().plus(1); }

  // The owner's address, chosen when it has none. Error kServiceUnavailable when all are taken.
  Result<api::IpAddress> take(const std::string& owner);
  // An address the owner has from before; false when it is not of this pool or another's.
  bool adopt(const std::string& owner, const api::IpAddress& address);
  void free(const std::string& owner);
  std::optional<api::IpAddress> find(const std::string& owner) const;
  size_t taken() const { return owners_.size(); }

 private:
  std::optional<uint64_t> offset_of(const api::IpAddress& address) const;

  api::Cidr range_;
  uint64_t first_ = 2, last_ = 1;  // offsets that may be given
  uint64_t next_ = 2;
  std::map<std::string, uint64_t> owners_;
  std::map<uint64_t, std::string> taken_;
};

}  // namespace knarr::agent
