// Services and what stands behind and in front of them.
#include <set>

#include "api/table/columns.h"
#include "base/format.h"

namespace knarr::api::table {
namespace {

// Addresses of a load balancer, sorted, each once.
std::set<std::string> ingress_addresses(const json::Value& object) {
  std::set<std::string> out;
  for (const json::Value& ingress : object["status"]["loadBalancer"]["ingress"].elements()) {
    std::string_view ip = ingress["ip"].as_string();
    std::string_view address = ip.empty() ? ingress["hostname"].as_string() : ip;
    if (!address.empty()) out.emplace(address);
  }
  return out;
}

std::vector<std::string> strings(const json::Value& list) {
  std::vector<std::string> out;
  for (const json::Value& item : list.elements()) out.push_back(item.text());
  return out;
}

json::Value cluster_ip(const json::Value& service, int64_t) {
  const json::Value& ips = service["spec"]["clusterIPs"];
  return ips.empty() ? "<none>" : ips[0].as_string();
}

json::Value external_ip(const json::Value& service, int64_t) {
  std::string_view type = service["spec"]["type"].as_string();
  std::vector<std::string> external = strings(service["spec"]["externalIPs"]);
  if (type == "ExternalName") return service["spec"]["externalName"].as_string();
  if (type == "ClusterIP" || type == "NodePort") {
    return external.empty() ? "<none>" : joined(external, ",");
  }
  if (type != "LoadBalancer") return "<unknown>";
  std::set<std::string> addresses = ingress_addresses(service);
  std::vector<std::string> all(addresses.begin(), addresses.end());
  all.insert(all.end(), external.begin(), external.end());
  return all.empty() ? "<pending>" : joined(all, ",");
}

json::Value service_ports(const json::Value& service, int64_t) {
  std::vector<std::string> out;
  for (const json::Value& port : service["spec"]["ports"].elements()) {
    int64_t node_port = port["nodePort"].as_int();
    out.push_back(fmt::format("{}{}/{}", port["port"].as_int(),
                              node_port > 0 ? fmt::format(":{}", node_port) : "",
                              port["protocol"].as_string()));
  }
  return out.empty() ? "<none>" : joined(out, ",");
}

json::Value service_selector(const json::Value& service, int64_t) {
  return label_list(service["spec"]["selector"]);
}

std::string host_port(std::string_view ip, int64_t port) {
  if (ip.find(':') != std::string_view::npos) return fmt::format("[{}]:{}", ip, port);
  return fmt::format("{}:{}", ip, port);
}

json::Value endpoints(const json::Value& object, int64_t) {
  if (object["subsets"].empty()) return "<none>";
  std::vector<std::string> out;
  for (const json::Value& subset : object["subsets"].elements()) {
    if (subset["ports"].empty()) {
      for (const json::Value& address : subset["addresses"].elements()) {
        out.push_back(address["ip"].text());
      }
    }
    for (const json::Value& port : subset["ports"].elements()) {
      for (const json::Value& address : subset["addresses"].elements()) {
        out.push_back(host_port(address["ip"].as_string(), port["port"].as_int()));
      }
    }
  }
  return some_of(out, 3, out.size());
}

json::Value slice_ports(const json::Value& slice, int64_t) {
  std::vector<std::string> out;
  for (const json::Value& port : slice["ports"].elements()) {
    if (!port["port"].is_null()) {
      out.push_back(std::to_string(port["port"].as_int()));
    } else {
      out.push_back(port["name"].is_null() ? "*" : port["name"].text());
    }
  }
  return out.empty() ? "<unset>" : some_of(out, 3, out.size());
}

json::Value slice_endpoints(const json::Value& slice, int64_t) {
  std::vector<std::string> out;
  for (const json::Value& endpoint : slice["endpoints"].elements()) {
    for (const json::Value& address : endpoint["addresses"].elements())
      out.push_back(address.text());
  }
  return out.empty() ? "<unset>" : some_of(out, 3, out.size());
}

json::Value class_name(const json::Value& object, int64_t) {
  std::string name = object["metadata"]["name"].text();
  std::string_view mark =
      object["metadata"]["annotations"]["ingressclass.kubernetes.io/is-default-class"].as_string();
  return mark == "true" ? name + " (default)" : name;
}

json::Value class_parameters(const json::Value& object, int64_t) {
  const json::Value& parameters = object["spec"]["parameters"];
  if (parameters.is_null()) return "<none>";
  std::string out = parameters["kind"].text();
  if (!parameters["apiGroup"].is_null()) out += "." + parameters["apiGroup"].text();
  return out + "/" + parameters["name"].text();
}

json::Value ingress_hosts(const json::Value& ingress, int64_t) {
  const json::Value& rules = ingress["spec"]["rules"];
  std::vector<std::string> hosts;
  for (const json::Value& rule : rules.elements()) {
    if (hosts.size() < 3 && !rule["host"].as_string().empty()) hosts.push_back(rule["host"].text());
  }
  if (hosts.empty()) return "*";
  return some_of(hosts, 3, rules.size());
}

json::Value ingress_address(const json::Value& ingress, int64_t) {
  std::set<std::string> addresses = ingress_addresses(ingress);
  return joined({addresses.begin(), addresses.end()}, ",");
}

json::Value ingress_ports(const json::Value& ingress, int64_t) {
  return ingress["spec"]["tls"].empty() ? "80" : "80, 443";
}

json::Value parent(const json::Value& address, int64_t) {
  const json::Value& ref = address["spec"]["parentRef"];
  if (ref.is_null()) return "<none>";
  std::string out = ref["resource"].text();
  if (!ref["group"].as_string().empty()) out += "." + ref["group"].text();
  out = lower(out);
  if (!ref["namespace"].as_string().empty()) out += "/" + ref["namespace"].text();
  return out + "/" + ref["name"].text();
}

json::Value policy_selector(const json::Value& policy, int64_t) {
  return selector_text(policy["spec"]["podSelector"], "<none>", "<error>");
}

json::Value cidrs(const json::Value& object, int64_t) {
  return joined(strings(object["spec"]["cidrs"]), ",");
}

constexpr Column kServices[] = {
    name_column(),
    text("Type", "spec.type"),
    cell("Cluster-IP", cluster_ip),
    cell("External-IP", external_ip),
    cell("Port(s)", service_ports),
    age_column(),
    cell("Selector", service_selector, "string", 1),
};
constexpr Column kEndpoints[] = {name_column(), cell("Endpoints", endpoints), age_column()};
constexpr Column kSlices[] = {name_column(), text("AddressType", "addressType"),
                              cell("Ports", slice_ports), cell("Endpoints", slice_endpoints),
                              age_column()};
constexpr Column kClasses[] = {
    {"Name", "string", "name", 0, class_name, nullptr, nullptr},
    text("Controller", "spec.controller"),
    cell("Parameters", class_parameters),
    age_column(),
};
constexpr Column kIngresses[] = {
    name_column(),
    text("Class", "spec.ingressClassName", "<none>"),
    cell("Hosts", ingress_hosts),
    cell("Address", ingress_address),
    cell("Ports", ingress_ports),
    age_column(),
};
constexpr Column kAddresses[] = {name_column(), cell("ParentRef", parent)};
constexpr Column kPolicies[] = {name_column(), cell("Pod-Selector", policy_selector), age_column()};
constexpr Column kServiceCidrs[] = {name_column(), cell("CIDRs", cidrs), age_column()};

constexpr ResourceTable kTables[] = {
    {"", "services", kServices},
    {"", "endpoints", kEndpoints},
    {"discovery.k8s.io", "endpointslices", kSlices},
    {"networking.k8s.io", "ingressclasses", kClasses},
    {"networking.k8s.io", "ingresses", kIngresses},
    {"networking.k8s.io", "ipaddresses", kAddresses},
    {"networking.k8s.io", "networkpolicies", kPolicies},
    {"networking.k8s.io", "servicecidrs", kServiceCidrs},
};

}  // namespace

std::span<const ResourceTable> network_tables() { return kTables; }

}  // namespace knarr::api::table
