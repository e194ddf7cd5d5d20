#include "server/registry/service_ports.h"

#include <algorithm>
#include <climits>
#include <map>
#include <set>

#include "api/validation/errors.h"
#include "base/format.h"
#include "server/registry/service_update.h"
#include "server/status/errors.h"

namespace knarr::server {
namespace {

using json::Value;

// What a dry run is given first: just beyond every port there is by default.
constexpr int kFirstDryPort = 32769;

int node_port(const Value& port) { return static_cast<int>(port["nodePort"].as_int()); }

Error no_port_left(const Error& why) {
  return internal_error("failed to allocate a nodePort: " + why.message);
}

// The node port that the first entry for a port asks for, by port.
std::map<int64_t, int> asked_for(const Value& ports) {
  std::map<int64_t, int> asked;
  for (const Value& p : ports.elements()) {
    if (node_port(p) != 0) asked.emplace(p["port"].as_int(), node_port(p));
  }
  return asked;
}

}  // namespace

Error PortOperation::refusal(size_t index, int port, const std::string& why) const {
  api::ErrorList errors;
  errors.invalid((api::Path("spec") / "ports")[index] / "nodePort", Value(port), why);
  return api::invalid_error("", "Service", service_, errors);
}

Result<void> PortOperation::take(int port) {
  if (dry_run_) {
    if (taken_.count(port) != 0 || allocator_.has_port(port)) {
      return make_error(Code::kInvalid, "provided port is already allocated");
    }
  } else {
    TRY(allocator_.take_port(port));
    undo_.emplace_back([&allocator = allocator_, port] { allocator.free_port(port); });
  }
  taken_.insert(port);
  return {};
}

Result<int> PortOperation::take_any() {
  int port = kFirstDryPort;
  if (dry_run_) {
    // What is asked for may be any number: validation comes later.
    if (!taken_.empty()) port = std::max(port, std::min(*taken_.rbegin(), INT_MAX - 1) + 1);
  } else {
    TRY_ASSIGN(port, allocator_.take_any_port());
    undo_.emplace_back([&allocator = allocator_, port] { allocator.free_port(port); });
  }
  taken_.insert(port);
  return port;
}

Result<void> PortOperation::take_first(Value& spec) {
  Value* ports = spec.find("ports");
  if (ports == nullptr) return {};
  const std::map<int64_t, int> asked = asked_for(*ports);
  std::map<int64_t, int> given;  // by service port: protocols of one port share a node port
  size_t index = 0;
  for (Value& port : ports->elements()) {
    size_t at = index++;
    int wanted = node_port(port);
    if (wanted == 0 && !gives_node_ports(spec)) continue;
    int& mine = given[port["port"].as_int()];
    if (mine == 0) {
      auto found = asked.find(port["port"].as_int());
      mine = found == asked.end() ? 0 : found->second;
      if (mine != 0) {
        Result<void> taken = take(mine);
        if (!taken.ok()) return refusal(at, mine, taken.error().message);
      } else {
        Result<int> any = take_any();
        if (!any.ok()) return no_port_left(any.error());
        mine = *any;
      }
      port.set("nodePort", mine);
    } else if (wanted == 0) {
      port.set("nodePort", mine);
    } else if (wanted != mine) {
      Result<void> taken = take(wanted);
      if (!taken.ok()) return refusal(at, wanted, taken.error().message);
    }
  }
  return {};
}

Result<void> PortOperation::take_changed(Value& spec, const Value& before) {
  Value* ports = spec.find("ports");
  if (ports == nullptr) return {};
  std::set<int> had;
  for (const Value& port : before["ports"].elements()) had.insert(node_port(port));
  std::set<std::pair<std::string_view, int>> held;  // protocol and node port
  size_t index = 0;
  for (Value& port : ports->elements()) {
    size_t at = index++;
    int wanted = node_port(port);
    if (wanted == 0) {
      if (!gives_node_ports(spec)) continue;
      Result<int> any = take_any();
      if (!any.ok()) return no_port_left(any.error());
      port.set("nodePort", wanted = *any);
    } else if (had.count(wanted) == 0 && taken_.count(wanted) == 0) {
      Result<void> taken = take(wanted);
      if (!taken.ok()) return refusal(at, wanted, taken.error().message);
    }
    std::string_view protocol = port["protocol"].as_string();
    if (!held.insert({protocol, wanted}).second) {
      return make_error(Code::kUnknown,
                        fmt::format("duplicate nodePort: {{{} {}}}", protocol, wanted));
    }
  }
  return {};
}

Result<void> PortOperation::take_health_port(Value& spec) {
  int wanted = static_cast<int>(spec["healthCheckNodePort"].as_int());
  if (wanted == 0) {
    Result<int> any = take_any();
    if (!any.ok()) {
      return internal_error(
          fmt::format("failed to allocate a HealthCheck NodePort 0: {}", any.error().message));
    }
    spec.set("healthCheckNodePort", *any);
    return {};
  }
  Result<void> taken = take(wanted);
  if (taken.ok()) return {};
  return internal_error(fmt::format("failed to allocate requested HealthCheck NodePort {}: {}",
                                    wanted, taken.error().message));
}

}  // namespace knarr::server
