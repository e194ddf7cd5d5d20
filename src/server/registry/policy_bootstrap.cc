#include "server/registry/policy_bootstrap.h"

#include <memory>
#include <utility>
#include <vector>

#include "base/log.h"
#include "server/auth/bootstrap_policy.h"
#include "server/registry/local_client.h"

namespace knarr::server {
namespace {

using json::Value;

// So many share a commit, and so few keep the loop from others.
constexpr int kAtOnce = 8;

class PolicyBootstrap : public std::enable_shared_from_this<PolicyBootstrap> {
 public:
  PolicyBootstrap(Registry& registry, bool metrics, std::function<void()> done)
      : registry_(registry),
        client_(registry, privileged_user("system:apiserver"), "kube-apiserver"),
        objects_(bootstrap_policy(metrics)),
        done_(std::move(done)) {}

  void go_on() {
    while (under_way_ < kAtOnce && at_ < objects_.size()) put(objects_[at_++]);
    if (under_way_ == 0 && at_ == objects_.size() && done_) std::exchange(done_, nullptr)();
  }

 private:
  void put(const BootstrapObject& wanted) {
    const Value& meta = wanted.object["metadata"];
    std::string ns = meta["namespace"].text();
    std::string name = meta["name"].text();
    client::Target target{"rbac.authorization.k8s.io", "v1", wanted.resource, ns, "", ""};
    ObjectRef there = registry_.cache().get({{target.group, target.resource}, {ns, name}});
    if (there == nullptr) return write(client::Verb::kCreate, target, wanted.object);
    Result<Value> stored = json::parse(there->json);
    if (!stored.ok()) return;
    bool replace = false;
    Value object = reconciled_policy(*stored, wanted.object, replace);
    if (object.is_null()) return;
    target.name = name;
    if (!replace) return write(client::Verb::kUpdate, target, object);
    // A binding keeps its role for life.
    write(client::Verb::kDelete, target, object, [target, object](PolicyBootstrap& self) {
      client::Target all = target;
      all.name.clear();
      self.write(client::Verb::kCreate, all, object);
    });
  }

  void write(client::Verb verb, const client::Target& target, const Value& body,
             std::function<void(PolicyBootstrap&)> then = nullptr) {
    client::Request request;
    request.verb = verb;
    request.target = target;
    if (verb != client::Verb::kDelete) request.body = json::write(body);
    ++under_way_;
    std::string what = target.resource + " " + body["metadata"]["name"].text();
    client_.call(std::move(request), [self = shared_from_this(), what = std::move(what),
                                      then = std::move(then)](Result<ObjectRef> stored) {
      if (!stored.ok()) {
        base::log(base::Level::kError, "server", "bootstrap {}: {}", what, stored.error().message);
      } else if (then) {
        then(*self);
      }
      --self->under_way_;
      self->go_on();
    });
  }

  Registry& registry_;
  LocalClient client_;
  std::vector<BootstrapObject> objects_;
  std::function<void()> done_;
  size_t at_ = 0;
  int under_way_ = 0;
};

}  // namespace

void ensure_bootstrap_policy(Registry& registry, bool metrics, std::function<void()> done) {
  std::make_shared<PolicyBootstrap>(registry, metrics, std::move(done))->go_on();
}

}  // namespace knarr::server
