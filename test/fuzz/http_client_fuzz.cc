// Any bytes as what a server says to our client, over a socket: HTTP/2, or HTTP/1.1, to requests
// that are paused, canceled at an event, still sending, or want an upgrade. Each is told of its
// head once, then of data, then of one end; of nothing after that, nor after it was canceled.
//
// The input begins with a byte for each of three requests, and one that says where the rest is cut:
// the client reads what is before the cut, is resumed, and reads what is after. HTTP/2 is written
// short, so that the fuzzer gets beyond the heads of frames: type, flags, stream and length are a
// byte each.
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "knarr/check.h"
#include "net/client_core.h"

using namespace knarr;

namespace {

// What a request does.
constexpr uint8_t kPaused = 1;
constexpr uint8_t kCancelAtHead = 2;
constexpr uint8_t kCancelAtData = 4;
constexpr uint8_t kSending = 8;
constexpr uint8_t kHead = 16;
constexpr uint8_t kUpgrade = 32;
// What the connection is: of the first request's byte.
constexpr uint8_t kHttp1 = 64;
constexpr uint8_t kRaw = 128;  // HTTP/2 is not written short

class Caller final : public net::Attempt {
 public:
  explicit Caller(uint8_t how) : how_(how) {
    request.method = (how & kHead) != 0 ? "HEAD" : "GET";
    request.stream_body = (how & kSending) != 0;
    upgrade = (how & kUpgrade) != 0;
    url = *net::parse_url("http://server/path?query");
  }
  void take(std::unique_ptr<net::Carrier> by) {
    carrier_ = std::move(by);
    if (carrier_ != nullptr && (how_ & kPaused) != 0) carrier_->pause();
  }
  bool placed() const { return carrier_ != nullptr || over_; }
  void go_on() {
    if (carrier_ == nullptr) return;
    if ((how_ & kSending) != 0) carrier_->write("more");
    if (carrier_ != nullptr && (how_ & kPaused) != 0) carrier_->resume();
    if (carrier_ != nullptr && (how_ & kSending) != 0) carrier_->finish();
  }
  void stop() {
    over_ = true;
    carrier_.reset();
  }

  void on_headers(int, const net::Headers&) override {
    CHECK(!over_ && !headed_);
    headed_ = true;
    if ((how_ & kCancelAtHead) != 0) stop();
  }
  void on_data(std::string_view) override {
    CHECK(!over_ && headed_);
    if ((how_ & kCancelAtData) != 0) stop();
  }
  void on_drain() override { CHECK(!over_); }
  void on_end(const net::Headers&) override {
    CHECK(!over_ && headed_);
    stop();
  }
  void on_error(const Error&) override {
    CHECK(!over_);
    stop();
  }
  void on_upgraded(std::unique_ptr<net::ByteStream>) override {
    CHECK(!over_ && headed_ && upgrade);
    stop();
  }

 private:
  uint8_t how_;
  bool headed_ = false;
  bool over_ = false;
  std::unique_ptr<net::Carrier> carrier_;
};

// Frames from their short form, after the SETTINGS that a server begins with.
std::string frames(std::string_view script) {
  constexpr uint8_t kTypes = 11;  // one more than there are
  std::string out("\0\0\0\4\0\0\0\0\0", 9);
  while (script.size() >= 4) {
    size_t length = std::min<size_t>(static_cast<uint8_t>(script[3]), script.size() - 4);
    out.append({0, 0, static_cast<char>(length)});
    out += static_cast<char>(static_cast<uint8_t>(script[0]) % kTypes);
    out += script[1];
    out.append({0, 0, 0, static_cast<char>(script[2] & 15)});
    out += script.substr(4, length);
    script.remove_prefix(4 + length);
  }
  return out;
}

// A connection and its requests, in the order in which it carries them.
struct Conversation {
  std::array<std::shared_ptr<Caller>, 3> callers;
  std::shared_ptr<net::ClientConnection> connection;
  bool closed = false;

  void place() {
    for (const auto& caller : callers) {
      if (closed || !connection || !connection->available()) return;
      if (!caller->placed()) caller->take(connection->carry(caller));
    }
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4 || size > 60000) return 0;
  bool http1 = (data[0] & kHttp1) != 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 4, size - 4);
  if (!http1 && (data[0] & kRaw) == 0) bytes = frames(bytes);
  size_t cut = bytes.size() * data[3] / 255;
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) return 0;
  base::UniqueFd peer(fds[1]);

  base::Loop loop;
  auto turns = std::make_shared<net::TurnQueue>(loop.uv());
  Conversation talk;
  for (size_t i = 0; i < 3; i++) talk.callers[i] = std::make_shared<Caller>(data[i]);
  net::ClientConnection::Events events;
  events.on_idle = [&talk] { talk.place(); };
  events.on_close = [&talk] { talk.closed = true; };
  auto socket = net::Socket::adopt(turns, base::UniqueFd(fds[0]));
  CHECK(socket.ok());
  auto make = http1 ? net::make_http1_client : net::make_http2_client;
  talk.connection = make(std::move(*socket), turns, std::move(events));
  talk.place();
  (void)!write(peer.get(), bytes.data(), cut);
  for (int i = 0; i < 3; i++) uv_run(loop.uv(), UV_RUN_NOWAIT);
  for (const auto& caller : talk.callers) caller->go_on();
  (void)!write(peer.get(), bytes.data() + cut, bytes.size() - cut);
  shutdown(peer.get(), SHUT_WR);
  loop.run_until([&] { return talk.closed; }, 50);
  for (const auto& caller : talk.callers) caller->stop();
  return 0;
}
