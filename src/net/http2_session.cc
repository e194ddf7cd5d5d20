#include "net/http2_session.h"

#include <algorithm>

#include "knarr/check.h"

namespace knarr::net {

namespace {

constexpr int32_t kStreamWindow = 256 * 1024;
constexpr int32_t kConnectionWindow = 4 * 1024 * 1024;

Error nghttp2_error(int code) {
  return make_error(Code::kServiceUnavailable, std::string("http2: ") + nghttp2_strerror(code));
}

// Name and value pairs as nghttp2 wants them: names in lower case, fields of HTTP/1.1 left out.
class NameValues {
 public:
  explicit NameValues(const Headers& headers) {
    names_.reserve(headers.bytes());
    values_.reserve(headers.size());
    for (const Headers::Field& field : headers) add(field);
  }
  const nghttp2_nv* data() const { return values_.data(); }
  size_t size() const { return values_.size(); }

 private:
  void add(const Headers::Field& field) {
    for (const char* dropped :
         {"connection", "transfer-encoding", "keep-alive", "upgrade", "proxy-connection"}) {
      if (equal_ignoring_case(field.name, dropped)) return;
    }
    size_t at = names_.size();
    for (char c : field.name) names_ += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    nghttp2_nv nv{};
    nv.name = reinterpret_cast<uint8_t*>(names_.data() + at);
    nv.namelen = field.name.size();
    nv.value = reinterpret_cast<uint8_t*>(const_cast<char*>(field.value.data()));
    nv.valuelen = field.value.size();
    values_.push_back(nv);
  }
  std::string names_;  // reserved whole: the pointers into it stay
  std::vector<nghttp2_nv> values_;
};

ssize_t read_data(nghttp2_session*, int32_t, uint8_t*, size_t size, uint32_t* flags,
                  nghttp2_data_source* source, void*) {
  auto* stream = static_cast<Http2Stream*>(source->ptr);
  size_t n = std::min(size, stream->out.size());
  if (n == 0 && !stream->out_ended) {
    stream->deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (n == stream->out.size() && stream->out_ended) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(n);
}

}  // namespace

Http2Session::Http2Session(Role role, std::unique_ptr<Socket> socket,
                           std::shared_ptr<TurnQueue> turns, size_t header_limit,
                           uint32_t max_streams)
    : role_(role),
      socket_(std::move(socket)),
      turns_(std::move(turns)),
      header_limit_(header_limit) {
  nghttp2_option* option = nullptr;
  CHECK(nghttp2_option_new(&option) == 0);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  if (role_ == Role::kServer) {
    CHECK(nghttp2_session_server_new2(&session_, callbacks(), this, option) == 0);
  } else {
    CHECK(nghttp2_session_client_new2(&session_, callbacks(), this, option) == 0);
  }
  nghttp2_option_del(option);
  std::vector<nghttp2_settings_entry> settings = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(header_limit)}};
  if (role_ == Role::kServer) {
    settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, max_streams});
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1});
  } else {
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  }
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
}

Http2Session::~Http2Session() {
  CHECK(stopped_ || streams_.empty());
  nghttp2_session_del(session_);
}

void Http2Session::start(Events events) {
  events_ = std::move(events);
  ByteStream::Events socket_events;
  socket_events.on_data = [this](std::string_view bytes) { feed(bytes); };
  socket_events.on_end = [this] {
    fail(make_error(Code::kServiceUnavailable, "http2: connection closed by peer"));
  };
  socket_events.on_drain = [this] { wake(); };
  socket_events.on_close = [this](const Error& error) { fail(error); };
  socket_->listen(std::move(socket_events));
  wake();
}

void Http2Session::stop() {
  if (stopped_) return;
  auto keep = shared_from_this();
  stopped_ = true;
  events_ = {};
  if (socket_) {
    if (!receiving_ && !failed_) pump();  // a last GOAWAY or RST_STREAM
    socket_->finish();
  }
  socket_.reset();
  tell_closed();
  auto streams = std::move(streams_);
  streams_.clear();
  for (auto& [id, stream] : streams) {
    if (stream->user != nullptr) {
      std::exchange(stream->user, nullptr)->on_close(NGHTTP2_INTERNAL_ERROR);
    }
  }
}

void Http2Session::wake() {
  if (!stopped_) turns_->add(shared_from_this());
}

void Http2Session::feed(std::string_view bytes) {
  auto keep = shared_from_this();
  receiving_ = true;
  ssize_t n = nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()),
                                       bytes.size());
  receiving_ = false;
  if (n < 0) fail(nghttp2_error(static_cast<int>(n)));
  wake();
}

void Http2Session::fail(Error error) {
  if (failed_) return;
  failed_ = true;
  failure_ = std::move(error);
  wake();
}

void Http2Session::flush_text(Buffers& out) {
  if (!text_.empty()) out.append(Slice(std::exchange(text_, {})));
}

void Http2Session::pump() {
  Buffers out;
  out_ = &out;
  while (socket_->queued_bytes() + out.size() + text_.size() < kHighWater) {
    const uint8_t* bytes = nullptr;
    ssize_t n = nghttp2_session_mem_send(session_, &bytes);
    if (n < 0) fail(nghttp2_error(static_cast<int>(n)));
    if (n <= 0) break;
    text_.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(n));
  }
  flush_text(out);
  out_ = nullptr;
  // At the high mark the socket says when to go on; a write of nothing past it asks for that.
  if (!out.empty()) socket_->write(std::move(out));
}

void Http2Session::deliver(Http2Stream& stream) {
  if (stream.paused || stream.user == nullptr) return;
  int32_t id = stream.id;
  if (!stream.inbox.empty()) {
    std::string bytes = std::exchange(stream.inbox, {});
    if (stream.session != nullptr) nghttp2_session_consume_stream(session_, id, bytes.size());
    stream.user->on_data(bytes);
    auto at = streams_.find(id);
    if (at == streams_.end() || at->second->paused || at->second->user == nullptr) return;
  }
  if (!stream.ended || stream.end_told) return;
  stream.end_told = true;
  stream.user->on_end();
  auto at = streams_.find(id);
  if (at == streams_.end() || at->second->session != nullptr) return;
  // nghttp2 closed it while its reader was paused.
  std::unique_ptr<Http2Stream> last = std::move(at->second);
  streams_.erase(at);
  if (last->user != nullptr) std::exchange(last->user, nullptr)->on_close(0);
}

void Http2Session::tell_closed() {
  for (auto& [stream, error] : std::exchange(closed_, {})) {
    if (stream->user != nullptr) std::exchange(stream->user, nullptr)->on_close(error);
  }
}

void Http2Session::end_of_turn() {
  auto keep = shared_from_this();
  if (stopped_) return;
  for (int32_t id : std::exchange(to_resume_, {})) {
    auto at = streams_.find(id);
    if (at != streams_.end()) deliver(*at->second);
    if (stopped_) return;
  }
  pump();
  tell_closed();
  if (stopped_) return;
  for (int32_t id : std::exchange(drained_, {})) {
    auto at = streams_.find(id);
    if (at != streams_.end() && at->second->user != nullptr) at->second->user->on_drain();
    if (stopped_) return;
  }
  bool over = nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
  if (over && !failed_) fail(make_error(Code::kServiceUnavailable, "http2: connection closed"));
  auto active = events_.on_activity;  // which may end all this
  if (failed_) {
    auto told = events_.on_close;
    if (told) told(failure_);
    stop();
  } else if (active) {
    active();
  }
}

Http2Stream* Http2Session::request(const Headers& headers, bool has_body) {
  if (!accepts_requests()) return nullptr;
  auto stream = std::make_unique<Http2Stream>();
  stream->session = this;
  stream->out_ended = !has_body;
  NameValues values(headers);
  nghttp2_data_provider provider{};
  provider.source.ptr = stream.get();
  provider.read_callback = read_data;
  int32_t id = nghttp2_submit_request(session_, nullptr, values.data(), values.size(),
                                      has_body ? &provider : nullptr, nullptr);
  if (id < 0) return nullptr;
  stream->id = id;
  Http2Stream* raw = stream.get();
  streams_.emplace(id, std::move(stream));
  wake();
  return raw;
}

void Http2Session::respond(Http2Stream& stream, const Headers& headers, bool has_body) {
  NameValues values(headers);
  nghttp2_data_provider provider{};
  provider.source.ptr = &stream;
  provider.read_callback = read_data;
  stream.out_ended = !has_body;
  int rc = nghttp2_submit_response(session_, stream.id, values.data(), values.size(),
                                   has_body ? &provider : nullptr);
  if (rc != 0) reset(stream, NGHTTP2_INTERNAL_ERROR);
  wake();
}

bool Http2Session::write(Http2Stream& stream, Buffers bytes) {
  if (stream.out_ended || stopped_ || stream.session == nullptr) return false;
  stream.out.append(std::move(bytes));
  if (stream.deferred && stream.session != nullptr) {
    stream.deferred = false;
    nghttp2_session_resume_data(session_, stream.id);
  }
  wake();
  if (stream.out.size() <= kHighWater) return true;
  stream.wants_drain = true;
  return false;
}

void Http2Session::finish(Http2Stream& stream) {
  stream.out_ended = true;
  if (stream.deferred && stream.session != nullptr) {
    stream.deferred = false;
    nghttp2_session_resume_data(session_, stream.id);
  }
  wake();
}

// The user is told nothing more. nghttp2 lets go of the stream when the frame is sent.
void Http2Session::reset(Http2Stream& stream, uint32_t error) {
  stream.user = nullptr;
  stream.out.clear();
  stream.inbox.clear();
  if (stream.session == nullptr) {
    streams_.erase(stream.id);
  } else if (!stopped_ && streams_.contains(stream.id)) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, error);
  }
  wake();
}

void Http2Session::abandon(Http2Stream& stream) {
  if (stream.session == nullptr) return reset(stream, NGHTTP2_NO_ERROR);
  stream.user = nullptr;
  stream.paused = false;
  nghttp2_session_consume_stream(session_, stream.id, stream.inbox.size());
  stream.inbox.clear();
  if (!stream.end_sent) {
    finish(stream);
  } else if (!stream.ended) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, NGHTTP2_NO_ERROR);
    wake();
  }
}

void Http2Session::resume(Http2Stream& stream) {
  stream.paused = false;
  to_resume_.push_back(stream.id);
  wake();
}

void Http2Session::goaway() {
  if (std::exchange(going_away_, true)) return;
  int32_t last = nghttp2_session_get_last_proc_stream_id(session_);
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, nullptr, 0);
  wake();
}

bool Http2Session::accepts_requests() const {
  return !stopped_ && !failed_ && !going_away_ &&
         nghttp2_session_check_request_allowed(session_) != 0;
}

uint32_t Http2Session::peer_max_streams() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

}  // namespace knarr::net
