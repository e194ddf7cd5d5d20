// ResourceQuota: refuses what would exceed a quota of the namespace, and charges what it lets pass
// before it is stored, so that of many who ask at once only as many pass as fit.
//
// The charge is a write of the quota's status, on its way before the object's own: who hears that
// his object is made sees the quota charged. What is charged but not written yet is kept here, and
// counts. If the object is not stored after all, the quota controller, which counts what is there,
// brings the quota back.

#include <map>

#include "api/view/quota.h"
#include "base/format.h"
#include "server/admission/plugins.h"

namespace knarr::server {
namespace {

using api::Quantities;
using api::Quantity;
using json::Value;

// "cpu=1,pods=2"
std::string pretty(const Quantities& quantities) {
  std::string text;
  for (const auto& [name, amount] : quantities) {
    text += (text.empty() ? "" : ",") + name + "=" + amount.text();
  }
  return text;
}

// What was let pass and is not in the quotas' statuses yet: one write a quota at a time.
class Charges : public std::enable_shared_from_this<Charges> {
 public:
  explicit Charges(const Cache& cache) : cache_(cache) {}
  void use(client::Client& client) { client_ = &client; }

  Quantities outstanding(const NamespacedName& quota) const {
    auto it = by_quota_.find(quota);
    if (it == by_quota_.end()) return {};
    Quantities sum = it->second.waiting;
    api::add_to(sum, it->second.in_flight);
    return sum;
  }

  void add(const NamespacedName& quota, const Quantities& delta) {
    Charge& charge = by_quota_[quota];
    api::add_to(charge.waiting, delta);
    if (charge.in_flight.empty()) write(quota);
  }

 private:
  struct Charge {
    Quantities waiting;
    Quantities in_flight;
  };

  void write(const NamespacedName& name) {
    auto it = by_quota_.find(name);
    ObjectRef object = cache_.get({{"", "resourcequotas"}, name});
    if (object == nullptr || client_ == nullptr || it->second.waiting.empty()) {
      by_quota_.erase(it);
      return;
    }
    it->second.in_flight = std::move(it->second.waiting);
    it->second.waiting.clear();
    Result<Value> quota = json::parse(object->json);
    if (!quota.ok()) return;
    Quantities used = api::quantities_of((*quota)["status"]["used"]);
    api::add_to(used, it->second.in_flight);
    quota->member("status").set("used", api::resource_list(used));
    client::Request request{client::Verb::kUpdate,
                            {"", "v1", "resourcequotas", name.ns, name.name, "status"},
                            json::write(*quota),
                            {},
                            {}};
    client_->call(std::move(request), [self = weak_from_this(), name](Result<ObjectRef> answer) {
      if (auto charges = self.lock()) charges->written(name, answer);
    });
  }

  void written(const NamespacedName& name, const Result<ObjectRef>& answer) {
    Charge& charge = by_quota_[name];
    // Somebody else wrote it meanwhile: once more, on top of that.
    if (!answer.ok() && answer.error().code == Code::kConflict) {
      api::add_to(charge.waiting, charge.in_flight);
    }
    charge.in_flight.clear();
    write(name);
  }

  const Cache& cache_;
  client::Client* client_ = nullptr;
  std::map<NamespacedName, Charge> by_quota_;
};

class ResourceQuota final : public AdmissionPlugin {
 public:
  explicit ResourceQuota(const AdmissionDeps& deps)
      : cache_(deps.cache), clock_(deps.clock), charges_(std::make_shared<Charges>(deps.cache)) {}
  std::string_view name() const override { return "ResourceQuota"; }
  void use(client::Client& client) override { charges_->use(client); }

  Result<void> validate(const AdmissionRequest& request) override {
    if (!counts(request) || cache_.count({"", "resourcequotas"}) == 0) return {};
    api::QuotaSubject subject{request.resource->group, request.resource->plural, *request.object,
                              clock_.now_us()};
    Quantities delta = api::quota_usage(subject);
    if (request.operation == Operation::kUpdate) {
      api::QuotaSubject before{subject.group, subject.plural, *request.old, subject.now_us};
      api::subtract_from(delta, api::quota_usage(before));
    }
    std::erase_if(delta, [](const auto& d) { return d.second.is_zero(); });
    std::vector<std::pair<NamespacedName, Quantities>> passed;
    Result<void> verdict;
    cache_.for_each({"", "resourcequotas"}, request.ns, [&](const ObjectRef& object) {
      Quantities asked;
      verdict = check(request, subject, delta, *object, asked);
      if (verdict.ok() && !asked.empty()) passed.emplace_back(object->name, std::move(asked));
      return verdict.ok();
    });
    if (!verdict.ok() || request.dry_run) return verdict;
    for (const auto& [name, asked] : passed) charges_->add(name, asked);
    return {};
  }

 private:
  static bool counts(const AdmissionRequest& request) {
    if (request.ns.empty() || !request.resource->namespaced) return false;
    if (request.operation == Operation::kCreate) return request.subresource.empty();
    if (request.operation != Operation::kUpdate) return false;
    if (request.is("", "pods")) return request.subresource == "resize";
    return request.subresource.empty() &&
           (request.is("", "services") || request.is("", "persistentvolumeclaims"));
  }

  // `asked`: what of the quota the request takes.
  Result<void> check(const AdmissionRequest& request, const api::QuotaSubject& subject,
                     const Quantities& delta, const Object& object, Quantities& asked) const {
    Value quota;
    TRY_ASSIGN(quota, json::parse(object.json));
    const Value& status = quota["status"];
    std::vector<std::string> names =
        api::quota_names_for(subject.group, subject.plural, status["hard"]);
    if (names.empty() || !api::in_quota_scopes(quota["spec"], subject)) return {};
    if (request.is("", "pods")) {
      std::string missing = api::quota_unspecified(subject.object["spec"], names);
      if (!missing.empty()) {
        return admission_forbidden(request,
                                   fmt::format("failed quota: {}: {}", object.name.name, missing));
      }
    }
    std::string unknown;
    for (const std::string& name : names) {
      if (!status["used"].has(name)) unknown += (unknown.empty() ? "" : ",") + name;
    }
    if (!unknown.empty()) {
      return admission_forbidden(request, fmt::format("status unknown for quota: {}, resources: {}",
                                                      object.name.name, unknown));
    }
    Quantities hard = api::quantities_of(status["hard"]);
    Quantities used = api::quantities_of(status["used"]);
    api::add_to(used, charges_->outstanding(object.name));
    Quantities over_asked, over_used, over_hard;
    for (const auto& [name, amount] : delta) {
      auto limit = hard.find(name);
      if (limit == hard.end()) continue;
      asked.emplace(name, amount);
      Quantity sum = used[name];
      sum.add(amount);
      if (!(limit->second < sum)) continue;
      over_asked.emplace(name, amount);
      over_used.emplace(name, used[name]);
      over_hard.emplace(name, limit->second);
    }
    if (over_asked.empty()) return {};
    return admission_forbidden(
        request,
        fmt::format("exceeded quota: {}, requested: {}, used: {}, limited: {}", object.name.name,
                    pretty(over_asked), pretty(over_used), pretty(over_hard)));
  }

  const Cache& cache_;
  Clock& clock_;
  std::shared_ptr<Charges> charges_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_resource_quota(const AdmissionDeps& deps) {
  return std::make_unique<ResourceQuota>(deps);
}

}  // namespace knarr::server
