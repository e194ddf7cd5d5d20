#include "net/http2_session.h"

#include <algorithm>

#include "knarr/check.h"

namespace knarr::net {

namespace {

constexpr int32_t kStreamWindow = 256 * 1024;
constexpr int32_t kConnectionWindow = 4 * 1024 * 1024;
constexpr size_t kSmallData = 2048;  // copied next to its frame header

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

struct Http2Session::Callbacks {
  static Http2Session& self(void* user) { return *static_cast<Http2Session*>(user); }
  static Http2Stream* find(void* user, int32_t id) {
    auto at = self(user).streams_.find(id);
    return at == self(user).streams_.end() ? nullptr : at->second.get();
  }

  static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Session& session = self(user);
    if (session.stopped_) return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (session.role_ != Role::kServer || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    auto stream = std::make_unique<Http2Stream>();
    stream->id = frame->hd.stream_id;
    stream->session = &session;
    Http2Stream* begun = stream.get();
    session.streams_.emplace(begun->id, std::move(stream));
    if (session.events_.on_stream) session.events_.on_stream(*begun);
    return 0;
  }

  static int header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name_bytes,
                    size_t name_size, const uint8_t* value_bytes, size_t value_size, uint8_t,
                    void* user) {
    Http2Stream* stream = find(user, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    std::string_view name(reinterpret_cast<const char*>(name_bytes), name_size);
    std::string_view value(reinterpret_cast<const char*>(value_bytes), value_size);
    if (stream->head.bytes() + stream->trailers.bytes() + name.size() + value.size() >
        self(user).header_limit_) {
      stream->too_large = true;
      return 0;
    }
    if (stream->head_done) {
      stream->trailers.add(name, value);
    } else if (name == ":method") {
      stream->method = value;
    } else if (name == ":path") {
      stream->path = value;
    } else if (name == ":authority") {
      stream->authority = value;
    } else if (name == ":status") {
      stream->status = atoi(std::string(value).c_str());
    } else if (name[0] != ':') {
      stream->head.add(name, value);
    }
    return 0;
  }

  static int frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Session& session = self(user);
    if (frame->hd.type == NGHTTP2_GOAWAY) {
      session.going_away_ = true;
      session.wake();
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    Http2Stream* stream = find(user, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_HEADERS && !stream->head_done) {
      if (session.role_ == Role::kClient && stream->status / 100 == 1) {  // more is to come
        stream->head = Headers();
        return 0;
      }
      stream->head_done = true;
      if (stream->user != nullptr) stream->user->on_headers(end);
      stream = find(user, frame->hd.stream_id);
    }
    if (end && stream != nullptr) {
      stream->ended = true;
      session.deliver(*stream);
    }
    return 0;
  }

  static int data(nghttp2_session* nghttp2, uint8_t, int32_t id, const uint8_t* bytes, size_t size,
                  void* user) {
    Http2Stream* stream = find(user, id);
    if (stream == nullptr || stream->user == nullptr) {
      nghttp2_session_consume(nghttp2, id, size);
      return 0;
    }
    std::string_view text(reinterpret_cast<const char*>(bytes), size);
    if (stream->paused || !stream->inbox.empty()) {
      stream->inbox += text;
      // Only this stream waits: its window stays used, the connection's does not.
      nghttp2_session_consume_connection(nghttp2, size);
      return 0;
    }
    nghttp2_session_consume(nghttp2, id, size);
    stream->user->on_data(text);
    return 0;
  }

  static int closed(nghttp2_session*, int32_t id, uint32_t error, void* user) {
    Http2Session& session = self(user);
    auto at = session.streams_.find(id);
    if (at == session.streams_.end()) return 0;
    Http2Stream& stream = *at->second;
    if (error == 0 && stream.ended && !stream.end_told && stream.user != nullptr) {
      // A paused reader gets the rest first.
      stream.session = nullptr;
      return 0;
    }
    std::unique_ptr<Http2Stream> last = std::move(at->second);
    session.streams_.erase(at);
    if (last->user != nullptr) std::exchange(last->user, nullptr)->on_close(error);
    session.wake();
    return 0;
  }

  // An answer that is complete before its request: the rest of the request is not wanted.
  static int frame_sent(nghttp2_session* nghttp2, const nghttp2_frame* frame, void* user) {
    if (self(user).role_ != Role::kServer) return 0;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    Http2Stream* stream = find(user, frame->hd.stream_id);
    if (stream != nullptr && !stream->ended) {
      nghttp2_submit_rst_stream(nghttp2, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
    }
    return 0;
  }

  static int send_data(nghttp2_session*, nghttp2_frame*, const uint8_t* header, size_t size,
                       nghttp2_data_source* source, void* user) {
    Http2Session& session = self(user);
    auto* stream = static_cast<Http2Stream*>(source->ptr);
    session.text_.append(reinterpret_cast<const char*>(header), 9);
    Buffers part = stream->out.take(size);
    if (size <= kSmallData) {
      for (const Slice& slice : part) session.text_ += slice.view();
    } else {
      session.flush_text(*session.out_);
      session.out_->append(std::move(part));
    }
    if (stream->wants_drain && stream->out.size() <= kLowWater) {
      stream->wants_drain = false;
      session.drained_.push_back(stream->id);
    }
    return 0;
  }

  static nghttp2_session_callbacks* table() {
    static nghttp2_session_callbacks* callbacks = [] {
      nghttp2_session_callbacks* c = nullptr;
      CHECK(nghttp2_session_callbacks_new(&c) == 0);
      nghttp2_session_callbacks_set_on_begin_headers_callback(c, begin_headers);
      nghttp2_session_callbacks_set_on_header_callback(c, header);
      nghttp2_session_callbacks_set_on_frame_recv_callback(c, frame);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, data);
      nghttp2_session_callbacks_set_on_stream_close_callback(c, closed);
      nghttp2_session_callbacks_set_on_frame_send_callback(c, frame_sent);
      nghttp2_session_callbacks_set_send_data_callback(c, send_data);
      return c;
    }();
    return callbacks;
  }
};

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
    CHECK(nghttp2_session_server_new2(&session_, Callbacks::table(), this, option) == 0);
  } else {
    CHECK(nghttp2_session_client_new2(&session_, Callbacks::table(), this, option) == 0);
  }
  nghttp2_option_del(option);
  std::vector<nghttp2_settings_entry> settings = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(header_limit)}};
  if (role_ == Role::kServer) {
    settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, max_streams});
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

void Http2Session::end_of_turn() {
  auto keep = shared_from_this();
  if (stopped_) return;
  for (int32_t id : std::exchange(to_resume_, {})) {
    auto at = streams_.find(id);
    if (at != streams_.end()) deliver(*at->second);
    if (stopped_) return;
  }
  pump();
  for (int32_t id : std::exchange(drained_, {})) {
    auto at = streams_.find(id);
    if (at != streams_.end() && at->second->user != nullptr) at->second->user->on_drain();
    if (stopped_) return;
  }
  bool over = nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
  if (over && !failed_) fail(make_error(Code::kServiceUnavailable, "http2: connection closed"));
  if (failed_) {
    auto told = events_.on_close;
    if (told) told(failure_);
    stop();
  } else if (events_.on_activity) {
    events_.on_activity();
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
  if (stream.out_ended || stopped_) return false;
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
  } else if (!stopped_) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, error);
  }
  wake();
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
