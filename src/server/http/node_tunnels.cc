#include "server/http/node_tunnels.h"

#include <charconv>
#include <map>
#include <vector>

#include "base/format.h"
#include "base/log.h"
#include "knarr/names.h"
#include "server/auth/node_authorizer.h"
#include "server/http/reply.h"
#include "server/status/errors.h"

namespace knarr::server {

namespace {

constexpr size_t kLineLimit = 4096;

uint64_t number(std::string_view text) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : 0;
}

}  // namespace

struct NodeTunnels::State : std::enable_shared_from_this<State> {
  struct Control {
    std::unique_ptr<net::ByteStream> stream;
    std::string line;  // the start of one
  };
  // Owned by the Pending that dial() gave out.
  struct Dial {
    std::string node;
    std::string target;  // "tcp 10.0.0.2:10250"
    Done done;
    std::unique_ptr<Timer> timer;
  };
  class PendingDial;

  explicit State(Clock& c) : clock(c), last_id(static_cast<uint64_t>(c.now_us())) {}

  void take_control(const std::string& node, std::unique_ptr<net::ByteStream> stream);
  void read(const std::string& node, Control& control, std::string_view bytes);
  void lost(const std::string& node, const Control* control);
  void answer(uint64_t id, Result<std::unique_ptr<net::ByteStream>> result);
  void fail(uint64_t id, const std::string& why, Code code = Code::kServiceUnavailable);

  Clock& clock;
  NodeKeys* keys = nullptr;
  Packets take_packets;
  uint64_t last_id;  // begins where no process before this one was
  std::map<std::string, std::shared_ptr<Control>> controls;  // by node
  std::map<uint64_t, Dial> dials;
};

class NodeTunnels::State::PendingDial final : public net::Pending {
 public:
  PendingDial(std::weak_ptr<State> state, uint64_t id) : state_(std::move(state)), id_(id) {}
  ~PendingDial() override {
    if (auto state = state_.lock()) state->dials.erase(id_);
  }

 private:
  std::weak_ptr<State> state_;
  uint64_t id_;
};

NodeTunnels::NodeTunnels(Clock& clock) : state_(std::make_shared<State>(clock)) {}

NodeTunnels::~NodeTunnels() = default;

void NodeTunnels::know_machines_by(NodeKeys* keys) { state_->keys = keys; }

void NodeTunnels::on_packets(Packets take) { state_->take_packets = std::move(take); }

void NodeTunnels::ask_for_packets(const std::string& node) {
  auto at = state_->controls.find(node);
  if (at != state_->controls.end()) at->second->stream->write("packets\n");
}

bool NodeTunnels::has(const std::string& node) const { return state_->controls.contains(node); }

void NodeTunnels::accept(const net::ExchangePtr& exchange, const UserRef& user) {
  const net::Request& request = exchange->request;
  const std::string path = kTunnelPath;
  bool is_control = request.path == path;
  bool is_packets = request.path == kTunnelPacketsPath && state_->take_packets;
  bool is_way = !is_packets && request.path.starts_with(path + "/");
  if (request.protocol != kTunnelProtocol || (!is_control && !is_packets && !is_way)) {
    return send_error(exchange, unknown_path());
  }
  const char* name = node_name(*user);
  std::string node = name == nullptr ? "" : name;
  if (node.empty()) {
    return send_error(exchange, make_error(Code::kForbidden, "only a node has a tunnel"));
  }
  if (NodeKeys* keys = state_->keys; keys != nullptr) {
    std::string why = keys->objection(*user);
    if (!why.empty()) return send_error(exchange, make_error(Code::kForbidden, why));
    // It stays open, so it must not be there before the Node says whose it is.
    if (is_packets && !keys->is_there(node)) {
      return send_error(exchange, make_error(Code::kServiceUnavailable, "there is no Node yet"));
    }
  }
  uint64_t id = is_way ? number(std::string_view(request.path).substr(path.size() + 1)) : 0;
  if (is_way) {
    auto at = state_->dials.find(id);
    if (at == state_->dials.end() || at->second.node != node) {
      return send_error(exchange, make_error(Code::kNotFound, "nobody waits for this way"));
    }
  }
  auto stream = exchange->upgrade({});
  if (!stream.ok()) return send_error(exchange, stream.error());
  if (is_way) return state_->answer(id, std::move(*stream));
  if (is_packets) return state_->take_packets(node, std::move(*stream));
  state_->take_control(node, std::move(*stream));
}

void NodeTunnels::State::take_control(const std::string& node,
                                      std::unique_ptr<net::ByteStream> stream) {
  auto control = std::make_shared<Control>();
  control->stream = std::move(stream);
  Control* raw = control.get();
  std::weak_ptr<State> weak = weak_from_this();
  auto over = [weak, node, raw] {
    if (auto state = weak.lock()) state->lost(node, raw);
  };
  net::ByteStream::Events events;
  events.on_data = [weak, node, raw](std::string_view bytes) {
    if (auto state = weak.lock()) state->read(node, *raw, bytes);
  };
  events.on_end = over;
  events.on_close = [over](const Error&) { over(); };
  control->stream->listen(std::move(events));
  auto before = std::exchange(controls[node], std::move(control));
  if (before) before->stream->finish();
  base::log(base::Level::kDebug, "tunnel", "node {} is connected", node);
}

void NodeTunnels::State::read(const std::string& node, Control& control, std::string_view bytes) {
  auto keep = shared_from_this();
  control.line += bytes;
  std::string lines = std::exchange(control.line, {});
  size_t at = 0;
  for (size_t end; (end = lines.find('\n', at)) != std::string::npos; at = end + 1) {
    std::string_view line(lines.data() + at, end - at);
    if (!line.starts_with("refused ")) continue;
    line.remove_prefix(8);
    size_t space = std::min(line.find(' '), line.size());
    uint64_t id = number(line.substr(0, space));
    auto dial = dials.find(id);
    if (dial == dials.end() || dial->second.node != node) continue;
    answer(id, make_error(Code::kServiceUnavailable,
                          std::string(line.substr(std::min(space + 1, line.size())))));
  }
  auto here = controls.find(node);
  if (here == controls.end() || here->second.get() != &control) return;
  control.line = lines.substr(at);
  if (control.line.size() > kLineLimit) lost(node, &control);
}

void NodeTunnels::State::lost(const std::string& node, const Control* control) {
  auto at = controls.find(node);
  if (at == controls.end() || at->second.get() != control) return;  // replaced
  auto keep = shared_from_this();
  auto last = std::move(at->second);
  controls.erase(at);
  base::log(base::Level::kDebug, "tunnel", "node {} is gone", node);
  std::vector<uint64_t> ids;
  for (const auto& [id, dial] : dials) {
    if (dial.node == node) ids.push_back(id);
  }
  for (uint64_t id : ids) fail(id, "the node's tunnel is gone");
}

void NodeTunnels::State::answer(uint64_t id, Result<std::unique_ptr<net::ByteStream>> result) {
  auto at = dials.find(id);
  if (at == dials.end()) return;
  auto keep = shared_from_this();
  Dial dial = std::move(at->second);
  dials.erase(at);
  dial.done(std::move(result));
}

void NodeTunnels::State::fail(uint64_t id, const std::string& why, Code code) {
  auto at = dials.find(id);
  if (at != dials.end()) answer(id, make_error(code, "dial " + at->second.target + ": " + why));
}

std::unique_ptr<net::Pending> NodeTunnels::dial(const std::string& node, const std::string& host,
                                                uint16_t port, int64_t timeout_ms, Done done) {
  uint64_t id = ++state_->last_id;
  State::Dial& dial = state_->dials[id];
  dial.node = node;
  bool v6 = host.find(':') != std::string::npos;
  dial.target = fmt::format("tcp {}:{}", v6 ? "[" + host + "]" : host, port);
  dial.done = std::move(done);
  auto at = state_->controls.find(node);
  bool connected = at != state_->controls.end();
  std::weak_ptr<State> weak = state_;
  dial.timer = state_->clock.timer([weak, id, connected] {
    auto state = weak.lock();
    if (!state) return;
    if (!connected) return state->fail(id, "the node has no tunnel");
    state->fail(id, "i/o timeout", Code::kTimeout);
  });
  if (connected) at->second->stream->write(fmt::format("dial {} {} {}\n", id, host, port));
  dial.timer->start(connected ? timeout_ms : 0);
  return std::make_unique<State::PendingDial>(state_, id);
}

}  // namespace knarr::server
