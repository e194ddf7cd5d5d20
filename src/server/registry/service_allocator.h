// Cluster addresses and node ports of services: who has which, which are free. Memory only: at boot
// it is filled from the stored services. Loop thread.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "knarr/random.h"
#include "knarr/result.h"
#include "server/registry/address_range.h"

namespace knarr::server {

class ServiceAllocator {
 public:
  struct Options {
    std::string cidr = "10.43.0.0/16";  // or one of each IP family; the first is the default
    int node_port_min = 30000;
    int node_port_max = 32767;
  };
  static Result<ServiceAllocator> make(Options options, Random& random);

  // "IPv4", "IPv6": those that services may have, the default first.
  const std::vector<std::string>& families() const { return families_; }

  // The errors are the words behind "failed to allocate ...".
  Result<void> take_address(const std::string& address);
  // Only whether the address may be had at all, as dry runs ask.
  Result<void> check_address(const std::string& address) const;
  Result<std::string> take_any_address(bool v6);
  void free_address(const std::string& address);
  Result<void> take_port(int port);
  Result<int> take_any_port();
  bool has_port(int port) const { return ports_.contains(port); }
  void free_port(int port);

  // Everything a service holds, as at boot and after its deletion.
  void hold(const json::Value& service);
  void release(const json::Value& service);

  std::string network_address(bool v6) const;  // what dry runs answer
  std::string nth_address(uint64_t n) const;   // of the first range
  std::vector<std::string> cidrs() const;
  const Options& options() const { return options_; }

 private:
  ServiceAllocator(Options options, Random& random)
      : options_(std::move(options)), random_(&random) {}
  // Null when the cluster has none of the family.
  AddressRange* range(bool v6);
  const AddressRange* range(bool v6) const;

  Options options_;
  Random* random_;
  std::vector<AddressRange> ranges_;
  std::vector<std::string> families_;
  std::set<int> ports_;
};

}  // namespace knarr::server
