// Services: their addresses and ports. What a client leaves out of an update it keeps; what a
// change of type no longer needs is given back.

#include <algorithm>

#include "base/format.h"
#include "server/registry/service_allocator.h"
#include "server/registry/strategies.h"

namespace knarr::server {
namespace {

using json::Value;

bool external(const Value& spec) { return spec["type"].as_string() == "ExternalName"; }
bool headless(const Value& spec) { return spec["clusterIP"].as_string() == "None"; }
bool wants_ports(const Value& spec) {
  std::string_view type = spec["type"].as_string();
  return type == "NodePort" ||
         (type == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"].as_bool(true));
}
bool reached_from_outside(const Value& spec) {
  std::string_view type = spec["type"].as_string();
  return type == "NodePort" || type == "LoadBalancer" ||
         (type == "ClusterIP" && !spec["externalIPs"].empty());
}
bool wants_health_port(const Value& spec) {
  return spec["type"].as_string() == "LoadBalancer" &&
         spec["externalTrafficPolicy"].as_string() == "Local";
}

class ServiceStrategy final : public Strategy {
 public:
  explicit ServiceStrategy(ServiceAllocator& allocator)
      : Strategy({.create_on_update = true, .returns_deleted = true}), allocator_(allocator) {}

  void prepare_create(StrategyContext&, Value& now) const override {
    default_families(now.member("spec"));
  }

  void prepare_update(StrategyContext&, Value& now, const Value& old) const override {
    Value& spec = now.member("spec");
    const Value& before = old["spec"];
    if (external(spec)) {
      drop_addresses(spec, before);
    } else if (!external(before)) {
      keep_addresses(spec, before);
    }
    keep_ports(spec, before);
    default_families(spec);
  }

  void allocate(StrategyContext& ctx, Value& now, const Value* old,
                api::ErrorList& errors) const override {
    Value& spec = now.member("spec");
    static const Value none;
    const Value& before = old == nullptr ? none : (*old)["spec"];
    if (!external(spec)) allocate_address(ctx, spec, before, errors);
    if (wants_ports(spec)) allocate_ports(ctx, spec, before, errors);
    if (wants_health_port(spec) && spec["healthCheckNodePort"].as_int() == 0) {
      Result<int> port = allocator_.take_any_port();
      if (port.ok()) {
        spec.set("healthCheckNodePort", *port);
        undo_port(ctx, *port);
      }
    }
  }

  void updated(const Value& now, const Value& old) const override {
    allocator_.release(old);
    allocator_.hold(now);
  }
  void deleted(const Value& old) const override { allocator_.release(old); }

 private:
  static void default_families(Value& spec) {
    if (external(spec)) return;
    if (!spec.has("clusterIP") && spec["clusterIPs"].size() > 0) {
      spec.set("clusterIP", spec["clusterIPs"][0]);
    }
    if (spec.has("clusterIP") && !spec["clusterIP"].as_string().empty() &&
        spec["clusterIPs"].empty()) {
      spec.set("clusterIPs", Value::array({spec["clusterIP"]}));
    }
    bool open = headless(spec) && spec["selector"].empty();
    if (spec["ipFamilyPolicy"].is_null()) {
      spec.set("ipFamilyPolicy", open ? "RequireDualStack" : "SingleStack");
    }
    if (spec["ipFamilies"].empty()) {
      Value families = Value::array({"IPv4"});
      if (open && spec["ipFamilyPolicy"].as_string() == "RequireDualStack") {
        families.push_back("IPv6");
      }
      spec.set("ipFamilies", std::move(families));
    }
  }

  static void drop_addresses(Value& spec, const Value& before) {
    for (const char* key : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"}) {
      if (spec[key] == before[key]) spec.erase(key);
    }
  }

  static void keep_addresses(Value& spec, const Value& before) {
    if (spec["clusterIP"].as_string().empty() && spec["clusterIPs"].empty()) {
      if (before.has("clusterIP")) spec.set("clusterIP", before["clusterIP"]);
      if (before.has("clusterIPs")) spec.set("clusterIPs", before["clusterIPs"]);
    }
    for (const char* key : {"ipFamilies", "ipFamilyPolicy"}) {
      if (spec[key].is_null() && before.has(key)) spec.set(key, before[key]);
    }
  }

  static void keep_ports(Value& spec, const Value& before) {
    bool wanted = wants_ports(spec);
    if (Value* ports = spec.find("ports")) {
      for (Value& port : ports->elements()) {
        for (const Value& b : before["ports"].elements()) {
          if (!(b["port"] == port["port"]) || !(b["protocol"] == port["protocol"])) continue;
          if (wanted && port["nodePort"].as_int() == 0 && b["nodePort"].as_int() != 0) {
            port.set("nodePort", b["nodePort"]);
          }
          if (!wanted && wants_ports(before) && port["nodePort"] == b["nodePort"]) {
            port.erase("nodePort");
          }
        }
      }
    }
    const Value& health = before["healthCheckNodePort"];
    if (wants_health_port(spec)) {
      if (spec["healthCheckNodePort"].as_int() == 0 && health.as_int() != 0) {
        spec.set("healthCheckNodePort", health);
      }
    } else if (!health.is_null() && spec["healthCheckNodePort"] == health) {
      spec.erase("healthCheckNodePort");
    }
    const char* policy = "externalTrafficPolicy";
    if (!reached_from_outside(spec) && spec[policy] == before[policy]) spec.erase(policy);
    const char* allocate = "allocateLoadBalancerNodePorts";
    if (spec["type"].as_string() != "LoadBalancer" && spec[allocate] == before[allocate]) {
      spec.erase(allocate);
    }
  }

  void allocate_address(StrategyContext& ctx, Value& spec, const Value& before,
                        api::ErrorList& errors) const {
    if (headless(spec)) return;
    std::string wanted = spec["clusterIP"].text();
    if (wanted.empty()) {
      std::string address = allocator_.network_address();
      if (!ctx.request.dry_run) {
        Result<std::string> taken = allocator_.take_any_address();
        if (!taken.ok()) {
          errors.invalid(api::Path("spec") / "clusterIPs", spec["clusterIPs"],
                         "failed to allocate IP: " + taken.error().message);
          return;
        }
        address = *taken;
        undo_address(ctx, address);
      }
      spec.set("clusterIP", address);
      spec.set("clusterIPs", Value::array({Value(address)}));
      return;
    }
    if (before["clusterIP"].as_string() == wanted) return;
    Result<void> taken = allocator_.take_address(wanted);
    if (!taken.ok()) {
      errors.invalid(api::Path("spec") / "clusterIPs", spec["clusterIPs"],
                     fmt::format("failed to allocate IP {}: {}", wanted, taken.error().message));
      return;
    }
    undo_address(ctx, wanted);
  }

  void allocate_ports(StrategyContext& ctx, Value& spec, const Value& before,
                      api::ErrorList& errors) const {
    std::vector<int> mine;
    for (const Value& b : before["ports"].elements()) {
      mine.push_back(static_cast<int>(b["nodePort"].as_int()));
    }
    auto held = [&](int port) { return std::find(mine.begin(), mine.end(), port) != mine.end(); };
    Value* ports = spec.find("ports");
    if (ports == nullptr) return;
    size_t i = 0;
    for (Value& port : ports->elements()) {
      api::Path path = (api::Path("spec") / "ports")[i++] / "nodePort";
      int wanted = static_cast<int>(port["nodePort"].as_int());
      if (wanted != 0) {
        if (held(wanted)) continue;
        Result<void> taken = allocator_.take_port(wanted);
        if (!taken.ok()) {
          errors.invalid(path, port["nodePort"], taken.error().message);
          continue;
        }
      } else {
        Result<int> taken = allocator_.take_any_port();
        if (!taken.ok()) continue;
        wanted = *taken;
        port.set("nodePort", wanted);
      }
      mine.push_back(wanted);
      undo_port(ctx, wanted);
    }
  }

  void undo_address(StrategyContext& ctx, std::string address) const {
    ctx.undo.push_back([this, address] { allocator_.free_address(address); });
  }
  void undo_port(StrategyContext& ctx, int port) const {
    ctx.undo.push_back([this, port] { allocator_.free_port(port); });
  }

  ServiceAllocator& allocator_;
};

}  // namespace

void add_service_strategies(std::vector<StrategyRow>& rows, ServiceAllocator& services) {
  rows.push_back({"", "services", std::make_unique<ServiceStrategy>(services)});
}

}  // namespace knarr::server
