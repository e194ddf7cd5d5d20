// IPAddress objects: one for each cluster address that a service holds, made before the service is
// and deleted after it, so that the API says who has which address (KEP-1880). An object that
// someone else made blocks its address. The allocator stays the one who decides. Loop thread.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "knarr/client.h"
#include "knarr/object.h"
#include "knarr/object_key.h"

namespace knarr::server {

class Registry;

class AddressRecords {
 public:
  explicit AddressRecords(Registry& registry);
  ~AddressRecords();

  // There is a record of this address, whoever made it.
  bool taken(const std::string& address) const;
  void publish(const std::string& address, const NamespacedName& service);
  void withdraw(const std::string& address);

  // At start: the default ServiceCIDR is there, every service has its records, no record of ours is
  // left without its service.
  void repair(const std::vector<std::string>& cidrs);

 private:
  void widen_range(const Object& there, json::Value cidrs);
  void repair_range(const std::vector<std::string>& cidrs);

  Registry& registry_;
  std::unique_ptr<client::Client> client_;
  std::set<std::string> leaving_;  // withdrawn, still to be seen
};

}  // namespace knarr::server
