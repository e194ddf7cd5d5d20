// A WebSocket seen as byte streams: one of all its binary messages, or several, told apart by the
// first byte of each message.
#include "knarr/check.h"
#include "net/event_slot.h"
#include "net/websocket.h"

namespace knarr::net {

namespace {

constexpr int kCloseSignal = 255;

class TunnelStream final : public ByteStream {
 public:
  explicit TunnelStream(std::unique_ptr<WebSocket> socket) : socket_(std::move(socket)) {}
  ~TunnelStream() override = default;

  void listen(Events events) override {
    events_ = std::make_shared<EventSlot<Events>>();
    events_->set(std::move(events));
    auto slot = events_;
    WebSocket::Events e;
    e.on_message = [slot](std::string_view bytes, bool) { slot->call(&Events::on_data, bytes); };
    e.on_drain = [slot] { slot->call(&Events::on_drain); };
    e.on_close = [slot](uint16_t, std::string_view reason) {
      slot->call(&Events::on_close, make_error(Code::kCanceled, std::string(reason)));
    };
    socket_->listen(std::move(e));
  }
  bool write(Buffers bytes) override { return socket_->send(bytes.text()); }
  size_t queued_bytes() const override { return socket_->queued_bytes(); }
  void finish() override { socket_->close(1000, ""); }
  void pause() override { socket_->pause(); }
  void resume() override { socket_->resume(); }
  void later(std::function<void()> fn) override { socket_->later(std::move(fn)); }

 private:
  std::unique_ptr<WebSocket> socket_;
  std::shared_ptr<EventSlot<Events>> events_;
};

}  // namespace

// Held by the WebSocketChannels and by each channel. The socket listens when the first channel
// does; what comes for channels that do not listen yet waits in them. A pause of any channel pauses
// all.
struct WebSocketChannels::State : std::enable_shared_from_this<State> {
  struct Channel {
    EventSlot<ByteStream::Events> events;
    std::string waiting;
    bool listening = false, paused = false, ended = false, end_told = false;
    bool finished = false, gone = false, taken = false;
  };
  std::unique_ptr<WebSocket> socket;
  std::vector<Channel> channels;
  bool close_signal = false;
  bool started = false, closed = false;
  std::string close_reason;

  ~State() {
    if (socket && !closed) socket->close(1000, "");
  }
  void start() {
    if (std::exchange(started, true)) return;
    WebSocket::Events e;
    std::weak_ptr<State> weak = shared_from_this();
    e.on_message = [weak](std::string_view bytes, bool) {
      if (auto s = weak.lock()) s->on_message(bytes);
    };
    e.on_drain = [weak] {
      auto s = weak.lock();
      for (size_t i = 0; s && i < s->channels.size(); i++) {
        s->channels[i].events.call(&ByteStream::Events::on_drain);
      }
    };
    e.on_close = [weak](uint16_t, std::string_view reason) {
      auto s = weak.lock();
      if (!s) return;
      s->closed = true;
      s->close_reason = reason;
      for (Channel& c : s->channels) {
        c.events.call(&ByteStream::Events::on_close, make_error(Code::kCanceled, s->close_reason));
      }
    };
    socket->listen(std::move(e));
  }
  void on_message(std::string_view bytes) {
    if (bytes.empty()) return;
    int number = static_cast<unsigned char>(bytes[0]);
    bytes.remove_prefix(1);
    if (number == kCloseSignal && close_signal) {
      int target = bytes.empty() ? -1 : static_cast<unsigned char>(bytes[0]);
      if (target < 0 || target >= static_cast<int>(channels.size())) return;
      channels[static_cast<size_t>(target)].ended = true;
      return deliver(channels[static_cast<size_t>(target)]);
    }
    if (number >= static_cast<int>(channels.size())) return;
    Channel& c = channels[static_cast<size_t>(number)];
    if (c.gone || c.ended) return;
    if (!c.listening || c.paused || !c.waiting.empty()) {
      c.waiting += bytes;
      return;
    }
    c.events.call(&ByteStream::Events::on_data, bytes);
  }
  void deliver(Channel& c) {
    if (!c.listening || c.paused || c.gone) return;
    if (!c.waiting.empty()) {
      std::string bytes = std::exchange(c.waiting, {});
      c.events.call(&ByteStream::Events::on_data, std::string_view(bytes));
    }
    if (c.ended && !c.end_told && !c.paused && !c.gone) {
      c.end_told = true;
      c.events.call(&ByteStream::Events::on_end);
    }
  }
  bool send(int number, std::string_view bytes) {
    std::string message(1, static_cast<char>(number));
    message += bytes;
    return socket->send(message);
  }
  void update_pause() {
    bool any = false;
    for (const Channel& c : channels) any = any || (c.paused && !c.gone);
    if (any) {
      socket->pause();
    } else {
      socket->resume();
    }
  }

  class Stream;
};

class WebSocketChannels::State::Stream final : public ByteStream {
 public:
  Stream(std::shared_ptr<State> state, int number) : state_(std::move(state)), number_(number) {}
  ~Stream() override {
    channel().gone = true;
    channel().events.clear();
    state_->update_pause();
  }
  void listen(Events events) override {
    channel().events.set(std::move(events));
    channel().listening = true;
    state_->start();
    deliver_later();
  }
  bool write(Buffers bytes) override {
    if (channel().finished || state_->closed) return false;
    return bytes.empty() || state_->send(number_, bytes.text());
  }
  size_t queued_bytes() const override { return state_->socket->queued_bytes(); }
  void finish() override {
    bool told = std::exchange(channel().finished, true);
    bool client = state_->socket->role() == WebSocketCodec::Role::kClient;
    if (told || !client || !state_->close_signal) return;
    state_->send(kCloseSignal, std::string(1, static_cast<char>(number_)));
  }
  void pause() override {
    channel().paused = true;
    state_->update_pause();
  }
  void resume() override {
    channel().paused = false;
    state_->update_pause();
    deliver_later();
  }
  void later(std::function<void()> fn) override { state_->socket->later(std::move(fn)); }

 private:
  void deliver_later() {
    if (channel().waiting.empty() && !channel().ended) return;
    std::weak_ptr<State> weak = state_;
    later([weak, n = number_] {
      if (auto s = weak.lock()) s->deliver(s->channels[static_cast<size_t>(n)]);
    });
  }
  Channel& channel() const { return state_->channels[static_cast<size_t>(number_)]; }

  std::shared_ptr<State> state_;
  int number_;
};

WebSocketChannels::WebSocketChannels(std::unique_ptr<WebSocket> socket, int count,
                                     bool close_signal)
    : state_(std::make_shared<State>()) {
  state_->socket = std::move(socket);
  state_->channels.resize(static_cast<size_t>(count));
  state_->close_signal = close_signal;
}

WebSocketChannels::~WebSocketChannels() = default;

std::unique_ptr<ByteStream> WebSocketChannels::channel(int number) {
  State::Channel& c = state_->channels[static_cast<size_t>(number)];
  CHECK(!std::exchange(c.taken, true));
  return std::make_unique<State::Stream>(state_, number);
}

std::unique_ptr<ByteStream> websocket_bytes(std::unique_ptr<WebSocket> socket) {
  return std::make_unique<TunnelStream>(std::move(socket));
}

}  // namespace knarr::net
