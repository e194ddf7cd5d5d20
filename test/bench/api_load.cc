// Requests a second that an API server answers: a number of TLS connections (HTTP/1.1, kept alive),
// each sending its next request when the answer to the last is in. One thread, on epoll and OpenSSL
// alone, so that the load costs the machine little beside what it measures.
//
// api_load HOST PORT TOKEN METHOD PATH BODY-FILE CONNECTIONS SECONDS [COUNT]
//
// Each "@N@" in the body becomes a number never used before in this run. BODY-FILE "-": no body.
// Ends after the seconds or after COUNT requests. Prints one JSON object; times are milliseconds.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "api_load: %s\n", what.c_str());
  std::exit(1);
}

struct Plan {
  std::string host, port, token, method, path, body;
  int connections = 1;
  double seconds = 1;
  int64_t count = INT64_MAX;
};

// Fills the request in for the n-th time.
std::string request_text(const Plan& plan, int64_t n) {
  std::string body = plan.body;
  for (size_t at; (at = body.find("@N@")) != std::string::npos;) {
    body.replace(at, 3, std::to_string(n));
  }
  std::string text = plan.method + " " + plan.path + " HTTP/1.1\r\nHost: " + plan.host +
                     "\r\nAuthorization: Bearer " + plan.token + "\r\n";
  if (!body.empty()) text += "Content-Type: application/json\r\n";
  return text + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// Finds the end of an answer, by Content-Length or by chunks.
class Answer {
 public:
  // True: complete. The bytes may come in any pieces.
  bool feed(const char* data, size_t size) {
    total_ += size;
    text_.append(data, size);
    if (!head_done_ && !read_head()) return false;
    return chunked_ ? skip_chunks() : text_.size() >= need_;
  }
  int status() const { return status_; }
  size_t total() const { return total_; }

 private:
  bool read_head() {
    size_t end = text_.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    head_done_ = true;
    status_ = std::atoi(text_.c_str() + 9);
    for (size_t at = 0; at < end; at = text_.find("\r\n", at) + 2) {
      const char* line = text_.c_str() + at;
      if (strncasecmp(line, "content-length:", 15) == 0)
        need_ = std::strtoull(line + 15, nullptr, 10);
      if (strncasecmp(line, "transfer-encoding: chunked", 26) == 0) chunked_ = true;
    }
    text_.erase(0, end + 4);
    return true;
  }

  bool skip_chunks() {
    for (;;) {
      size_t end = text_.find("\r\n", at_);
      if (end == std::string::npos) break;
      size_t size = std::strtoull(text_.c_str() + at_, nullptr, 16);
      if (text_.size() < end + 2 + size + 2) break;
      if (size == 0) return true;
      at_ = end + 2 + size + 2;
    }
    text_.erase(0, at_);
    at_ = 0;
    return false;
  }

  std::string text_;
  bool head_done_ = false, chunked_ = false;
  int status_ = 0;
  size_t need_ = 0, at_ = 0, total_ = 0;
};

struct Connection {
  SSL* ssl = nullptr;
  std::string out;
  size_t sent = 0;
  Answer answer;
  Clock::time_point began;
  bool busy = false;
};

class Load {
 public:
  explicit Load(const Plan& plan) : plan_(plan), tls_(SSL_CTX_new(TLS_client_method())) {
    poll_ = epoll_create1(EPOLL_CLOEXEC);
    connections_.resize(plan.connections);
    for (Connection& connection : connections_) connect(connection);
  }

  void run() {
    began_ = Clock::now();
    end_ = began_ + std::chrono::microseconds(static_cast<int64_t>(plan_.seconds * 1e6));
    for (Connection& connection : connections_) next(connection);
    epoll_event events[64];
    while (busy_ > 0) {
      int n = epoll_wait(poll_, events, 64, 30000);
      if (n <= 0) die("no answer within 30 s");
      for (int i = 0; i < n; ++i) progress(*static_cast<Connection*>(events[i].data.ptr));
    }
    report();
  }

 private:
  // Blocks until the handshake is done; not part of what is measured.
  void connect(Connection& connection) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(std::stoi(plan_.port)));
    if (inet_pton(AF_INET, plan_.host.c_str(), &address.sin_addr) != 1) die("want an IPv4 address");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("connect");
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection.ssl = SSL_new(tls_);
    SSL_set_fd(connection.ssl, fd);
    if (SSL_connect(connection.ssl) != 1) die("TLS handshake");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    epoll_event event = {};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.ptr = &connection;
    epoll_ctl(poll_, EPOLL_CTL_ADD, fd, &event);
  }

  void next(Connection& connection) {
    if (connection.busy) --busy_;
    connection.busy = asked_ < plan_.count && Clock::now() < end_;
    if (!connection.busy) return;
    ++busy_;
    connection.out = request_text(plan_, ++asked_);
    connection.sent = 0;
    connection.answer = Answer();
    connection.began = Clock::now();
    progress(connection);
  }

  void progress(Connection& connection) {
    if (!connection.busy) return;
    while (connection.sent < connection.out.size()) {
      int n = SSL_write(connection.ssl, connection.out.data() + connection.sent,
                        static_cast<int>(connection.out.size() - connection.sent));
      if (n <= 0) return check(connection, n);
      connection.sent += static_cast<size_t>(n);
    }
    for (;;) {
      int n = SSL_read(connection.ssl, buffer_, sizeof buffer_);
      if (n <= 0) return check(connection, n);
      if (!connection.answer.feed(buffer_, static_cast<size_t>(n))) continue;
      took_.push_back(
          std::chrono::duration<double, std::milli>(Clock::now() - connection.began).count());
      if (connection.answer.status() / 100 != 2) ++errors_;
      bytes_ = connection.answer.total();
      return next(connection);
    }
  }

  void check(Connection& connection, int n) {
    int error = SSL_get_error(connection.ssl, n);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) die("connection lost");
  }

  void report() {
    double seconds = std::chrono::duration<double>(Clock::now() - began_).count();
    std::sort(took_.begin(), took_.end());
    auto quantile = [&](double q) {
      return took_.empty() ? 0
                           : took_[static_cast<size_t>(q * static_cast<double>(took_.size() - 1))];
    };
    std::printf(
        "{\"requests\": %zu, \"errors\": %ld, \"per_s\": %.1f, \"p50\": %.3f, "
        "\"p99\": %.3f, \"bytes\": %zu}\n",
        took_.size(), errors_, static_cast<double>(took_.size()) / seconds, quantile(0.5),
        quantile(0.99), bytes_);
  }

  const Plan& plan_;
  SSL_CTX* tls_;
  int poll_;
  std::vector<Connection> connections_;
  std::vector<double> took_;
  Clock::time_point began_, end_;
  int64_t asked_ = 0;
  int busy_ = 0;
  long errors_ = 0;
  size_t bytes_ = 0;
  char buffer_[65536];
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 9) die("HOST PORT TOKEN METHOD PATH BODY-FILE CONNECTIONS SECONDS [COUNT]");
  Plan plan{argv[1], argv[2], argv[3], argv[4], argv[5], ""};
  if (std::strcmp(argv[6], "-") != 0) {
    std::ifstream file(argv[6], std::ios::binary);
    if (!file) die(std::string("can't read ") + argv[6]);
    plan.body.assign(std::istreambuf_iterator<char>(file), {});
  }
  plan.connections = std::max(1, std::atoi(argv[7]));
  plan.seconds = std::atof(argv[8]);
  if (argc > 9) plan.count = std::atoll(argv[9]);
  std::make_unique<Load>(plan)->run();
}
