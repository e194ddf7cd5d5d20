// Cluster addresses and node ports of services: who has which, which are free. Memory only: at boot
// it is filled from the stored services. Loop thread.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "base/json.h"
#include "knarr/random.h"
#include "knarr/result.h"

namespace knarr::server {

class ServiceAllocator {
 public:
  struct Options {
    std::string cidr = "10.43.0.0/16";  // IPv4
    int node_port_min = 30000;
    int node_port_max = 32767;
  };
  static Result<ServiceAllocator> make(Options options, Random& random);

  // The errors are the words behind "failed to allocate ...".
  Result<void> take_address(const std::string& address);
  // Only whether the address may be had at all, as dry runs ask.
  Result<void> check_address(const std::string& address) const;
  Result<std::string> take_any_address();
  void free_address(const std::string& address);
  Result<void> take_port(int port);
  Result<int> take_any_port();
  bool has_port(int port) const { return ports_.contains(port); }
  void free_port(int port);

  // Everything a service holds, as at boot and after its deletion.
  void hold(const json::Value& service);
  void release(const json::Value& service);

  std::string network_address() const;  // what dry runs answer
  std::string nth_address(uint32_t n) const;
  const Options& options() const { return options_; }

 private:
  ServiceAllocator(Options options, Random& random, uint32_t base, int prefix)
      : options_(std::move(options)), random_(&random), base_(base), prefix_(prefix) {}
  uint32_t size() const { return prefix_ == 32 ? 1 : uint32_t(1) << (32 - prefix_); }

  Options options_;
  Random* random_;
  uint32_t base_;
  int prefix_;
  std::set<uint32_t> addresses_;
  std::set<int> ports_;
};

}  // namespace knarr::server
