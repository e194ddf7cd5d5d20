// Services: their addresses and ports. What a client leaves out of an update it keeps; what a
// change of type no longer needs is given back.

#include "base/format.h"
#include "server/registry/address_records.h"
#include "server/registry/service_allocator.h"
#include "server/registry/service_families.h"
#include "server/registry/service_ports.h"
#include "server/registry/strategies.h"

namespace knarr::server {
namespace {

using json::Value;

bool external(const Value& spec) { return spec["type"].as_string() == "ExternalName"; }
bool headless(const Value& spec) { return spec["clusterIP"].as_string() == "None"; }
bool has_ports(const Value& spec) {
  std::string_view type = spec["type"].as_string();
  return type == "NodePort" || type == "LoadBalancer";
}
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
  ServiceStrategy(ServiceAllocator& allocator, AddressRecords& records)
      : Strategy({.create_on_update = true, .returns_deleted = true}),
        allocator_(allocator),
        records_(records) {}

  void prepare_create(StrategyContext&, Value& now) const override {
    Value& spec = now.member("spec");
    if (!external(spec) && !spec["clusterIP"].as_string().empty() && spec["clusterIPs"].empty()) {
      spec.set("clusterIPs", Value::array({spec["clusterIP"]}));
    }
  }

  void prepare_update(StrategyContext&, Value& now, const Value& old) const override {
    const Value& before = old["spec"];
    if (now["spec"]["type"].as_string() != "LoadBalancer") {
      now.member("status").set("loadBalancer", Value::object());
    }
    Value& spec = now.member("spec");
    if (external(spec)) {
      drop_addresses(spec, before);
    } else if (!external(before)) {
      keep_addresses(spec, before);
    }
    keep_ports(spec, before);
  }

  Result<void> allocate(StrategyContext& ctx, Value& now, const Value* old) const override {
    Value& spec = now.member("spec");
    static const Value none;
    const Value& before = old == nullptr ? none : (*old)["spec"];
    NamespacedName name{ctx.request.ns, ctx.request.name};
    if (!external(spec)) {
      TRY(init_families(spec, name.name));
      TRY(allocate_address(ctx, name, spec, before));
    }
    PortOperation ports(allocator_, name.name, ctx.request.dry_run, ctx.undo);
    if (has_ports(spec)) {
      TRY(has_ports(before) ? ports.take_changed(spec, before) : ports.take_first(spec));
    }
    if (wants_health_port(spec) && !wants_health_port(before)) TRY(ports.take_health_port(spec));
    return {};
  }

  void updated(const Value& now, const Value& old) const override {
    allocator_.release(old);
    allocator_.hold(now);
    for (const Value& address : old["spec"]["clusterIPs"].elements()) {
      bool kept = false;
      for (const Value& a : now["spec"]["clusterIPs"].elements()) kept = kept || a == address;
      if (!kept) withdraw(address);
    }
  }
  void deleted(const Value& old) const override {
    allocator_.release(old);
    for (const Value& address : old["spec"]["clusterIPs"].elements()) withdraw(address);
  }

 private:
  static void drop_addresses(Value& spec, const Value& before) {
    for (const char* key :
         {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"}) {
      if (spec[key] == before[key]) spec.erase(key);
    }
  }

  // The two forms of a service's addresses follow one another; what a client leaves out, it keeps.
  static void keep_addresses(Value& spec, const Value& before) {
    bool same_list = spec["clusterIPs"] == before["clusterIPs"];
    std::string_view wanted = spec["clusterIP"].as_string();
    std::string_view had = before["clusterIP"].as_string();
    if (wanted == had && spec["clusterIPs"].empty() && !before["clusterIPs"].empty()) {
      spec.set("clusterIPs", before["clusterIPs"]);
    } else if (wanted != had && same_list) {
      if (wanted.empty()) {
        spec.erase("clusterIPs");
      } else {
        spec.set("clusterIPs", Value::array({spec["clusterIP"]}));
      }
    }
    if (spec["clusterIP"].as_string().empty() && before.has("clusterIP")) {
      spec.set("clusterIP", before["clusterIP"]);
    }
    if (spec["clusterIPs"].empty() && spec["clusterIP"] == before["clusterIP"] &&
        before.has("clusterIPs")) {
      spec.set("clusterIPs", before["clusterIPs"]);
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

  static Error refused_address(const Value& spec, const NamespacedName& name,
                               const std::string& why) {
    api::ErrorList errors;
    Value shown = spec["clusterIPs"].empty() ? Value::array({Value("")}) : spec["clusterIPs"];
    errors.invalid(api::Path("spec") / "clusterIPs", shown, why);
    return api::invalid_error("", "Service", name.name, errors);
  }

  Result<void> allocate_address(StrategyContext& ctx, const NamespacedName& name, Value& spec,
                                const Value& before) const {
    if (headless(spec)) return {};
    std::string wanted = spec["clusterIP"].text();
    if (!wanted.empty() && before["clusterIP"].as_string() == wanted) return {};
    std::string address = wanted;
    Result<void> taken = take_address(ctx, address);
    if (!taken.ok()) {
      std::string which = wanted.empty() ? "failed to allocate IP: "
                                         : fmt::format("failed to allocate IP {}: ", wanted);
      return refused_address(spec, name, which + taken.error().message);
    }
    if (name.name.empty()) {
      // The record of the address is what needs a name first.
      return refused_address(spec, name,
                             fmt::format("failed to allocate IP: IPAddress.networking.k8s.io "
                                         "\"{}\" is invalid: spec.parentRef.name: Required value",
                                         address));
    }
    spec.set("clusterIP", address);
    spec.set("clusterIPs", Value::array({Value(address)}));
    if (ctx.request.dry_run) return {};
    records_.publish(address, name);
    ctx.undo.push_back([this, address] { records_.withdraw(address); });
    return {};
  }

  // Takes the address, or any when it is empty.
  Result<void> take_address(StrategyContext& ctx, std::string& address) const {
    if (ctx.request.dry_run) {
      if (!address.empty()) return allocator_.check_address(address);
      address = allocator_.network_address();
      return {};
    }
    if (!address.empty()) {
      if (records_.taken(address)) {
        return make_error(Code::kInvalid, "provided IP is already allocated");
      }
      TRY(allocator_.take_address(address));
    } else {
      // Addresses that only a record holds stay taken: they are not given twice.
      do {
        TRY_ASSIGN(address, allocator_.take_any_address());
      } while (records_.taken(address));
    }
    ctx.undo.push_back([this, address] { allocator_.free_address(address); });
    return {};
  }

  void withdraw(const Value& address) const {
    std::string_view text = address.as_string();
    if (!text.empty() && text != "None") records_.withdraw(std::string(text));
  }

  ServiceAllocator& allocator_;
  AddressRecords& records_;
};

}  // namespace

void add_service_strategies(std::vector<StrategyRow>& rows, ServiceAllocator& services,
                            AddressRecords& records) {
  rows.push_back({"", "services", std::make_unique<ServiceStrategy>(services, records)});
}

}  // namespace knarr::server
