#include "server/controllers/node_ipam.h"

#include <algorithm>

#include "api/ip_list.h"
#include "api/view/meta.h"

namespace knarr::server {

namespace {

// The bits [from, to) as a number; at most 64 of them.
uint64_t bits_of(const api::IpAddress& address, int from, int to) {
  uint64_t out = 0;
  for (int i = from; i < to; i++) {
    out = out << 1 | (address.bytes[static_cast<size_t>(i / 8)] >> (7 - i % 8) & 1);
  }
  return out;
}

api::IpAddress with_bits(api::IpAddress address, int from, int to, uint64_t value) {
  for (int i = to - 1; i >= from; i--, value >>= 1) {
    auto bit = static_cast<uint8_t>(0x80 >> (i % 8));
    uint8_t& byte = address.bytes[static_cast<size_t>(i / 8)];
    byte = static_cast<uint8_t>((value & 1) != 0 ? byte | bit : byte & ~bit);
  }
  return address;
}

void add_ranges(const std::vector<std::string>& texts, std::vector<api::Cidr>& out) {
  for (const std::string& text : texts) {
    if (auto range = api::Cidr::parse(text)) out.push_back(*range);
  }
}

std::vector<std::string> shares_of(const json::Value& node) {
  std::vector<std::string> out;
  for (const json::Value& range : node["spec"]["podCIDRs"].elements()) out.push_back(range.text());
  if (out.empty()) out.push_back(node["spec"]["podCIDR"].text());
  return out;
}

}  // namespace

std::optional<api::Cidr> free_share(const api::Cidr& range, int bits,
                                    const std::vector<api::Cidr>& taken) {
  int index_bits = bits - range.prefix;
  if (index_bits < 0 || index_bits > 62) return std::nullopt;
  std::vector<std::pair<uint64_t, uint64_t>> used;  // first and last share of each
  for (const api::Cidr& t : taken) {
    if (t.address.v6 != range.address.v6) continue;
    if (t.contains(range)) return std::nullopt;
    if (!range.contains(t)) continue;
    used.emplace_back(bits_of(t.network(), range.prefix, bits),
                      bits_of(t.last(), range.prefix, bits));
  }
  std::sort(used.begin(), used.end());
  uint64_t next = 0;
  for (const auto& [first, last] : used) {
    if (first > next) break;
    next = std::max(next, last + 1);
  }
  if (next >= uint64_t{1} << index_bits) return std::nullopt;
  return api::Cidr{with_bits(range.network(), range.prefix, bits, next), bits};
}

NodeIpamController::NodeIpamController(const ControllerContext& context, const Options& options)
    : Controller(context, "node-ipam-controller", 1) {
  for (const std::string& text : api::split_list(options.cluster_cidr)) {
    if (auto range = api::Cidr::parse(text)) {
      ranges_.push_back({*range, range->address.v6 ? options.bits_v6 : options.bits_v4});
    }
  }
}

void NodeIpamController::on_change(const GroupResource&, const ObjectRef& previous,
                                   const ObjectRef& object) {
  if (object == nullptr) {
    given_.erase(previous->name.name);
  } else if (previous == nullptr) {
    enqueue(object->name);
  }
}

// Of all ranges one, or none.
std::vector<std::string> NodeIpamController::free_shares(const std::string& node) const {
  std::vector<api::Cidr> taken;
  context_.cache.for_each(kNodes.key(), "", [&](const ObjectRef& object) {
    add_ranges(shares_of(api::decode(*object)), taken);
    return true;
  });
  for (const auto& [name, shares] : given_) {
    if (name != node) add_ranges(shares, taken);
  }
  std::vector<std::string> out;
  for (const Range& r : ranges_) {
    auto share = free_share(r.range, r.bits, taken);
    if (!share) return {};
    out.push_back(share->text());
  }
  return out;
}

void NodeIpamController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kNodes, key);
  if (object == nullptr) return;
  json::Value node = api::decode(*object);
  json::Value patch = json::Value::object();
  if (node["spec"]["podCIDR"].as_string().empty()) {
    std::vector<std::string> shares = free_shares(key.name);
    if (shares.empty()) {
      event(node, false, "CIDRNotAvailable",
            "Node " + key.name + " status is now: CIDRNotAvailable");
    } else {
      json::Value list = json::Value::array();
      for (const std::string& share : shares) list.push_back(share);
      patch.member("spec").set("podCIDR", shares[0]).set("podCIDRs", std::move(list));
      given_[key.name] = std::move(shares);
    }
  }
  if (!node["metadata"]["annotations"].has("node.alpha.kubernetes.io/ttl")) {
    patch.member("metadata").member("annotations").set("node.alpha.kubernetes.io/ttl", "0");
  }
  if (!patch.empty()) pass->write(patch_request(kNodes, key, patch));
}

}  // namespace knarr::server
