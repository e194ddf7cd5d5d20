// Any bytes as what an HTTP/2 server answers to two requests over one connection, one of them with
// a body: nothing crashes, and every request is told one end. The empty SETTINGS that every server
// begins with are put in front, so that the fuzzer gets past them.
#include <sys/socket.h>

#include "knarr/check.h"
#include "net/client_core.h"

using namespace knarr;  // NOLINT

namespace {

class Asked final : public net::Attempt {
 public:
  explicit Asked(const char* method, size_t pauses_after) : pauses_after_(pauses_after) {
    request.method = method;
    request.url = "http://h/p";
    url.scheme = "http";
    url.host = "h";
    url.path = "/p";
  }
  void on_headers(int, const net::Headers&) override { CHECK(!over); }
  void on_data(std::string_view bytes) override {
    CHECK(!over);
    got_ += bytes.size();
    if (carrier != nullptr && got_ > pauses_after_) {
      carrier->pause();
      carrier->resume();
    }
  }
  void on_end(const net::Headers&) override { end(); }
  void on_drain() override {}
  void on_error(const Error&) override { end(); }
  void on_upgraded(std::unique_ptr<net::Socket>) override { end(); }

  bool over = false;
  std::unique_ptr<net::Carrier> carrier;

 private:
  void end() {
    CHECK(!over);
    over = true;
  }
  size_t pauses_after_;
  size_t got_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 60000) return 0;
  std::string bytes("\0\0\0\4\0\0\0\0\0", 9);
  bytes.append(reinterpret_cast<const char*>(data), size);
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) return 0;
  base::UniqueFd peer(fds[1]);
  (void)!write(peer.get(), bytes.data(), bytes.size());
  shutdown(peer.get(), SHUT_WR);
  base::Loop loop;
  auto turns = std::make_shared<net::TurnQueue>(loop.uv());
  auto socket = net::Socket::adopt(turns, base::UniqueFd(fds[0]));
  if (!socket.ok()) return 0;
  auto get = std::make_shared<Asked>("GET", 1000);
  auto post = std::make_shared<Asked>("POST", 10);
  bool closed = false;
  auto connection =
      net::make_http2_client(*std::move(socket), turns, {[] {}, [&closed] { closed = true; }});
  get->carrier = connection->carry(get);
  post->carrier = connection->carry(post);
  loop.run_until([&] { return closed; }, 50);
  if (closed) CHECK(get->over && post->over);
  return 0;
}
