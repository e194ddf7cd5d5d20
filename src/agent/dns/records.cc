#include "agent/dns/records.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "api/ip.h"
#include "base/ascii.h"
#include "base/format.h"

namespace knarr::agent {

namespace dns = net::dns;

namespace {

constexpr char kSchemaVersion[] = "1.1.0";
constexpr uint32_t kRefreshSeconds = 7200, kRetrySeconds = 1800, kExpireSeconds = 86400;

std::vector<std::string> split(std::string_view name) {
  std::vector<std::string> labels;
  while (!name.empty()) {
    size_t dot = std::min(name.find('.'), name.size());
    labels.emplace_back(name.substr(0, dot));
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  return labels;
}

// "_http" of an SRV name is the port "http".
std::string plain_label(const std::string& label) {
  return label.starts_with("_") ? label.substr(1) : label;
}

// The name of an endpoint below its service: its host name, else its address with dashes.
std::string endpoint_name(const EndpointView& endpoint, const std::string& address) {
  if (!endpoint.hostname.empty()) return base::lower(endpoint.hostname);
  std::string out = address;
  for (char& c : out) {
    if (c == '.' || c == ':') c = '-';
  }
  return out;
}

// What a name below svc asks for. Empty members were not asked.
struct Wanted {
  std::string ns, service, endpoint, port, protocol;

  bool takes(const std::string& name, Protocol p) const {
    if (port.empty() && protocol.empty()) return true;
    return port == base::lower(name) && protocol == protocol_name(p);
  }
};

// One address and port that a name stands for.
struct Item {
  std::string address;
  uint16_t port = 0;
  std::string target;  // the name of the address itself, as SRV records need it
};

class Lookup {
 public:
  Lookup(const ServiceState& state, const DnsZone& zone, const dns::Question& question)
      : state_(state), zone_(zone), question_(question) {}

  DnsAnswer run() {
    if (question_.klass != dns::kClassIn) return std::move(out_);
    std::string name = base::lower(question_.name);
    if (question_.type == dns::kPtr) {
      if (std::string ip = dns::reverse_address(name); !ip.empty()) return reverse(ip);
    }
    if (name != zone_.domain && !name.ends_with("." + zone_.domain)) return std::move(out_);
    out_.kind = DnsAnswer::Kind::kAnswer;
    name.resize(name.size() - zone_.domain.size());
    below_zone(split(name));
    if (out_.answers.empty()) {
      out_.authorities.push_back(soa());
      out_.additionals.clear();
    }
    return std::move(out_);
  }

 private:
  void below_zone(std::vector<std::string> labels) {
    if (labels.empty()) return apex();
    std::string kind = labels.back();
    size_t depth = labels.size();
    if (kind == "svc") {
      if (depth >= 3) below_svc(labels);  // above that there is nothing but names below
    } else if (kind == "pod") {
      if (depth == 3) pod(labels[0]);
      if (depth > 3) no_name();
    } else if (kind == "dns") {
      if (depth == 2 && labels[0] == "ns") {
        add_address(question_.name, zone_.address, out_.answers);
      } else if (depth > 1) {
        no_name();
      }
    } else if (kind == "dns-version" && depth == 1) {
      if (question_.type == dns::kTxt) add(dns::kTxt, dns::Txt{{kSchemaVersion}});
    } else {
      no_name();
    }
  }

  // The service whose address is the server's, when there is one.
  std::string server_name() const {
    auto service = state_.services.find({"kube-system", "kube-dns"});
    bool known = service != state_.services.end() && !service->second.cluster_ips.empty() &&
                 service->second.cluster_ips[0] == zone_.address;
    return known ? service_domain(service->second) : "ns.dns." + zone_.domain;
  }

  void apex() {
    std::string server = server_name();
    if (question_.type == dns::kSoa) out_.answers.push_back(soa());
    if (question_.type != dns::kNs) return;
    add(dns::kNs, dns::Name{server});
    bool v6 = zone_.address.find(':') != std::string::npos;
    out_.additionals.push_back(
        record(server, v6 ? dns::kAaaa : dns::kA, dns::Address{zone_.address}));
  }

  void below_svc(const std::vector<std::string>& labels) {
    size_t depth = labels.size();
    Wanted wanted;
    wanted.ns = labels[depth - 2];
    wanted.service = labels[depth - 3];
    if (depth == 4) wanted.endpoint = labels[0];
    if (depth == 5) {
      wanted.port = plain_label(labels[0]);
      wanted.protocol = plain_label(labels[1]);
    }
    auto it = state_.services.find({wanted.ns, wanted.service});
    if (depth > 5 || it == state_.services.end()) return no_name();
    const ServiceView& service = it->second;
    if (!service.external_name.empty()) return external(service, depth);
    bool by_endpoint = service.headless || !wanted.endpoint.empty();
    answer_with(by_endpoint ? endpoint_items(service, wanted) : service_items(service, wanted));
  }

  void external(const ServiceView& service, size_t depth) {
    std::string target = service.external_name;
    if (target.ends_with(".")) target.pop_back();
    if (depth != 3 || api::IpAddress::parse(target)) return no_name();
    bool address = question_.type == dns::kA || question_.type == dns::kAaaa;
    if (!address && question_.type != dns::kCname) return;
    add(dns::kCname, dns::Name{target});
    if (!address) return;
    out_.kind = DnsAnswer::Kind::kAlias;
    out_.alias = target;
  }

  std::string service_domain(const ServiceView& service) const {
    return fmt::format("{}.{}.svc.{}", service.name.name, service.name.ns, zone_.domain);
  }

  std::vector<Item> service_items(const ServiceView& service, const Wanted& wanted) const {
    std::vector<Item> items;
    for (const ServicePort& port : service.ports) {
      if (!wanted.takes(port.name, port.protocol)) continue;
      for (const std::string& ip : service.cluster_ips) {
        items.push_back({ip, port.port, service_domain(service)});
      }
    }
    return items;
  }

  std::vector<Item> endpoint_items(const ServiceView& service, const Wanted& wanted) const {
    std::vector<Item> items;
    auto slices = state_.slices.find(service.name);
    if (slices == state_.slices.end()) return items;
    for (const auto& [name, slice] : slices->second) {
      if (slice.fqdn) continue;
      std::vector<SlicePort> ports = slice.ports;
      if (ports.empty()) ports.push_back({});
      for (const EndpointView& endpoint : slice.endpoints) {
        if (!endpoint.ready) continue;
        for (const std::string& ip : endpoint.addresses) {
          std::string label = endpoint_name(endpoint, ip);
          if (!wanted.endpoint.empty() && wanted.endpoint != label) continue;
          for (const SlicePort& port : ports) {
            if (!wanted.takes(port.name, port.protocol)) continue;
            items.push_back({ip, port.port, label + "." + service_domain(service)});
          }
        }
      }
    }
    return items;
  }

  void answer_with(const std::vector<Item>& items) {
    if (items.empty()) return no_name();
    if (question_.type == dns::kSrv) return answer_srv(items);
    std::set<std::string> seen;
    for (const Item& item : items) {
      if (seen.insert(item.address).second) {
        add_address(question_.name, item.address, out_.answers);
      }
    }
  }

  void answer_srv(const std::vector<Item>& items) {
    std::set<std::pair<std::string, uint16_t>> targets;
    std::set<std::pair<std::string, std::string>> addresses;
    for (const Item& item : items) {
      if (item.port != 0) targets.emplace(item.target, item.port);
    }
    for (const auto& [target, port] : targets) {
      auto weight = static_cast<uint16_t>(std::max<size_t>(1, 100 / targets.size()));
      add(dns::kSrv, dns::Srv{0, weight, port, target});
    }
    for (const Item& item : items) {
      if (!addresses.emplace(item.target, item.address).second) continue;
      bool v6 = item.address.find(':') != std::string::npos;
      out_.additionals.push_back(
          record(item.target, v6 ? dns::kAaaa : dns::kA, dns::Address{item.address}));
    }
  }

  // "10-42-0-5": the address is in the name; whether there is such a pod is not asked.
  void pod(const std::string& label) {
    std::string text = label;
    bool v4 = std::count(text.begin(), text.end(), '-') == 3 && text.find("--") == text.npos;
    std::replace(text.begin(), text.end(), '-', v4 ? '.' : ':');
    auto ip = api::IpAddress::parse(text);
    if (!ip) return no_name();
    add_address(question_.name, ip->text(), out_.answers);
  }

  // Cluster IPs, then endpoints that have a host name. Other addresses may be known upstream.
  DnsAnswer reverse(const std::string& ip) {
    auto canonical = api::IpAddress::parse(ip);
    if (!canonical) return std::move(out_);
    std::string address = canonical->text();
    for (const auto& [name, service] : state_.services) {
      const auto& ips = service.cluster_ips;
      if (std::find(ips.begin(), ips.end(), address) == ips.end()) continue;
      add(dns::kPtr, dns::Name{service_domain(service)});
    }
    if (out_.answers.empty()) reverse_endpoints(address);
    if (!out_.answers.empty()) out_.kind = DnsAnswer::Kind::kAnswer;
    return std::move(out_);
  }

  void reverse_endpoints(const std::string& address) {
    std::set<std::string> names;
    for (const auto& [service, slices] : state_.slices) {
      for (const auto& [name, slice] : slices) {
        for (const EndpointView& endpoint : slice.endpoints) {
          const auto& ips = endpoint.addresses;
          if (endpoint.hostname.empty() || !endpoint.ready) continue;
          if (std::find(ips.begin(), ips.end(), address) == ips.end()) continue;
          names.insert(fmt::format("{}.{}.{}.svc.{}", base::lower(endpoint.hostname), service.name,
                                   service.ns, zone_.domain));
        }
      }
    }
    for (const std::string& name : names) add(dns::kPtr, dns::Name{name});
  }

  dns::Record record(const std::string& name, uint16_t type,
                     decltype(dns::Record::data) data) const {
    return {name, type, dns::kClassIn, zone_.ttl_seconds, std::move(data)};
  }
  void add(uint16_t type, decltype(dns::Record::data) data) {
    out_.answers.push_back(record(question_.name, type, std::move(data)));
  }
  // When the question is of the address' family.
  void add_address(const std::string& name, const std::string& address,
                   std::vector<dns::Record>& to) const {
    uint16_t type = address.find(':') == std::string::npos ? dns::kA : dns::kAaaa;
    if (question_.type == type) to.push_back(record(name, type, dns::Address{address}));
  }
  dns::Record soa() const {
    return record(zone_.domain, dns::kSoa,
                  dns::Soa{"ns.dns." + zone_.domain, "hostmaster." + zone_.domain, zone_.serial,
                           kRefreshSeconds, kRetrySeconds, kExpireSeconds, zone_.ttl_seconds});
  }
  void no_name() { out_.rcode = dns::kNxDomain; }

  const ServiceState& state_;
  const DnsZone& zone_;
  const dns::Question& question_;
  DnsAnswer out_;
};

}  // namespace

DnsAnswer dns_answer(const ServiceState& state, const DnsZone& zone,
                     const dns::Question& question) {
  return Lookup(state, zone, question).run();
}

}  // namespace knarr::agent
