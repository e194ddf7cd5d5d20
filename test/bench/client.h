// What the load programs share: TLS connections that speak HTTP/1.1, on epoll and OpenSSL alone, so
// that the load costs the machine little beside what it measures. One thread.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

using Clock = std::chrono::steady_clock;

[[noreturn]] inline void die(const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, what.c_str());
  std::exit(1);
}

inline double ms_since(Clock::time_point then) {
  return std::chrono::duration<double, std::milli>(Clock::now() - then).count();
}

// The program's arguments, each "name=value".
class Arguments {
 public:
  Arguments(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      std::string_view text = argv[i];
      size_t at = text.find('=');
      if (at == std::string_view::npos) die("not name=value: " + std::string(text));
      values_[std::string(text.substr(0, at))] = text.substr(at + 1);
    }
  }
  std::string text(const std::string& name, const std::string& otherwise = {}) const {
    auto at = values_.find(name);
    return at == values_.end() ? otherwise : at->second;
  }
  double number(const std::string& name, double otherwise) const {
    auto at = values_.find(name);
    return at == values_.end() ? otherwise : std::atof(at->second.c_str());
  }
  std::string file(const std::string& name) const {
    std::string path = text(name);
    if (path.empty()) return {};
    std::ifstream file(path, std::ios::binary);
    if (!file) die("can't read " + path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::map<std::string, std::string> values_;
};

struct Target {
  explicit Target(const Arguments& arguments)
      : host(arguments.text("host", "127.0.0.1")),
        port(arguments.text("port")),
        token(arguments.text("token")),
        accept(arguments.text("accept", "application/json")) {}
  std::string host, port, token, accept;
};

inline std::string request_text(const Target& target, const std::string& method,
                                const std::string& path, const std::string& type,
                                const std::string& body) {
  std::string text = method + " " + path + " HTTP/1.1\r\nHost: " + target.host +
                     "\r\nAuthorization: Bearer " + target.token + "\r\nAccept: " + target.accept +
                     "\r\n";
  if (!body.empty()) text += "Content-Type: " + type + "\r\n";
  return text + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// Takes an answer apart that comes in any pieces.
class Answer {
 public:
  // Parts of the body go to `on_body(const char*, size_t)`. True: the answer is complete.
  template <typename OnBody>
  bool feed(const char* data, size_t size, OnBody on_body) {
    total_ += size;
    text_.append(data, size);
    if (!head_done_ && !read_head()) return false;
    if (chunked_) return take_chunks(on_body);
    size_t n = std::min(text_.size(), need_);
    on_body(text_.data(), n);
    text_.erase(0, n);
    need_ -= n;
    return need_ == 0;
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

  template <typename OnBody>
  bool take_chunks(OnBody on_body) {
    size_t at = 0;
    bool last = false;
    while (!last) {
      size_t end = text_.find("\r\n", at);
      if (end == std::string::npos) break;
      size_t size = std::strtoull(text_.c_str() + at, nullptr, 16);
      if (text_.size() < end + 2 + size + 2) break;
      on_body(text_.data() + end + 2, size);
      at = end + 2 + size + 2;
      last = size == 0;
    }
    text_.erase(0, at);
    return last;
  }

  std::string text_;
  bool head_done_ = false, chunked_ = false;
  int status_ = 0;
  size_t need_ = 0, total_ = 0;
};

struct Connection {
  SSL* ssl = nullptr;
  std::string out;
  size_t sent = 0;
  Answer answer;
  Clock::time_point began;
  bool busy = false;

  void send(std::string text) {
    out = std::move(text);
    sent = 0;
    answer = Answer();
    began = Clock::now();
  }
};

class Tls {
 public:
  Tls() : context_(SSL_CTX_new(TLS_client_method())), poll_(epoll_create1(EPOLL_CLOEXEC)) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  int poll() const { return poll_; }

  // Blocks until the handshake is done; not part of what is measured. `connection` does not move.
  void connect(const Target& target, Connection& connection) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(std::stoi(target.port)));
    if (inet_pton(AF_INET, target.host.c_str(), &address.sin_addr) != 1)
      die("want an IPv4 address");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("connect");
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection.ssl = SSL_new(context_);
    SSL_set_fd(connection.ssl, fd);
    if (SSL_connect(connection.ssl) != 1) die("TLS handshake");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    epoll_event event = {};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.ptr = &connection;
    epoll_ctl(poll_, EPOLL_CTL_ADD, fd, &event);
  }

  // Sends what waits, reads what came. True: an answer is complete; call it again.
  template <typename OnBody>
  bool progress(Connection& connection, OnBody on_body) {
    while (connection.sent < connection.out.size()) {
      int n = SSL_write(connection.ssl, connection.out.data() + connection.sent,
                        static_cast<int>(connection.out.size() - connection.sent));
      if (n <= 0) return check(connection, n);
      connection.sent += static_cast<size_t>(n);
    }
    for (;;) {
      int n = SSL_read(connection.ssl, buffer_, sizeof buffer_);
      if (n <= 0) return check(connection, n);
      if (connection.answer.feed(buffer_, static_cast<size_t>(n), on_body)) return true;
    }
  }

 private:
  static bool check(Connection& connection, int n) {
    int error = SSL_get_error(connection.ssl, n);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) die("connection lost");
    return false;
  }

  SSL_CTX* context_;
  int poll_;
  char buffer_[65536];
};

inline double quantile(std::vector<double>& sorted, double q) {
  if (sorted.empty()) return 0;
  return sorted[static_cast<size_t>(q * static_cast<double>(sorted.size() - 1))];
}

}  // namespace bench
