// Requests a second that an API server answers: a number of TLS connections (HTTP/1.1, kept alive),
// each sending its next request when the answer to the last is in.
//
// api_load name=value...: port, token, method, path, connections, seconds; if wanted host, count
// (ends after so many requests), body (a file's name), type (of the body), accept, objects.
//
// In path and body "@N@" becomes a number: one never used before in this run, or with objects=K the
// next of 1..K. "@NNNNNN@" becomes the same in eight digits, for bodies whose sizes are counted.
// Prints one JSON object; times are milliseconds.
#include <memory>

#include "client.h"

namespace bench {
namespace {

struct Plan {
  explicit Plan(const Arguments& arguments)
      : target(arguments),
        method(arguments.text("method", "GET")),
        path(arguments.text("path")),
        type(arguments.text("type", "application/json")),
        body(arguments.file("body")),
        connections(static_cast<size_t>(arguments.number("connections", 1))),
        seconds(arguments.number("seconds", 1)),
        count(static_cast<int64_t>(arguments.number("count", 1e18))),
        objects(static_cast<int64_t>(arguments.number("objects", 0))) {}

  Target target;
  std::string method, path, type, body;
  size_t connections;
  double seconds;
  int64_t count, objects;
};

std::string filled(std::string text, int64_t n) {
  for (size_t at; (at = text.find("@N@")) != std::string::npos;) {
    text.replace(at, 3, std::to_string(n));
  }
  for (size_t at; (at = text.find("@NNNNNN@")) != std::string::npos;) {
    char digits[24];
    std::snprintf(digits, sizeof digits, "%08ld", static_cast<long>(n));
    text.replace(at, 8, digits);
  }
  return text;
}

class Load {
 public:
  explicit Load(const Plan& plan) : plan_(plan), connections_(plan.connections) {
    for (Connection& connection : connections_) tls_.connect(plan_.target, connection);
  }

  void run() {
    began_ = Clock::now();
    end_ = began_ + std::chrono::microseconds(static_cast<int64_t>(plan_.seconds * 1e6));
    for (Connection& connection : connections_) next(connection);
    epoll_event events[64];
    while (busy_ > 0) {
      int n = epoll_wait(tls_.poll(), events, 64, 30000);
      if (n <= 0) die("no answer within 30 s");
      for (int i = 0; i < n; ++i) progress(*static_cast<Connection*>(events[i].data.ptr));
    }
    report();
  }

 private:
  void next(Connection& connection) {
    if (connection.busy) --busy_;
    connection.busy = asked_ < plan_.count && Clock::now() < end_;
    if (!connection.busy) return;
    ++busy_;
    int64_t n = plan_.objects > 0 ? asked_ % plan_.objects + 1 : asked_ + 1;
    ++asked_;
    connection.send(request_text(plan_.target, plan_.method, filled(plan_.path, n), plan_.type,
                                 filled(plan_.body, n)));
    progress(connection);
  }

  void progress(Connection& connection) {
    if (!connection.busy || !tls_.progress(connection, [](const char*, size_t) {})) return;
    took_.push_back(ms_since(connection.began));
    if (connection.answer.status() / 100 != 2) ++errors_;
    bytes_ = connection.answer.total();
    next(connection);
  }

  void report() {
    double seconds = ms_since(began_) / 1000;
    std::sort(took_.begin(), took_.end());
    std::printf(
        "{\"requests\": %zu, \"errors\": %ld, \"per_s\": %.1f, \"p50\": %.3f, "
        "\"p99\": %.3f, \"bytes\": %zu}\n",
        took_.size(), errors_, static_cast<double>(took_.size()) / seconds, quantile(took_, 0.5),
        quantile(took_, 0.99), bytes_);
  }

  const Plan& plan_;
  Tls tls_;
  std::vector<Connection> connections_;
  std::vector<double> took_;
  Clock::time_point began_, end_;
  int64_t asked_ = 0;
  int busy_ = 0;
  long errors_ = 0;
  size_t bytes_ = 0;
};

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  bench::Plan plan(bench::Arguments(argc, argv));
  std::make_unique<bench::Load>(plan)->run();
}
