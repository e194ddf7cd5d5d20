// Sessions and streams over the codec. The peers that speak SPDY here (clients from before
// WebSocket) neither obey windows nor open them: TCP's back pressure is what holds. Windows are
// opened for a peer that shows, by SETTINGS or WINDOW_UPDATE, that it counts them; ours are never
// waited for.
#include "net/spdy.h"

#include <map>

#include "net/event_slot.h"
#include "net/socket.h"

namespace knarr::net {

namespace {

constexpr uint32_t kProtocolError = 1;
constexpr uint32_t kCancel = 5;
constexpr size_t kMaxStreams = 1000;        // at once
constexpr size_t kWaitingBytes = 1 << 20;   // of paused streams, before the connection is paused
constexpr size_t kDataBytes = 64 * 1024;    // in a frame
constexpr size_t kAnswerBytes = 64 * 1024;  // to a peer that does not read, before it is not read

}  // namespace

struct SpdyConnection::State : std::enable_shared_from_this<State> {
  struct Entry {
    uint32_t id = 0;
    Headers headers;
    EventSlot<ByteStream::Events> events;
    std::string waiting;
    bool listening = false, paused = false;
    bool ended = false, end_told = false;  // by the peer
    bool finished = false;                 // by us
    bool wants_drain = false, closed = false;
  };
  std::unique_ptr<ByteStream> stream;
  SpdyCodec codec;
  bool server = true;
  EventSlot<Events> events;
  std::map<uint32_t, std::shared_ptr<Entry>> entries;
  uint32_t next_id = 1;
  uint32_t last_peer_id = 0;
  size_t waiting_bytes = 0;
  size_t answer_bytes = 0;  // of frames but DATA, since the peer last had read nearly everything
  bool deaf = false;        // the peer makes us answer and does not read
  bool counts_windows = false;
  bool closed = false;
  bool finishing = false;

  class Stream;

  bool send(const SpdyFrame& frame) {
    if (stream == nullptr) return false;
    std::string bytes = codec.encode(frame);
    if (frame.kind != SpdyFrame::Kind::kData) answer_bytes += bytes.size();
    return stream->write(std::move(bytes));
  }
  void send(SpdyFrame::Kind kind, uint32_t id, uint32_t value) {
    SpdyFrame f;
    f.kind = kind;
    f.stream = id;
    f.value = value;
    send(f);
  }
  void start();
  void on_data(std::string_view bytes);
  void on_frame(SpdyFrame& frame);
  void on_syn(SpdyFrame& frame);
  void deliver(const std::shared_ptr<Entry>& entry);
  void consumed(const Entry& entry, size_t bytes);
  void update_pause();
  void close(const Error& error);
  void drop(const std::shared_ptr<Entry>& entry);
};

void SpdyConnection::State::start() {
  ByteStream::Events e;
  e.on_data = [this](std::string_view bytes) { on_data(bytes); };
  e.on_end = [this] { close(make_error(Code::kCanceled, "spdy: connection closed by peer")); };
  e.on_drain = [this] {
    auto keep = shared_from_this();
    answer_bytes = 0;
    if (std::exchange(deaf, false)) update_pause();
    auto all = entries;
    for (auto& [id, entry] : all) {
      if (std::exchange(entry->wants_drain, false))
        entry->events.call(&ByteStream::Events::on_drain);
    }
  };
  e.on_close = [this](const Error& error) { close(error); };
  stream->listen(std::move(e));
}

void SpdyConnection::State::on_data(std::string_view bytes) {
  auto keep = shared_from_this();
  Result<std::vector<SpdyFrame>> frames = codec.feed(bytes);
  if (!frames.ok()) {
    send(SpdyFrame::Kind::kGoaway, last_peer_id, kProtocolError);
    if (stream) stream->finish();
    return close(frames.error());
  }
  for (SpdyFrame& frame : *frames) {
    if (closed) return;
    on_frame(frame);
  }
  if (stream == nullptr || closed) return;
  if (stream->queued_bytes() <= kLowWater) answer_bytes = 0;
  if (answer_bytes > kAnswerBytes && stream->queued_bytes() > kHighWater) {
    deaf = true;  // until on_drain: the last write said false
    update_pause();
  }
}

void SpdyConnection::State::on_frame(SpdyFrame& f) {
  if (f.kind == SpdyFrame::Kind::kSynStream) return on_syn(f);
  if (f.kind == SpdyFrame::Kind::kPing) {
    // Ours would be answered; a peer's ids have the other parity. A peer that pings and does not
    // read gets no answers: they would queue without end.
    bool theirs = (f.stream % 2 == 1) == server;
    bool reads = stream != nullptr && stream->queued_bytes() <= kHighWater;
    if (theirs && reads) send(SpdyFrame::Kind::kPing, f.stream, 0);
    return;
  }
  if (f.kind == SpdyFrame::Kind::kSettings || f.kind == SpdyFrame::Kind::kWindowUpdate) {
    counts_windows = true;
    return;
  }
  auto at = entries.find(f.stream);
  if (at == entries.end()) return;  // of a stream that we let go
  std::shared_ptr<Entry> entry = at->second;
  if (f.kind == SpdyFrame::Kind::kRstStream) {
    entries.erase(at);
    entry->closed = true;
    entry->events.call(&ByteStream::Events::on_close,
                       make_error(Code::kCanceled, "spdy: stream reset by peer"));
    return;
  }
  if (f.kind == SpdyFrame::Kind::kData) {
    if (entry->ended) return;
    bool direct = entry->listening && !entry->paused && entry->waiting.empty();
    if (!f.data.empty() && direct) {
      consumed(*entry, f.data.size());
      entry->events.call(&ByteStream::Events::on_data, std::string_view(f.data));
    } else if (!f.data.empty()) {
      entry->waiting += f.data;
      waiting_bytes += f.data.size();
      update_pause();
    }
  }
  if (f.fin && f.kind != SpdyFrame::Kind::kGoaway) entry->ended = true;
  if (entry->ended) deliver(entry);
}

void SpdyConnection::State::deliver(const std::shared_ptr<Entry>& entry) {
  if (!entry->listening || entry->paused || entry->closed) return;
  if (!entry->waiting.empty()) {
    std::string bytes = std::exchange(entry->waiting, {});
    waiting_bytes -= bytes.size();
    consumed(*entry, bytes.size());
    update_pause();
    entry->events.call(&ByteStream::Events::on_data, std::string_view(bytes));
  }
  if (!entry->ended || entry->end_told || entry->paused || entry->closed) return;
  entry->end_told = true;
  entry->events.call(&ByteStream::Events::on_end);
}

void SpdyConnection::State::consumed(const Entry& entry, size_t bytes) {
  if (!counts_windows || stream == nullptr) return;
  send(SpdyFrame::Kind::kWindowUpdate, entry.id, static_cast<uint32_t>(bytes));
  send(SpdyFrame::Kind::kWindowUpdate, 0, static_cast<uint32_t>(bytes));
}

void SpdyConnection::State::update_pause() {
  if (stream == nullptr) return;
  if (waiting_bytes > kWaitingBytes || deaf) {
    stream->pause();
  } else {
    stream->resume();
  }
}

void SpdyConnection::State::close(const Error& error) {
  if (std::exchange(closed, true)) return;
  auto keep = shared_from_this();
  auto all = std::move(entries);
  entries.clear();
  for (auto& [id, entry] : all) {
    entry->closed = true;
    entry->events.call(&ByteStream::Events::on_close, error);
  }
  events.call(&Events::on_close, error);
}

// The user let go of a stream. After a finish the peer is left to end in peace.
void SpdyConnection::State::drop(const std::shared_ptr<Entry>& entry) {
  entry->events.clear();
  if (std::exchange(entry->closed, true)) return;
  waiting_bytes -= entry->waiting.size();
  update_pause();
  entries.erase(entry->id);
  if (!entry->finished && !closed) send(SpdyFrame::Kind::kRstStream, entry->id, kCancel);
}

class SpdyConnection::State::Stream final : public SpdyStream {
 public:
  Stream(std::shared_ptr<State> state, std::shared_ptr<Entry> entry)
      : state_(std::move(state)), entry_(std::move(entry)) {}
  ~Stream() override { state_->drop(entry_); }

  const Headers& headers() const override { return entry_->headers; }
  uint32_t id() const override { return entry_->id; }
  void reset(uint32_t status) override {
    if (std::exchange(entry_->finished, true) || entry_->closed) return;
    state_->send(SpdyFrame::Kind::kRstStream, entry_->id, status);
  }
  void listen(Events events) override {
    entry_->events.set(std::move(events));
    entry_->listening = true;
    deliver_later();
  }
  bool write(Buffers bytes) override {
    if (entry_->closed || entry_->finished || state_->stream == nullptr) return false;
    bool go_on = true;
    while (!bytes.empty()) {
      Buffers part = bytes.take(kDataBytes);
      SpdyFrame head;
      head.stream = entry_->id;
      std::string text = state_->codec.encode(head);
      for (int i = 0; i < 3; i++) text[5 + i] = static_cast<char>(part.size() >> (16 - 8 * i));
      Buffers out(std::move(text));
      out.append(std::move(part));
      go_on = state_->stream->write(std::move(out));
    }
    entry_->wants_drain = !go_on;
    return go_on;
  }
  size_t queued_bytes() const override {
    return state_->stream == nullptr ? 0 : state_->stream->queued_bytes();
  }
  void finish() override {
    if (std::exchange(entry_->finished, true) || entry_->closed) return;
    SpdyFrame f;
    f.stream = entry_->id;
    f.fin = true;
    state_->send(f);
  }
  void pause() override { entry_->paused = true; }
  void resume() override {
    entry_->paused = false;
    deliver_later();
  }
  void later(std::function<void()> fn) override {
    if (state_->stream) state_->stream->later(std::move(fn));
  }

 private:
  void deliver_later() {
    if (entry_->waiting.empty() && !entry_->ended) return;
    later([state = state_->weak_from_this(), entry = entry_] {
      if (auto s = state.lock()) s->deliver(entry);
    });
  }
  std::shared_ptr<State> state_;
  std::shared_ptr<Entry> entry_;
};

void SpdyConnection::State::on_syn(SpdyFrame& f) {
  bool good = (f.stream % 2 == 1) == server && f.stream > last_peer_id;
  if (!good || entries.size() >= kMaxStreams || finishing) {
    return send(SpdyFrame::Kind::kRstStream, f.stream, good ? 3 : kProtocolError);
  }
  last_peer_id = f.stream;
  auto entry = std::make_shared<Entry>();
  entry->id = f.stream;
  entry->headers = std::move(f.headers);
  entry->ended = f.fin;
  entry->finished = f.unidirectional;
  entries.emplace(entry->id, entry);
  if (!f.unidirectional) {
    SpdyFrame reply;
    reply.kind = SpdyFrame::Kind::kSynReply;
    reply.stream = entry->id;
    send(reply);
  }
  events.call(&Events::on_stream, std::make_unique<Stream>(shared_from_this(), entry));
}

SpdyConnection::SpdyConnection(std::unique_ptr<ByteStream> stream, Role role)
    : state_(std::make_shared<State>()) {
  state_->stream = std::move(stream);
  state_->server = role == Role::kServer;
  state_->next_id = role == Role::kServer ? 2 : 1;
}

SpdyConnection::~SpdyConnection() {
  state_->events.clear();
  state_->close(make_error(Code::kCanceled, "spdy: connection closed"));
  state_->stream.reset();
}

void SpdyConnection::listen(Events events) {
  state_->events.set(std::move(events));
  state_->start();
}

std::unique_ptr<SpdyStream> SpdyConnection::open(Headers headers) {
  auto entry = std::make_shared<State::Entry>();
  entry->id = state_->next_id;
  state_->next_id += 2;
  SpdyFrame f;
  f.kind = SpdyFrame::Kind::kSynStream;
  f.stream = entry->id;
  f.headers = headers;
  entry->headers = std::move(headers);
  if (!state_->closed) state_->entries.emplace(entry->id, entry);
  entry->closed = state_->closed;
  state_->send(f);
  return std::make_unique<State::Stream>(state_, std::move(entry));
}

void SpdyConnection::finish() {
  if (std::exchange(state_->finishing, true) || state_->closed) return;
  state_->send(SpdyFrame::Kind::kGoaway, state_->last_peer_id, 0);
  state_->stream->finish();
}

bool is_spdy_request(const Request& request) {
  return request.headers.has_token("connection", "upgrade") &&
         request.headers.has_token("upgrade", "SPDY/3.1");
}

Result<std::unique_ptr<SpdyConnection>> accept_spdy(Exchange& exchange, Headers headers) {
  if (!is_spdy_request(exchange.request)) {
    return make_error(Code::kBadRequest, "unable to upgrade: missing upgrade headers in request");
  }
  headers.set("Connection", "Upgrade");
  headers.set("Upgrade", "SPDY/3.1");
  TRY_ASSIGN(std::unique_ptr<ByteStream> stream, exchange.upgrade(std::move(headers)));
  return std::make_unique<SpdyConnection>(std::move(stream), SpdyConnection::Role::kServer);
}

}  // namespace knarr::net
