#include "agent/network/relay_port.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "agent/remote/remote_watch.h"
#include "base/log.h"

namespace knarr::agent {

namespace {

constexpr int kPacketsAtOnce = 64;
constexpr int64_t kMostOftenMs = 1000;

}  // namespace

RelayPort::RelayPort(base::Loop& loop, Random& random)
    : loop_(loop), random_(random), retry_(loop.timer([this] { open(); })) {}

RelayPort::~RelayPort() = default;

void RelayPort::use(Open open) {
  open_ = std::move(open);
  opening_ = nullptr;
  stream_ = nullptr;
  if (watch_) watch_->set_events(0);
  server_is_there(false);
}

void RelayPort::server_is_there(bool packets) {
  if (packets && !attached() && wanted_) wanted_();
  if (!attached() || stream_ || opening_ || !open_) return;
  failures_ = 0;
  retry_->start(0);
}

void RelayPort::attach(base::UniqueFd tun) {
  detach();
  tun_ = std::move(tun);
  used_ms_ = loop_.monotonic_ms();
  watch_ = std::make_unique<base::FdWatch>(loop_, tun_.get(), 0, [this](int) { send(); });
  server_is_there(false);
}

void RelayPort::detach() {
  retry_->stop();
  opening_ = nullptr;
  stream_ = nullptr;
  watch_ = nullptr;
  tun_.reset();
}

void RelayPort::open() {
  if (!open_) return;
  opening_ = open_([this](Result<std::unique_ptr<net::ByteStream>> s) { opened(std::move(s)); });
}

void RelayPort::opened(Result<std::unique_ptr<net::ByteStream>> stream) {
  auto over = std::move(opening_);
  if (!stream.ok()) return lost(stream.error());
  failures_ = 0;
  opened_ms_ = loop_.monotonic_ms();
  stream_ = std::move(*stream);
  frames_.clear();
  auto cut = [this] { lost(make_error(Code::kServiceUnavailable, "closed by the server")); };
  stream_->listen({[this](std::string_view bytes) { receive(bytes); }, cut,
                   [this] { watch_->set_events(UV_READABLE); },
                   [this](const Error& error) { lost(error); }});
  watch_->set_events(UV_READABLE);
}

// Where two machines have one name, each one's stream would end the other's without a pause.
void RelayPort::lost(const Error& error) {
  base::log(base::Level::kDebug, "network", "packets to the server's relay: {}", error.message);
  stream_ = nullptr;
  watch_->set_events(0);
  failures_++;
  int64_t wait_ms = opened_ms_ + kMostOftenMs - loop_.monotonic_ms();
  retry_->start(std::max(retry_delay_ms(failures_, random_), wait_ms));
}

// While the stream can take no more, packets wait in the link's queue.
void RelayPort::send() {
  char packet[net::kMostFramed];
  std::string frames;
  for (int i = 0; i < kPacketsAtOnce; i++) {
    ssize_t n = read(tun_.get(), packet, sizeof packet);
    if (n < 0 && errno != EAGAIN && errno != EINTR) return detach();  // the link is gone
    if (n <= 0) break;
    net::append_frame(frames, {packet, static_cast<size_t>(n)});
  }
  if (!frames.empty() && !stream_->write(std::move(frames))) watch_->set_events(0);
}

// What the kernel does not take is lost, as packets are.
void RelayPort::receive(std::string_view bytes) {
  used_ms_ = loop_.monotonic_ms();
  frames_.add(bytes);
  while (auto packet = frames_.next()) {
    if (write(tun_.get(), packet->data(), packet->size()) < 0) {
      base::log(base::Level::kDebug, "network", "a packet of the relay's: errno {}", errno);
    }
  }
}

}  // namespace knarr::agent
