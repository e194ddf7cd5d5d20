#include "server/registry/bootstrap.h"

#include <memory>
#include <vector>

#include "api/ip.h"
#include "api/ip_list.h"
#include "base/log.h"
#include "server/registry/local_client.h"

namespace knarr::server {
namespace {

using json::Value;

struct Step {
  client::Target target;
  Value object;
  bool replace = false;  // bring what exists in line
};

Value meta(std::string_view name, std::string_view ns = {}) {
  Value m = Value::object({{"name", name}});
  if (!ns.empty()) m.set("namespace", ns);
  return m;
}

Step ns_step(const char* name) {
  return {{"", "v1", "namespaces", "", "", ""}, Value::object({{"metadata", meta(name)}})};
}

Step priority_step(const char* name, int64_t value, const char* what) {
  return {{"scheduling.k8s.io", "v1", "priorityclasses", "", "", ""},
          Value::object({{"metadata", meta(name)}, {"value", value}, {"description", what}})};
}

Value https_port(int port) {
  return Value::array({Value::object({{"name", "https"}, {"port", port}, {"protocol", "TCP"}})});
}

Step service_step(const std::string& address, int port) {
  Value labels = Value::object({{"component", "apiserver"}, {"provider", "kubernetes"}});
  Value m = meta("kubernetes", "default");
  m.set("labels", std::move(labels));
  Value ports = Value::array({Value::object(
      {{"name", "https"}, {"protocol", "TCP"}, {"port", 443}, {"targetPort", port}})});
  Value spec = Value::object({{"type", "ClusterIP"},
                              {"clusterIP", address},
                              {"clusterIPs", Value::array({Value(address)})},
                              {"ipFamilies", Value::array({api::family_name(api::is_v6(address))})},
                              {"ipFamilyPolicy", "SingleStack"},
                              {"ports", std::move(ports)},
                              {"sessionAffinity", "None"}});
  return {{"", "v1", "services", "default", "", ""},
          Value::object({{"metadata", std::move(m)}, {"spec", std::move(spec)}})};
}

Step endpoints_step(const BootstrapOptions& o) {
  Value m = meta("kubernetes", "default");
  m.set("labels", Value::object({{"endpointslice.kubernetes.io/skip-mirror", "true"}}));
  Value subset =
      Value::object({{"addresses", Value::array({Value::object({{"ip", o.advertise_address}})})},
                     {"ports", https_port(o.advertise_port)}});
  return {{"", "v1", "endpoints", "default", "", ""},
          Value::object({{"metadata", std::move(m)}, {"subsets", Value::array({subset})}}),
          true};
}

Step slice_step(const BootstrapOptions& o) {
  Value m = meta("kubernetes", "default");
  m.set("labels", Value::object({{"kubernetes.io/service-name", "kubernetes"}}));
  Value endpoint = Value::object({{"addresses", Value::array({Value(o.advertise_address)})},
                                  {"conditions", Value::object({{"ready", true}})}});
  return {{"discovery.k8s.io", "v1", "endpointslices", "default", "", ""},
          Value::object({{"metadata", std::move(m)},
                         {"addressType", api::family_name(api::is_v6(o.advertise_address))},
                         {"endpoints", Value::array({endpoint})},
                         {"ports", https_port(o.advertise_port)}}),
          true};
}

// Whether all that `wanted` says is so in `have`, which may say more.
bool holds(const Value& have, const Value& wanted) {
  if (wanted.is_object()) {
    for (json::Member m : wanted.members()) {
      if (!holds(have[m.key], m.value)) return false;
    }
    return true;
  }
  if (!wanted.is_array()) return have == wanted;
  if (have.size() != wanted.size()) return false;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!holds(have[i], wanted[i])) return false;
  }
  return true;
}

class Bootstrap : public std::enable_shared_from_this<Bootstrap> {
 public:
  Bootstrap(Registry& registry, std::vector<Step> steps, std::function<void()> done)
      : registry_(registry),
        client_(registry, privileged_user("system:apiserver"), "kube-apiserver"),
        steps_(std::move(steps)),
        done_(std::move(done)) {}

  void next() {
    if (at_ == steps_.size()) return done_();
    const Step& step = steps_[at_++];
    client::Request request;
    request.target = step.target;
    request.body = json::write(step.object);
    std::string name = step.object["metadata"]["name"].text();
    ObjectRef there =
        registry_.cache().get({{step.target.group, step.target.resource}, {step.target.ns, name}});
    if (there != nullptr) {
      if (!step.replace || in_line(*there, step.object)) return next();
      request.verb = client::Verb::kUpdate;
      request.target.name = name;
    } else {
      request.verb = client::Verb::kCreate;
    }
    client_.call(std::move(request), [self = shared_from_this(), &step](Result<ObjectRef> stored) {
      if (!stored.ok()) {
        base::log(base::Level::kError, "server", "bootstrap {} {}: {}", step.target.resource,
                  step.object["metadata"]["name"].as_string(), stored.error().message);
      }
      self->next();
    });
  }

 private:
  static bool in_line(const Object& object, const Value& wanted) {
    Result<Value> have = json::parse(object.json);
    return have.ok() && holds(*have, wanted);
  }

  Registry& registry_;
  LocalClient client_;
  std::vector<Step> steps_;
  std::function<void()> done_;
  size_t at_ = 0;
};

}  // namespace

void bootstrap(Registry& registry, BootstrapOptions options, std::function<void()> done) {
  std::vector<Step> steps;
  for (const char* ns : {"default", "kube-system", "kube-public", "kube-node-lease"}) {
    steps.push_back(ns_step(ns));
  }
  steps.push_back(priority_step("system-node-critical", 2000001000,
                                "Used for system critical pods that must not be moved from their "
                                "current node."));
  steps.push_back(priority_step("system-cluster-critical", 2000000000,
                                "Used for system critical pods that must run in the cluster, but "
                                "can be moved to another node if necessary."));
  steps.push_back(service_step(registry.services().nth_address(1), options.advertise_port));
  // Endpoints may not be loopback addresses: a server that is reached at one only has none.
  auto address = api::IpAddress::parse(options.advertise_address);
  if (address && !address->is_loopback()) {
    steps.push_back(endpoints_step(options));
    steps.push_back(slice_step(options));
  }
  std::make_shared<Bootstrap>(registry, std::move(steps), std::move(done))->next();
}

}  // namespace knarr::server
