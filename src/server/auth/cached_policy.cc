#include "server/auth/cached_policy.h"

#include "base/log.h"
#include "server/auth/policy_rules.h"

namespace knarr::server {

namespace {
constexpr const char* kGroup = "rbac.authorization.k8s.io";
}

// Keeps the bindings of one resource.
class CachedPolicy::Feed final : public WatchSink {
 public:
  Feed(CachedPolicy& policy, std::string resource)
      : policy_(policy), resource_(std::move(resource)) {}

  void begin() {
    WatchOptions options;
    options.initial_state = true;
    auto watch = policy_.cache_.watch({kGroup, resource_}, std::move(options), *this);
    if (!watch.ok()) {
      base::log(base::Level::kError, "auth", "watch {}: {}", resource_, watch.error().message);
      return;
    }
    watch_ = *std::move(watch);
    watch_->start();
  }

  void on_event(const WatchEvent& event) override {
    ObjectRef object = event.object();
    if (event.type == EventType::kDeleted) return forget(object->name);
    Result<json::Value> value = json::parse(object->json);
    if (!value.ok()) return forget(object->name);
    policy_.bindings_[object->name.ns][object->name.name] = read_binding(*value);
  }
  void on_bookmark(kv::Revision, bool) override {}
  // Whatever ended the watch: nobody is bound until it is told anew.
  void on_error(const Error&) override {
    std::erase_if(policy_.bindings_, [this](const auto& entry) {
      return entry.first.empty() == (resource_ == "clusterrolebindings");
    });
    begin();
  }

 private:
  void forget(const NamespacedName& name) {
    auto of_namespace = policy_.bindings_.find(name.ns);
    if (of_namespace == policy_.bindings_.end()) return;
    of_namespace->second.erase(name.name);
    if (of_namespace->second.empty()) policy_.bindings_.erase(of_namespace);
  }

  CachedPolicy& policy_;
  std::string resource_;
  std::unique_ptr<Watch> watch_;
};

CachedPolicy::CachedPolicy(Cache& cache)
    : cache_(cache),
      of_cluster_(std::make_unique<Feed>(*this, "clusterrolebindings")),
      of_namespaces_(std::make_unique<Feed>(*this, "rolebindings")) {}

CachedPolicy::~CachedPolicy() = default;

void CachedPolicy::start() {
  of_cluster_->begin();
  of_namespaces_->begin();
}

void CachedPolicy::visit_bindings(const std::string& ns,
                                  const std::function<bool(const Binding&)>& visit) const {
  auto of_namespace = bindings_.find(ns);
  if (of_namespace == bindings_.end()) return;
  for (const auto& entry : of_namespace->second) {
    if (!visit(entry.second)) return;
  }
}

PolicySource::Rules CachedPolicy::rules(const RoleRef& role, const std::string& ns) const {
  bool cluster = role.kind == "ClusterRole";
  if (!cluster && (role.kind != "Role" || ns.empty())) return nullptr;
  std::pair<std::string, std::string> key(cluster ? "" : ns, role.name);
  ObjectRef object =
      cache_.get({{kGroup, cluster ? "clusterroles" : "roles"}, {key.first, key.second}});
  if (object == nullptr) {
    roles_.erase(key);
    return nullptr;
  }
  if (roles_.size() >= forget_at_) forget_roles();
  Read& read = roles_[key];
  if (read.object != object) {
    Result<json::Value> value = json::parse(object->json);
    read.rules = std::make_shared<const std::vector<PolicyRule>>(
        value.ok() ? read_rules((*value)["rules"]) : std::vector<PolicyRule>());
    read.object = std::move(object);
  }
  return read.rules;
}

// Roles that are gone, and that nobody asks for again, as of namespaces that are gone.
void CachedPolicy::forget_roles() const {
  std::erase_if(roles_, [this](const auto& entry) {
    const auto& [ns, name] = entry.first;
    return cache_.get({{kGroup, ns.empty() ? "clusterroles" : "roles"}, {ns, name}}) == nullptr;
  });
  forget_at_ = 2 * roles_.size() + kRolesKept;
}

}  // namespace knarr::server
