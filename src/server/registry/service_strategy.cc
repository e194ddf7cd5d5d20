// Services: their addresses and ports. What a client leaves out of an update it keeps; what a
// change of type no longer needs is given back.

#include "base/format.h"
#include "server/registry/address_records.h"
#include "server/registry/service_allocator.h"
#include "server/registry/service_families.h"
#include "server/registry/service_ports.h"
#include "server/registry/service_update.h"
#include "server/registry/strategies.h"

namespace knarr::server {
namespace {

using json::Value;

class ServiceStrategy final : public Strategy {
 public:
  ServiceStrategy(ServiceAllocator& allocator, AddressRecords& records)
      : Strategy({.create_on_update = true, .returns_deleted = true}),
        allocator_(allocator),
        records_(records) {}

  void prepare_create(StrategyContext&, Value& now) const override {
    keep_allocated(now.member("spec"), Value());
  }

  void prepare_update(StrategyContext&, Value& now, const Value& old) const override {
    if (now["spec"]["type"].as_string() != "LoadBalancer") {
      now.member("status").set("loadBalancer", Value::object());
    }
    keep_allocated(now.member("spec"), old["spec"]);
    drop_unneeded(now.member("spec"), old["spec"]);
  }

  Result<void> allocate(StrategyContext& ctx, Value& now, const Value* old) const override {
    Value& spec = now.member("spec");
    static const Value none;
    const Value& before = old == nullptr ? none : (*old)["spec"];
    NamespacedName name{ctx.request.ns, ctx.request.name};
    if (!is_external_name(spec)) {
      TRY(init_families(spec, before, name.name, allocator_.families()));
      // A service that has addresses keeps them: validation refuses other ones.
      bool fresh = before.is_null() || is_external_name(before);
      TRY(allocate_addresses(ctx, name, spec, fresh ? 0 : before["clusterIPs"].size()));
    }
    PortOperation ports(allocator_, name.name, ctx.request.dry_run, ctx.undo);
    if (has_node_ports(spec)) {
      TRY(before.is_null() ? ports.take_first(spec) : ports.take_changed(spec, before));
    }
    if (has_health_port(spec) && !has_health_port(before)) TRY(ports.take_health_port(spec));
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
  static Error refused_address(const Value& spec, const NamespacedName& name,
                               const std::string& why) {
    api::ErrorList errors;
    Value shown = spec["clusterIPs"].empty() ? Value::array({Value("")}) : spec["clusterIPs"];
    errors.invalid(api::Path("spec") / "clusterIPs", shown, why);
    return api::invalid_error("", "Service", name.name, errors);
  }

  // One of each family, but for those that the service has had.
  Result<void> allocate_addresses(StrategyContext& ctx, const NamespacedName& name, Value& spec,
                                  size_t had) const {
    if (is_headless(spec)) return {};
    Value addresses = Value::array();
    size_t i = 0;
    for (const Value& family : spec["ipFamilies"].elements()) {
      std::string address = spec["clusterIPs"][i].text();
      if (i >= had) {
        TRY(allocate_address(ctx, name, spec, family.as_string() == "IPv6", address));
      }
      addresses.push_back(address);
      i++;
    }
    if (had >= addresses.size()) return {};
    spec.set("clusterIP", addresses[0]);
    spec.set("clusterIPs", std::move(addresses));
    return {};
  }

  Result<void> allocate_address(StrategyContext& ctx, const NamespacedName& name, const Value& spec,
                                bool v6, std::string& address) const {
    std::string wanted = address;
    Result<void> taken = take_address(ctx, v6, address);
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
    if (ctx.request.dry_run) return {};
    records_.publish(address, name);
    ctx.undo.push_back([this, address] { records_.withdraw(address); });
    return {};
  }

  // Takes the address, or any when it is empty.
  Result<void> take_address(StrategyContext& ctx, bool v6, std::string& address) const {
    if (ctx.request.dry_run) {
      if (!address.empty()) return allocator_.check_address(address);
      address = allocator_.network_address(v6);
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
        TRY_ASSIGN(address, allocator_.take_any_address(v6));
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
