// HTTP/2 for both sides, on nghttp2: streams with queues of shared slices out, flow control that
// follows what is consumed in. Frames are made at the end of a turn, and only as long as the socket
// wants more, so that a slow peer's data waits here as slices. Loop thread only.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "net/headers.h"
#include "net/socket.h"
#include "net/turn.h"

namespace knarr::net {

class Http2Session;

// One stream, owned by the session until it is closed.
struct Http2Stream {
  // What a stream tells its user; any may be the last moment the user exists.
  class User {
   public:
    virtual ~User() = default;
    virtual void on_headers(bool end) = 0;  // `head` is complete
    virtual void on_data(std::string_view bytes) = 0;
    virtual void on_end() = 0;  // `trailers` is complete
    virtual void on_drain() = 0;
    // error: of http2; 0 after both sides ended. The stream is gone afterwards.
    virtual void on_close(uint32_t error) = 0;
  };

  int32_t id = 0;
  Http2Session* session = nullptr;
  User* user = nullptr;
  std::string method, path, authority;  // of a request
  std::string protocol;                 // of an extended CONNECT
  int status = 0;                       // of an answer
  Headers head;
  Headers trailers;
  bool head_done = false;
  bool too_large = false;  // the head passed the limit
  bool ended = false;      // by the peer
  bool end_told = false;
  bool paused = false;
  std::string inbox;     // data that came while paused
  bool two_way = false;  // the peer may go on when this side has ended

  Buffers out;
  bool out_ended = false;
  bool end_sent = false;
  bool deferred = false;  // nghttp2 waits for more of `out`
  bool wants_drain = false;
};

class Http2Session final : public TurnTask, public std::enable_shared_from_this<Http2Session> {
 public:
  enum class Role { kServer, kClient };
  // What the session tells its connection.
  struct Events {
    std::function<void(Http2Stream&)> on_stream;       // a server's, its head begins: set `user`
    std::function<void()> on_activity;                 // streams came or went
    std::function<void(const Error& error)> on_close;  // the connection ended: the last one
  };

  Http2Session(Role role, std::unique_ptr<Socket> socket, std::shared_ptr<TurnQueue> turns,
               size_t header_limit, uint32_t max_streams);
  ~Http2Session() override;

  void start(Events events);
  void stop();  // no more events; cuts the connection. Streams are told on_close

  // A client's. nullptr when the connection takes no more.
  Http2Stream* request(const Headers& pseudo_and_headers, bool has_body);
  void respond(Http2Stream& stream, const Headers& pseudo_and_headers, bool has_body);
  bool write(Http2Stream& stream, Buffers bytes);
  void finish(Http2Stream& stream);
  void reset(Http2Stream& stream, uint32_t error);
  // Sends what is queued, then ends; what comes is dropped. The user is told nothing more.
  void abandon(Http2Stream& stream);
  void resume(Http2Stream& stream);

  void goaway();  // no new streams
  bool accepts_requests() const;
  size_t streams() const { return streams_.size(); }
  uint32_t peer_max_streams() const;
  Socket& socket() { return *socket_; }
  TurnQueue& turns() { return *turns_; }
  void end_of_turn() override;

 private:
  struct Callbacks;
  static nghttp2_session_callbacks* callbacks();
  void feed(std::string_view bytes);
  void pump();
  void fail(Error error);
  void deliver(Http2Stream& stream);
  void tell_closed();
  void flush_text(Buffers& out);
  void wake();

  Role role_;
  std::unique_ptr<Socket> socket_;
  std::shared_ptr<TurnQueue> turns_;
  size_t header_limit_;
  nghttp2_session* session_ = nullptr;
  Events events_;
  std::unordered_map<int32_t, std::unique_ptr<Http2Stream>> streams_;
  std::vector<int32_t> to_resume_;  // streams whose data waits for the end of the turn
  std::vector<int32_t> drained_;
  // Closed while frames were made, which is no time to tell anyone.
  std::vector<std::pair<std::unique_ptr<Http2Stream>, uint32_t>> closed_;
  std::string text_;        // frames not yet handed to the socket
  Buffers* out_ = nullptr;  // while pumping
  bool stopped_ = false;
  bool receiving_ = false;  // nghttp2 may not be asked to send meanwhile
  bool failed_ = false;
  Error failure_;
  bool going_away_ = false;
};

}  // namespace knarr::net
