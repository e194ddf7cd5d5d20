#include "agent/network/bridge_network.h"

#include <filesystem>

#include "api/ip_list.h"
#include "base/file.h"
#include "base/format.h"
#include "base/json.h"
#include "base/log.h"

namespace knarr::agent {

using json::Value;

namespace {

std::string write_state(const std::vector<std::string>& addresses,
                        const std::vector<HostPort>& ports) {
  Value list = Value::array();
  for (const HostPort& p : ports) {
    list.push_back(Value::object({{"protocol", protocol_name(p.protocol)},
                                  {"hostIP", p.host_ip},
                                  {"hostPort", static_cast<int>(p.host_port)},
                                  {"containerPort", static_cast<int>(p.container_port)}}));
  }
  Value texts = Value::array();
  for (const std::string& address : addresses) texts.push_back(address);
  return json::write(Value::object({{"addresses", std::move(texts)}, {"ports", std::move(list)}}));
}

std::vector<std::string> read_addresses(const Value& state) {
  std::vector<std::string> out;
  for (const Value& address : state["addresses"].elements()) out.push_back(address.text());
  if (state.has("address")) out.push_back(state["address"].text());  // of an older knarr
  return out;
}

std::vector<HostPort> read_ports(const Value& list) {
  std::vector<HostPort> out;
  for (const Value& p : list.elements()) {
    std::string_view name = p["protocol"].as_string();
    Protocol protocol = name == "udp"    ? Protocol::kUdp
                        : name == "sctp" ? Protocol::kSctp
                                         : Protocol::kTcp;
    out.push_back({protocol, p["hostIP"].text(), static_cast<uint16_t>(p["hostPort"].as_int()),
                   static_cast<uint16_t>(p["containerPort"].as_int())});
  }
  return out;
}

void remove_state(const std::string& path) {
  std::error_code ignored;  // it may never have been written
  std::filesystem::remove(path, ignored);
}

}  // namespace

BridgeNetwork::BridgeNetwork(base::Loop& loop, NodeRules rules, BridgeOptions options)
    : rules_(std::move(rules)),
      options_(std::move(options)),
      links_(std::make_shared<BridgeLinks>()),
      keeper_(loop, worker_, options_.bridge, [this] { return make_bridge(); }),
      worker_(loop) {
  load();
}

BridgeNetwork::~BridgeNetwork() = default;

std::string BridgeNetwork::state_path(const std::string& sandbox_id) const {
  return options_.state_dir + "/pods/" + sandbox_id;
}

void BridgeNetwork::load() {
  std::error_code failed;
  for (const auto& entry :
       std::filesystem::directory_iterator(options_.state_dir + "/pods", failed)) {
    auto text = base::read_file(entry.path());
    auto state = text.ok() ? json::parse(*text) : Result<Value>(text.error());
    if (!state.ok()) {
      base::log(base::Level::kWarning, "network", "{}: {}", entry.path().string(),
                state.error().message);
      remove_state(entry.path());
      continue;
    }
    attachments_[entry.path().filename()] = {read_addresses(*state), read_ports((*state)["ports"])};
  }
}

BridgeKeeper::Job BridgeNetwork::make_bridge() const {
  std::vector<PodPort> pods;
  for (const auto& [sandbox, attachment] : attachments_) {
    pods.push_back({sandbox, attachment.addresses});
  }
  return [links = links_, config = config_, pods = std::move(pods)] {
    return links->restore(config, pods);
  };
}

Result<void> BridgeNetwork::set_pod_cidr(const std::string& texts, std::function<void()> done) {
  if (!pools_.empty()) return {};
  std::vector<AddressPool> pools;
  std::vector<std::string> bridge_addresses, ranges;
  for (const std::string& text : api::split_list(texts)) {
    auto range = api::Cidr::parse(text);
    if (!range) return make_error(Code::kInvalid, fmt::format("pod CIDR \"{}\" is no range", text));
    pools.emplace_back(*range);
    ranges.push_back(api::Cidr{range->network(), range->prefix}.text());
    bridge_addresses.push_back(api::Cidr{pools.back().gateway(), range->prefix}.text());
  }
  if (pools.empty()) return make_error(Code::kInvalid, "no pod CIDR");
  TRY(base::make_dirs(options_.state_dir + "/pods"));
  pools_ = std::move(pools);
  for (const auto& [sandbox, attachment] : attachments_) {
    for (const std::string& text : attachment.addresses) {
      auto address = api::IpAddress::parse(text);
      if (!address) continue;
      for (AddressPool& pool : pools_) pool.adopt(sandbox, *address);
    }
  }
  config_ = {options_.bridge,
             std::move(bridge_addresses),
             options_.host_addresses,
             options_.service_cidr,
             options_.mtu,
             options_.mtu_overhead,
             options_.node_ip,
             options_.state_dir,
             options_.direct_routes};
  keeper_.start(std::move(done));
  rules_.set(RulePart::kNetwork, [&](bool v6) {
    return network_rules(options_, api::join_list(ranges), rules_.prefix(), v6);
  });
  publish_host_ports({});
  for (Request& request : std::exchange(waiting_, {})) attach_now(std::move(request));
  return {};
}

void BridgeNetwork::attach(const PodRef& pod, const std::string& sandbox_id,
                           const std::string& netns, Callback<std::vector<std::string>> done) {
  Request request{pod, sandbox_id, netns, std::move(done)};
  if (!pools_.empty()) {
    attach_now(std::move(request));
  } else {
    waiting_.push_back(std::move(request));
  }
}

// All that the sandbox has taken is given back when one pool has none left.
Result<std::vector<std::string>> BridgeNetwork::take_addresses(const std::string& sandbox_id) {
  std::vector<std::string> out;
  for (AddressPool& pool : pools_) {
    auto address = pool.take(sandbox_id);
    if (!address.ok()) {
      free_addresses(sandbox_id);
      return address.error();
    }
    out.push_back(address->text());
  }
  return out;
}

void BridgeNetwork::free_addresses(const std::string& sandbox_id) {
  for (AddressPool& pool : pools_) pool.free(sandbox_id);
}

std::vector<std::string> BridgeNetwork::gateways() const {
  std::vector<std::string> out;
  for (const AddressPool& pool : pools_) out.push_back(pool.gateway().text());
  return out;
}

void BridgeNetwork::attach_now(Request request) {
  auto addresses = take_addresses(request.sandbox_id);
  if (!addresses.ok()) {
    request.done(addresses.error());
    return;
  }
  Attachment& attachment = attachments_[request.sandbox_id];
  attachment = {*std::move(addresses), host_ports_of(*request.pod)};
  PodLink link{request.sandbox_id, request.netns, attachment.addresses, gateways()};
  auto job = [links = links_, config = config_, link, path = state_path(request.sandbox_id),
              state = write_state(attachment.addresses, attachment.ports)]() -> Result<void> {
    TRY(links->ensure(config));
    TRY(base::write_file(path, state, 0644, base::Durability::kPlain));
    auto result = links->attach(link);
    if (!result.ok()) remove_state(path);
    return result;
  };
  worker_.run<void>(std::move(job), [this, request = std::move(request)](Result<void> result) {
    attached(request, std::move(result));
  });
}

void BridgeNetwork::attached(const Request& request, Result<void> result) {
  auto it = attachments_.find(request.sandbox_id);
  if (!result.ok() || it == attachments_.end()) {
    drop(request.sandbox_id);
    request.done(result.ok() ? make_error(Code::kCanceled, "the sandbox was detached")
                             : result.error());
    return;
  }
  std::vector<std::string> addresses = it->second.addresses;
  if (it->second.ports.empty()) {
    request.done(std::move(addresses));
    return;
  }
  publish_host_ports([done = request.done, addresses](const Result<void>& published) {
    if (published.ok()) {
      done(addresses);
    } else {
      done(published.error());
    }
  });
}

void BridgeNetwork::drop(const std::string& sandbox_id) {
  auto it = attachments_.find(sandbox_id);
  if (it == attachments_.end()) return;
  bool published = !it->second.ports.empty();
  attachments_.erase(it);
  free_addresses(sandbox_id);
  if (published && !pools_.empty()) publish_host_ports({});
}

void BridgeNetwork::detach(const std::string& sandbox_id, Callback<void> done) {
  std::erase_if(waiting_, [&](const Request& r) { return r.sandbox_id == sandbox_id; });
  auto it = attachments_.find(sandbox_id);
  auto addresses = it == attachments_.end() ? std::vector<std::string>() : it->second.addresses;
  auto job = [links = links_, bridge = options_.bridge, sandbox_id, addresses,
              path = state_path(sandbox_id)]() -> Result<void> {
    TRY(links->detach(bridge, sandbox_id, addresses));
    remove_state(path);
    return {};
  };
  worker_.run<void>(std::move(job),
                    [this, sandbox_id, done = std::move(done)](Result<void> result) {
                      if (result.ok()) drop(sandbox_id);
                      if (done) done(std::move(result));
                    });
}

void BridgeNetwork::keep_only(const std::vector<std::string>& sandbox_ids) {
  for (const auto& [sandbox, attachment] : attachments_) {
    bool kept = std::find(sandbox_ids.begin(), sandbox_ids.end(), sandbox) != sandbox_ids.end();
    if (kept) continue;
    detach(sandbox, [sandbox = sandbox](const Result<void>& result) {
      if (!result.ok()) {
        base::log(base::Level::kWarning, "network", "sandbox {}: {}", sandbox,
                  result.error().message);
      }
    });
  }
}

void BridgeNetwork::publish_host_ports(Iptables::Done done) {
  std::map<std::string, PublishedPod> pods;
  for (const auto& [sandbox, attachment] : attachments_) {
    if (attachment.ports.empty()) continue;
    pods[sandbox] = {api::join_list(attachment.addresses), attachment.ports};
  }
  rules_.set(
      RulePart::kHostPorts, [&](bool v6) { return host_port_rules(pods, rules_.prefix(), v6); },
      std::move(done));
}

RuleSet network_rules(const BridgeOptions& options, const std::string& pod_cidrs,
                      const std::string& prefix, bool v6) {
  RuleSet rules;
  std::string egress = prefix + "-EGRESS", pods = prefix + "-PODS", host = prefix + "-HOST";
  std::string cluster_cidr = api::of_family(options.cluster_cidr, v6);
  std::string pod_cidr = api::of_family(pod_cidrs, v6);
  if (!cluster_cidr.empty()) {
    rules.rule("nat", egress, fmt::format("-d {} -j RETURN", cluster_cidr));
  }
  rules.rule("nat", egress,
             fmt::format("! -d {} -j MASQUERADE --random-fully", v6 ? "ff00::/8" : "224.0.0.0/4"));
  if (!pod_cidr.empty()) {
    rules.jump("nat", "POSTROUTING",
               fmt::format("-s {} {} -j {}", pod_cidr, comment("knarr pods to outside"), egress));
  }

  rules.rule("filter", pods, fmt::format("-i {} -j ACCEPT", options.bridge));
  rules.rule("filter", pods, fmt::format("-o {} -j ACCEPT", options.bridge));
  rules.jump("filter", "FORWARD", comment("knarr pods") + " -j " + pods);

  rules.chain("filter", host);
  // route_localnet lets packets to 127.0.0.0/8 in by the bridge: only answers are welcome.
  if (!v6) {
    rules.rule("filter", host,
               "! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate "
               "RELATED,ESTABLISHED,DNAT -j DROP");
  }
  for (const std::string& address : options.host_addresses) {
    if (api::is_v6(address) != v6) continue;
    for (const char* protocol : {"udp", "tcp"}) {
      rules.rule("filter", host,
                 fmt::format("-d {0}/{3} -i {1} -p {2} -m {2} --dport 53 -j ACCEPT", address,
                             options.bridge, protocol, v6 ? 128 : 32));
    }
  }
  rules.jump("filter", "INPUT", comment("knarr host") + " -j " + host);
  return rules;
}

}  // namespace knarr::agent
