#include "server/http/packet_relay.h"

#include <algorithm>
#include <cstring>

#include "base/json.h"
#include "base/log.h"

namespace knarr::server {

namespace {

constexpr size_t kMostQueued = 1024 * 1024;  // for one node
constexpr int64_t kAskAgainMs = 1000;

// Of the headers of RFC 791 and RFC 8200.
constexpr size_t kV4Header = 20, kV4Source = 12, kV6Header = 40, kV6Source = 8;

api::IpAddress address_at(std::string_view packet, size_t at, bool v6) {
  api::IpAddress out;
  out.v6 = v6;
  memcpy(out.bytes.data(), packet.data() + at, v6 ? 16 : 4);
  return out;
}

}  // namespace

std::optional<PacketAddresses> packet_addresses(std::string_view packet) {
  if (packet.empty()) return std::nullopt;
  int version = static_cast<uint8_t>(packet[0]) >> 4;
  bool v6 = version == 6;
  if ((!v6 && version != 4) || packet.size() < (v6 ? kV6Header : kV4Header)) return std::nullopt;
  size_t source = v6 ? kV6Source : kV4Source;
  return PacketAddresses{address_at(packet, source, v6),
                         address_at(packet, source + (v6 ? 16 : 4), v6)};
}

PacketRelay::PacketRelay(client::Client& client, Clock& clock, Ask ask)
    : client_(client), clock_(clock), ask_(std::move(ask)) {}

PacketRelay::~PacketRelay() = default;

void PacketRelay::accept(const std::string& node, std::unique_ptr<net::ByteStream> stream) {
  auto port = std::make_unique<Port>();
  Port* raw = port.get();
  port->stream = std::move(stream);
  net::ByteStream::Events events;
  events.on_data = [this, node, raw](std::string_view bytes) { read(node, *raw, bytes); };
  events.on_end = [this, node, raw] { lost(node, raw); };
  events.on_close = [this, node, raw](const Error&) { lost(node, raw); };
  port->stream->listen(std::move(events));
  ports_[node] = std::move(port);
  base::log(base::Level::kDebug, "tunnel", "packets of node {} go by here", node);
  if (!watch_) watch_ = client_.watch({"", "v1", "nodes", "", "", ""}, *this);
}

void PacketRelay::lost(const std::string& node, const Port* port) {
  auto at = ports_.find(node);
  if (at == ports_.end() || at->second.get() != port) return;
  ports_.erase(at);
  if (!ports_.empty()) return;
  watch_ = nullptr;
  ranges_of_.clear();
  ranges_.clear();
  asked_ms_.clear();
}

void PacketRelay::on_upsert(const ObjectRef& node) {
  auto value = json::parse(node->json);
  if (!value.ok()) return;
  std::vector<api::Cidr> ranges;
  for (const json::Value& text : (*value)["spec"]["podCIDRs"].elements()) {
    if (auto range = api::Cidr::parse(text.as_string())) ranges.push_back(*range);
  }
  set_ranges(node->name.name, std::move(ranges));
}

void PacketRelay::on_delete(const ObjectRef& last) {
  set_ranges(last->name.name, {});
  asked_ms_.erase(last->name.name);
}

void PacketRelay::set_ranges(const std::string& node, std::vector<api::Cidr> ranges) {
  auto at = ranges_of_.find(node);
  if (at == ranges_of_.end() ? ranges.empty() : at->second == ranges) return;
  if (ranges.empty()) {
    ranges_of_.erase(at);
  } else {
    ranges_of_[node] = std::move(ranges);
  }
  ranges_.clear();
  for (const auto& [name, list] : ranges_of_) {
    for (const api::Cidr& range : list) {
      if (!is_taken(range)) ranges_[range.network()] = {range.last(), name};
    }
  }
}

// An old Node object may still hold what another has by now. The first by name has it, as in the
// nodes' own routes (agent/network/overlay_plan.h).
bool PacketRelay::is_taken(const api::Cidr& range) const {
  auto next = ranges_.upper_bound(range.last());
  return next != ranges_.begin() && std::prev(next)->second.last >= range.network();
}

const std::string* PacketRelay::node_of(const api::IpAddress& address) const {
  auto next = ranges_.upper_bound(address);
  if (next == ranges_.begin()) return nullptr;
  const Range& range = std::prev(next)->second;
  return range.last.v6 == address.v6 && address <= range.last ? &range.node : nullptr;
}

void PacketRelay::read(const std::string& node, Port& port, std::string_view bytes) {
  port.in.add(bytes);
  std::vector<Port*> touched;
  while (auto packet = port.in.next()) pass(node, *packet, touched);
  for (Port* to : touched) to->stream->write(std::exchange(to->out, {}));
}

void PacketRelay::pass(const std::string& from, std::string_view packet,
                       std::vector<Port*>& touched) {
  auto addresses = packet_addresses(packet);
  if (!addresses) return;
  const std::string* source = node_of(addresses->source);
  const std::string* node = node_of(addresses->destination);
  if (source == nullptr || *source != from || node == nullptr || *node == from) return;
  auto at = ports_.find(*node);
  if (at == ports_.end()) return ask(*node);
  Port& to = *at->second;
  if (to.stream->queued_bytes() > kMostQueued) return;
  if (to.out.empty()) touched.push_back(&to);
  net::append_frame(to.out, packet);
}

void PacketRelay::ask(const std::string& node) {
  int64_t now_ms = clock_.monotonic_ms();
  auto [at, first] = asked_ms_.try_emplace(node, now_ms);
  if (!first && now_ms - at->second < kAskAgainMs) return;
  at->second = now_ms;
  ask_(node);
}

}  // namespace knarr::server
