// The registry: one generic REST engine over the resource table. Every read and write of an API
// object, from whatever side, goes through here: the HTTP front and the clients in this process
// differ only in where their bytes come from.
//
// A write: decode -> patch or convert -> field ownership -> admission -> strategy -> validation ->
// one compare-and-swap in the cache. Writes to one object run one after another (Cache::when_idle),
// so those that name no resourceVersion never conflict. Loop thread; callbacks may come before the
// call returns.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/schema/schema.h"
#include "knarr/clock.h"
#include "knarr/random.h"
#include "server/admission/admission.h"
#include "server/auth/token_issuer.h"
#include "server/cache/cache.h"
#include "server/registry/address_records.h"
#include "server/registry/list_options.h"
#include "server/registry/request.h"
#include "server/registry/service_allocator.h"
#include "server/registry/strategy.h"

namespace knarr::server {

struct RegistryDeps {
  Cache& cache;
  Clock& clock;
  Random& random;
  AdmissionChain& admission;
  TokenIssuer* tokens = nullptr;           // null: serviceaccounts/token answers 404
  Authenticator* authenticator = nullptr;  // of TokenReviews
  Authorizer* authorizer = nullptr;        // of access reviews
  ServiceAllocator::Options services = {};
};

class Registry {
 public:
  explicit Registry(RegistryDeps deps);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // What the cache must know before it starts, and what it decodes with.
  static std::vector<ResourceSpec> specs();
  static CacheOptions cache_options();
  // After the cache has loaded: recovers what allocations are held.
  Result<void> recover();

  // --- Reads ---
  Result<ObjectRef> get(const Request& request) const;
  // A subresource that is read in a form of its own (scale); else get().
  Result<Answer> get_subresource(const Request& request) const;
  Result<ListPage> list(const Request& request, const ListQuery& query) const;
  // `predicate` of a watch is made by the query's selectors.
  Result<std::unique_ptr<Watch>> watch(const Request& request, const ListQuery& query,
                                       WatchSink& sink);

  // --- Writes ---
  void create(RequestPtr request, Body body, Done done);
  void update(RequestPtr request, Body body, Done done);
  void patch(RequestPtr request, client::PatchType type, Body body, Done done);
  void remove(RequestPtr request, Body options, Done done);
  void remove_collection(RequestPtr request, Body options, const ListQuery& query, Done done);

  // Changes a stored object past strategies and validation, as the server's own steps do (binding,
  // eviction). The transform gets the object as stored.
  void replace(RequestPtr request, std::function<Result<json::Value>(const json::Value&)> transform,
               Done done);

  const Traits& traits(const api::ResourceInfo& resource) const;
  const RegistryDeps& deps() const { return deps_; }
  const ServiceAllocator& services() const { return *services_; }
  Cache& cache() { return deps_.cache; }
  Clock& clock() { return deps_.clock; }

 private:
  friend class WriteFlow;
  friend class DeleteFlow;

  const Strategy& strategy(const api::ResourceInfo& resource) const;

  RegistryDeps deps_;
  std::unique_ptr<ServiceAllocator> services_;
  std::unique_ptr<AddressRecords> records_;
  std::vector<StrategyRow> rows_;
  Strategy plain_;
  std::unordered_map<const api::ResourceInfo*, const Strategy*> by_resource_;
};

// The key under which a request's object is cached.
ObjectKey key_of(const Request& request);
// The cached object in the version that was asked for, canonical JSON. Returns the object's own
// text when it is stored in that version.
std::string presented_json(const api::ResourceInfo& resource, const Object& object);
// Where canonical JSON goes on after its kind and apiVersion.
size_t type_meta_size(std::string_view json);
// The same as an element of a list: without apiVersion and kind.
std::string item_json(const api::ResourceInfo& resource, const Object& object);
inline bool presented_as_stored(const api::ResourceInfo& resource) {
  return !(resource.group == "events.k8s.io" ||
           (resource.group == "autoscaling" && resource.version == "v1"));
}
// A write that means another object of the same name, in the words of upstream's storage.
Error uid_conflict(const Request& request, std::string_view wanted, std::string_view there);
// DeleteOptions from a body and query parameters (set ones win over nothing).
Result<DeleteOptions> parse_delete_options(const Body& body);

}  // namespace knarr::server
