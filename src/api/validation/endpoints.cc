// Endpoints and endpoint slices.
#include <set>

#include "api/ip.h"
#include "api/validation/network.h"

namespace knarr::api::rules {
namespace {

// Like a host's name, with a domain.
void fully_qualified_domain(const Value& value, const Path& path, ErrorList& errors) {
  std::string_view name = value.as_string();
  if (name.empty()) return errors.required(path);
  if (name.back() == '.') name.remove_suffix(1);
  if (Problems problems = check_dns1123_subdomain(name); !problems.empty()) {
    return errors.invalid(path, name, joined(problems, ","));
  }
  if (name.find('.') == std::string_view::npos) {
    errors.invalid(path, name, "should be a domain with at least two segments separated by dots");
  }
  for (size_t begin = 0; begin <= name.size();) {
    size_t end = name.find('.', begin);
    std::string_view label = name.substr(begin, end - begin);
    if (label.size() > 63) {
      errors.invalid(path, label, "must be no more than 63 bytes");
    }
    if (end == std::string_view::npos) break;
    begin = end + 1;
  }
}

void endpoint_address(const Value& address, const Path& path, ErrorList& errors) {
  ip_address(address["ip"], path / "ip", errors);
  if (!address["hostname"].as_string().empty())
    dns_label(address["hostname"], path / "hostname", errors);
  if (!address["nodeName"].is_null()) dns_subdomain(address["nodeName"], path / "nodeName", errors);
  non_special_ip(address["ip"].as_string(), path / "ip", errors);
}

void endpoint_ports(const Value& ports, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const Value& port : ports.elements()) {
    Path at = path[i++];
    if (ports.size() > 1 && port["name"].as_string().empty()) {
      errors.required(at / "name");
    } else if (!port["name"].as_string().empty()) {
      dns_label(port["name"], at / "name", errors);
    }
    errors.invalid_all(at / "port", port["port"].as_int(),
                       check_port_number(port["port"].as_int()));
    one_of(port["protocol"], {"SCTP", "TCP", "UDP"}, at / "protocol", errors);
    if (!port["appProtocol"].is_null())
      qualified_name(port["appProtocol"], at / "appProtocol", errors);
  }
}

}  // namespace

void endpoints(const Value& object, ErrorList& errors) {
  size_t i = 0;
  for (const Value& subset : object["subsets"].elements()) {
    Path at = Path("subsets")[i++];
    if (subset["addresses"].empty() && subset["notReadyAddresses"].empty()) {
      errors.required(at, "must specify `addresses` or `notReadyAddresses`");
    }
    for (const char* member : {"addresses", "notReadyAddresses"}) {
      size_t j = 0;
      for (const Value& address : subset[member].elements()) {
        endpoint_address(address, (at / member)[j++], errors);
      }
    }
    endpoint_ports(subset["ports"], at / "ports", errors);
  }
}

namespace {

void slice_addresses(const Value& addresses, std::string_view type, const Path& path,
                     ErrorList& errors) {
  if (addresses.empty()) {
    errors.required(path, "must contain at least 1 address");
  } else if (addresses.size() > 100) {
    errors.too_many(path, static_cast<int64_t>(addresses.size()), 100);
  }
  size_t i = 0;
  for (const Value& address : addresses.elements()) {
    Path at = path[i++];
    if (type == "FQDN") {
      fully_qualified_domain(address, at, errors);
      continue;
    }
    if (type != "IPv4" && type != "IPv6") continue;
    auto ip = IpAddress::parse(address.as_string());
    if (!ip) {
      errors.invalid(at, address, kBadIp);
    } else if (ip->v6 != (type == "IPv6")) {
      errors.invalid(path, address,
                     type == "IPv6" ? "must be an IPv6 address" : "must be an IPv4 address");
    }
    if (ip) non_special_ip(address.as_string(), at, errors);
  }
}

void slice_ports(const Value& ports, const Path& path, ErrorList& errors) {
  if (ports.size() > 20000) {
    return errors.too_many(path, static_cast<int64_t>(ports.size()), 20000);
  }
  std::set<std::string_view> names;
  size_t i = 0;
  for (const Value& port : ports.elements()) {
    Path at = path[i++];
    std::string_view name = port["name"].as_string();
    if (!name.empty()) dns_label(name, at / "name", errors);
    if (!names.insert(name).second) errors.duplicate(at / "name", name);
    if (port["protocol"].is_null()) {
      errors.required(at / "protocol");
    } else {
      maybe_one_of(port["protocol"], {"SCTP", "TCP", "UDP"}, at / "protocol", errors);
    }
    if (!port["appProtocol"].is_null())
      qualified_name(port["appProtocol"], at / "appProtocol", errors);
  }
}

void hint(const Value& names, bool of_nodes, const Path& path, ErrorList& errors) {
  std::set<std::string_view> seen;
  size_t i = 0;
  for (const Value& one : names.elements()) {
    Path at = path[i++] / "name";
    std::string_view name = one["name"].as_string();
    if (!seen.insert(name).second) errors.duplicate(at, name);
    errors.invalid_all(at, name,
                       of_nodes ? check_dns1123_subdomain(name) : check_label_value(name));
  }
}

void hints(const Value& hints, const Path& path, ErrorList& errors) {
  constexpr int64_t kMost = 8;
  for (const char* member : {"forZones", "forNodes"}) {
    const Value& names = hints[member];
    auto size = static_cast<int64_t>(names.size());
    if (size > kMost) return errors.too_many(path / member, size, kMost);
    hint(names, std::string_view(member) == "forNodes", path / member, errors);
  }
}

void slice_endpoints(const Value& list, std::string_view type, ErrorList& errors) {
  constexpr int64_t kMost = 1000;
  constexpr int64_t kMostLabels = 16;
  auto size = static_cast<int64_t>(list.size());
  if (size > kMost) return errors.too_many(Path("endpoints"), size, kMost);
  size_t i = 0;
  for (const Value& endpoint : list.elements()) {
    Path at = Path("endpoints")[i++];
    slice_addresses(endpoint["addresses"], type, at / "addresses", errors);
    if (!endpoint["nodeName"].is_null())
      dns_subdomain(endpoint["nodeName"], at / "nodeName", errors);
    const Value& topology = endpoint["deprecatedTopology"];
    auto labels = static_cast<int64_t>(topology.size());
    if (labels > kMostLabels) errors.too_many(at / "deprecatedTopology", labels, kMostLabels);
    validate_labels(topology, at / "deprecatedTopology", errors);
    if (!endpoint["hostname"].is_null()) dns_label(endpoint["hostname"], at / "hostname", errors);
    hints(endpoint["hints"], at / "hints", errors);
  }
}

void slice_type_and_ports(const Value& object, ErrorList& errors) {
  one_of(object["addressType"], {"FQDN", "IPv4", "IPv6"}, Path("addressType"), errors);
  slice_ports(object["ports"], Path("ports"), errors);
}

}  // namespace

void endpoint_slice(const Value& object, ErrorList& errors) {
  slice_type_and_ports(object, errors);
  slice_endpoints(object["endpoints"], object["addressType"].as_string(), errors);
}

void endpoint_slice_update(const Value& object, const Value& old, ErrorList& errors) {
  metadata_again(object, true, errors);
  slice_type_and_ports(object, errors);
  if (!same(object["endpoints"], old["endpoints"])) {  // what was accepted once may stay
    slice_endpoints(object["endpoints"], object["addressType"].as_string(), errors);
  }
  immutable(object["addressType"], old["addressType"], Path("addressType"), errors);
}

void endpoints_update(const Value& object, const Value& old, ErrorList& errors) {
  metadata_again(object, true, errors);
  if (!same(object["subsets"], old["subsets"])) endpoints(object, errors);
}

}  // namespace knarr::api::rules
