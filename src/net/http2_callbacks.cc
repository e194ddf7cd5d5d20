// What nghttp2 tells a session: heads, data, ends of streams; and how it gets data to send.
#include "knarr/check.h"
#include "net/http2_session.h"

namespace knarr::net {

namespace {

constexpr size_t kSmallData = 2048;  // copied next to its frame header

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
    } else if (name == ":protocol") {
      stream->protocol = value;
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
    bool reads_on = session.role_ == Role::kClient || stream.two_way;
    if (error == 0 && reads_on && stream.ended && !stream.end_told && stream.user != nullptr) {
      // A paused reader gets the rest first.
      stream.session = nullptr;
      return 0;
    }
    session.closed_.emplace_back(std::move(at->second), error);
    session.streams_.erase(at);
    if (session.out_ == nullptr) session.tell_closed();
    session.wake();
    return 0;
  }

  // An answer that is complete before its request: the rest of the request is not wanted. So it is
  // with what comes to a stream that nobody holds any more.
  static int frame_sent(nghttp2_session* nghttp2, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    Http2Stream* stream = find(user, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    stream->end_sent = true;
    bool unwanted = stream->two_way ? stream->user == nullptr : self(user).role_ == Role::kServer;
    if (unwanted && !stream->ended) {
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
};

nghttp2_session_callbacks* Http2Session::callbacks() {
  static nghttp2_session_callbacks* callbacks = [] {
    nghttp2_session_callbacks* c = nullptr;
    CHECK(nghttp2_session_callbacks_new(&c) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, Callbacks::begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, Callbacks::header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, Callbacks::frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, Callbacks::data);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, Callbacks::closed);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, Callbacks::frame_sent);
    nghttp2_session_callbacks_set_send_data_callback(c, Callbacks::send_data);
    return c;
  }();
  return callbacks;
}

}  // namespace knarr::net
