// Cluster addresses of one IP family: which are taken. Memory only. Loop thread.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "api/ip.h"
#include "knarr/random.h"
#include "knarr/result.h"

namespace knarr::server {

class AddressRange {
 public:
  AddressRange(const api::Cidr& range, Random& random);

  bool v6() const { return range_.address.v6; }
  std::string text() const { return range_.text(); }

  // The errors are the words behind "failed to allocate ...".
  Result<void> take(const std::string& address);
  // Only whether the address may be had at all, as dry runs ask.
  Result<void> check(const std::string& address) const;
  Result<std::string> take_any();
  void free(const std::string& address);
  // What is held already, wherever it is.
  void hold(const std::string& address);

  std::string nth(uint64_t n) const { return range_.address.plus(n)->text(); }

 private:
  std::optional<uint64_t> offset_of(const std::string& address) const;

  api::Cidr range_;
  Random* random_;
  uint64_t size_;  // addresses, of a large range the first ones
  uint64_t last_;  // offset that may be given: 1 is the first
  std::set<uint64_t> taken_;
};

}  // namespace knarr::server
