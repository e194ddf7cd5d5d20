#include "net/http2_tunnel.h"

namespace knarr::net {

// What waits for the end of the turn. Outlives the tunnel when the queue holds it, and does nothing
// then.
struct Http2Tunnel::Tasks final : TurnTask {
  std::vector<std::function<void()>> list;
  bool dropped = false;

  void end_of_turn() override {
    for (std::function<void()>& task : std::exchange(list, {})) {
      if (!dropped) task();
    }
  }
};

Http2Tunnel::Http2Tunnel(std::shared_ptr<Http2Session> session, Http2Stream& stream)
    : session_(std::move(session)), stream_(&stream), tasks_(std::make_shared<Tasks>()) {
  stream.user = this;
  stream.two_way = true;
  stream.paused = true;  // until somebody listens
}

Http2Tunnel::~Http2Tunnel() {
  tasks_->dropped = true;
  events_.clear();
  if (stream_ == nullptr) return;
  if (finished_) {
    session_->abandon(*stream_);
  } else {
    session_->reset(*stream_, NGHTTP2_CANCEL);
  }
}

void Http2Tunnel::listen(Events events) {
  events_.set(std::move(events));
  if (closed_) later([this] { tell_close(); });
  if (!std::exchange(listening_, true) && !paused_) resume();
}

bool Http2Tunnel::write(Buffers bytes) {
  return stream_ != nullptr && session_->write(*stream_, std::move(bytes));
}

void Http2Tunnel::finish() {
  if (std::exchange(finished_, true) || stream_ == nullptr) return;
  session_->finish(*stream_);
}

void Http2Tunnel::pause() {
  paused_ = true;
  if (stream_ != nullptr) stream_->paused = true;
}

void Http2Tunnel::resume() {
  paused_ = false;
  if (stream_ != nullptr && listening_) session_->resume(*stream_);
}

void Http2Tunnel::later(std::function<void()> fn) {
  tasks_->list.push_back(std::move(fn));
  session_->turns().add(tasks_);
}

void Http2Tunnel::on_close(uint32_t error) {
  stream_ = nullptr;
  closed_ = error == NGHTTP2_NO_ERROR
                ? make_error(Code::kCanceled, "connection closed")
                : make_error(Code::kServiceUnavailable,
                             std::string("http2: stream closed: ") + nghttp2_http2_strerror(error));
  if (listening_) tell_close();
}

void Http2Tunnel::tell_close() {
  if (!closed_) return;
  Error error = *std::exchange(closed_, std::nullopt);
  events_.call(&Events::on_close, error);
}

}  // namespace knarr::net
