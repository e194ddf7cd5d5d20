// Admission: what changes or refuses a write between decoding and storing it. A plug-in is a file;
// make_admission() lists them in upstream's order. All compiled-in plug-ins decide at once, from
// the cache. Loop thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/resource.h"
#include "base/json.h"
#include "knarr/client.h"
#include "knarr/clock.h"
#include "knarr/random.h"
#include "knarr/result.h"
#include "server/auth/auth.h"
#include "server/auth/rbac.h"
#include "server/cache/cache.h"

namespace knarr::server {

enum class Operation { kCreate, kUpdate, kDelete };

struct AdmissionRequest {
  Operation operation = Operation::kCreate;
  const api::ResourceInfo* resource = nullptr;
  std::string subresource;
  std::string ns;
  std::string name;  // empty when it is to be generated
  UserRef user;
  bool dry_run = false;
  json::Value* object = nullptr;     // what is to be stored; null for a delete
  const json::Value* old = nullptr;  // what is stored; null for a create
  std::vector<std::string>* warnings = nullptr;

  bool is(std::string_view group, std::string_view plural) const {
    return resource->group == group && resource->plural == plural;
  }
};

class AdmissionPlugin {
 public:
  virtual ~AdmissionPlugin() = default;
  virtual std::string_view name() const = 0;
  virtual Result<void> mutate(AdmissionRequest&) { return {}; }
  virtual Result<void> validate(const AdmissionRequest&) { return {}; }
  // Given once, before the first request: for plug-ins that write.
  virtual void use(client::Client&) {}
};

class AdmissionChain {
 public:
  void add(std::unique_ptr<AdmissionPlugin> plugin) { plugins_.push_back(std::move(plugin)); }
  void use(client::Client& client) const;
  // Both stop at the first refusal.
  Result<void> mutate(AdmissionRequest& request) const;
  Result<void> validate(const AdmissionRequest& request) const;

 private:
  std::vector<std::unique_ptr<AdmissionPlugin>> plugins_;
};

struct AdmissionDeps {
  const Cache& cache;
  Clock& clock;
  Random& random;
  Authorizer* authorizer = nullptr;  // null: whoever may write an object may do all to it
  RbacAuthorizer* rbac = nullptr;    // null: roles are granted freely
};

std::unique_ptr<AdmissionChain> make_admission(const AdmissionDeps& deps);

// A refusal: `pods "x" is forbidden: <why>`.
Error admission_forbidden(const AdmissionRequest& request, std::string_view why);

}  // namespace knarr::server
