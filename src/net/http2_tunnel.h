// A stream of HTTP/2 as a ByteStream, at both ends: what an extended CONNECT (RFC 8441) comes to.
// Its window is its own: a tunnel that nobody reads holds up neither the others of its connection,
// nor more than that window's bytes. Loop thread only.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "net/event_slot.h"
#include "net/http2_session.h"

namespace knarr::net {

class Http2Tunnel final : public ByteStream, private Http2Stream::User {
 public:
  // Becomes the stream's user. Breaks when the connection's owner ends it.
  Http2Tunnel(std::shared_ptr<Http2Session> session, Http2Stream& stream);
  ~Http2Tunnel() override;

  void listen(Events events) override;
  bool write(Buffers bytes) override;
  size_t queued_bytes() const override { return stream_ == nullptr ? 0 : stream_->out.size(); }
  void finish() override;
  void pause() override;
  void resume() override;
  void later(std::function<void()> fn) override;

 private:
  struct Tasks;

  void on_headers(bool) override {}
  void on_data(std::string_view bytes) override { events_.call(&Events::on_data, bytes); }
  void on_end() override { events_.call(&Events::on_end); }
  void on_drain() override { events_.call(&Events::on_drain); }
  void on_close(uint32_t error) override;
  void tell_close();

  std::shared_ptr<Http2Session> session_;
  Http2Stream* stream_;  // null when it is closed
  EventSlot<Events> events_;
  std::shared_ptr<Tasks> tasks_;
  bool listening_ = false;
  bool paused_ = false;
  bool finished_ = false;
  std::optional<Error> closed_;  // until it is told
};

}  // namespace knarr::net
