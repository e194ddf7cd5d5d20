#include "agent/network/bridge_network.h"

#include <filesystem>

#include "base/file.h"
#include "base/format.h"
#include "base/json.h"
#include "base/log.h"

namespace knarr::agent {

using json::Value;

namespace {

std::string write_state(const std::string& address, const std::vector<HostPort>& ports) {
  Value list = Value::array();
  for (const HostPort& p : ports) {
    list.push_back(Value::object({{"protocol", protocol_name(p.protocol)},
                                  {"hostIP", p.host_ip},
                                  {"hostPort", static_cast<int>(p.host_port)},
                                  {"containerPort", static_cast<int>(p.container_port)}}));
  }
  return json::write(Value::object({{"address", address}, {"ports", std::move(list)}}));
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

BridgeNetwork::BridgeNetwork(base::Loop& loop, Iptables& iptables, BridgeOptions options)
    : iptables_(iptables),
      options_(std::move(options)),
      links_(std::make_shared<BridgeLinks>()),
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
    attachments_[entry.path().filename()] = {(*state)["address"].text(),
                                             read_ports((*state)["ports"])};
  }
}

Result<void> BridgeNetwork::set_pod_cidr(const std::string& text, Callback<void> done) {
  if (pool_) return {};
  auto range = api::Cidr::parse(text);
  if (!range || range->address.v6) {
    return make_error(Code::kInvalid, fmt::format("pod CIDR \"{}\" is no IPv4 range", text));
  }
  TRY(base::make_dirs(options_.state_dir + "/pods"));
  pool_.emplace(*range);
  for (const auto& [sandbox, attachment] : attachments_) {
    auto address = api::IpAddress::parse(attachment.address);
    if (address) pool_->adopt(sandbox, *address);
  }
  config_ = {options_.bridge,
             api::Cidr{pool_->gateway(), range->prefix}.text(),
             options_.host_addresses,
             options_.service_cidr,
             options_.mtu,
             options_.mtu_overhead,
             options_.node_ip,
             options_.state_dir};
  worker_.run<void>([links = links_, config = config_] { return links->ensure(config); },
                    [done = std::move(done)](Result<void> result) {
                      if (!result.ok()) {
                        base::log(base::Level::kError, "network", "{}", result.error().message);
                      }
                      if (done) done(std::move(result));
                    });
  std::string pods = api::Cidr{range->network(), range->prefix}.text();
  iptables_.set(RulePart::kNetwork, network_rules(options_, pods, iptables_.prefix()));
  publish_host_ports({});
  for (Request& request : std::exchange(waiting_, {})) attach_now(std::move(request));
  return {};
}

void BridgeNetwork::attach(const PodRef& pod, const std::string& sandbox_id,
                           const std::string& netns, Callback<std::vector<std::string>> done) {
  Request request{pod, sandbox_id, netns, std::move(done)};
  if (pool_) {
    attach_now(std::move(request));
  } else {
    waiting_.push_back(std::move(request));
  }
}

void BridgeNetwork::attach_now(Request request) {
  auto address = pool_->take(request.sandbox_id);
  if (!address.ok()) {
    request.done(address.error());
    return;
  }
  Attachment& attachment = attachments_[request.sandbox_id];
  attachment = {address->text(), host_ports_of(*request.pod)};
  PodLink link{request.sandbox_id, request.netns, attachment.address, pool_->gateway().text()};
  auto job = [links = links_, config = config_, link, path = state_path(request.sandbox_id),
              state = write_state(attachment.address, attachment.ports)]() -> Result<void> {
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
  std::vector<std::string> addresses = {it->second.address};
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
  if (pool_) pool_->free(sandbox_id);
  if (published && pool_) publish_host_ports({});
}

void BridgeNetwork::detach(const std::string& sandbox_id, Callback<void> done) {
  std::erase_if(waiting_, [&](const Request& r) { return r.sandbox_id == sandbox_id; });
  auto job = [links = links_, sandbox_id, path = state_path(sandbox_id)]() -> Result<void> {
    TRY(links->detach(sandbox_id));
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
    if (!attachment.ports.empty()) pods[sandbox] = {attachment.address, attachment.ports};
  }
  iptables_.set(RulePart::kHostPorts, host_port_rules(pods, iptables_.prefix()), std::move(done));
}

RuleSet network_rules(const BridgeOptions& options, const std::string& pod_cidr,
                      const std::string& prefix) {
  RuleSet rules;
  std::string egress = prefix + "-EGRESS", pods = prefix + "-PODS", host = prefix + "-HOST";
  if (!options.cluster_cidr.empty()) {
    rules.rule("nat", egress, fmt::format("-d {} -j RETURN", options.cluster_cidr));
  }
  rules.rule("nat", egress, "! -d 224.0.0.0/4 -j MASQUERADE --random-fully");
  rules.jump("nat", "POSTROUTING",
             fmt::format("-s {} {} -j {}", pod_cidr, comment("knarr pods to outside"), egress));

  rules.rule("filter", pods, fmt::format("-i {} -j ACCEPT", options.bridge));
  rules.rule("filter", pods, fmt::format("-o {} -j ACCEPT", options.bridge));
  rules.jump("filter", "FORWARD", comment("knarr pods") + " -j " + pods);

  // route_localnet lets packets to 127.0.0.0/8 in by the bridge: only answers are welcome.
  rules.rule("filter", host,
             "! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT "
             "-j DROP");
  for (const std::string& address : options.host_addresses) {
    for (const char* protocol : {"udp", "tcp"}) {
      rules.rule("filter", host,
                 fmt::format("-d {0}/32 -i {1} -p {2} -m {2} --dport 53 -j ACCEPT", address,
                             options.bridge, protocol));
    }
  }
  rules.jump("filter", "INPUT", comment("knarr host") + " -j " + host);
  return rules;
}

Result<void> remove_bridge_network(const BridgeOptions& options) {
  TRY(remove_bridge(options.bridge, options.state_dir));
  std::error_code failed;
  std::filesystem::remove_all(options.state_dir, failed);
  if (failed) return errno_error(failed.value(), "remove " + options.state_dir);
  return {};
}

}  // namespace knarr::agent
