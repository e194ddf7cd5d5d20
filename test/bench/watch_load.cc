// How long an event takes to all of many watchers: each has a TLS connection of its own and watches
// a collection; one more connection changes an object in it, and does so again when all have been
// told of the last change.
//
// watch_load name=value...: port, token, watch (path and query), method, path, body (a file's
// name), type, watchers, events; if wanted host, accept, framed=1 (a frame is an event, as in
// protobuf; else a line is).
//
// In the body "@N@" becomes the event's number. Prints one JSON object; times are milliseconds from
// the request's first byte to the last watcher's event, and to the answer.
#include <memory>

#include "client.h"

namespace bench {
namespace {

// Counts events in what comes in any pieces.
struct Counter {
  bool framed = false;
  uint32_t size = 0;  // of the frame, once its four bytes have come
  size_t have = 0;    // of them, then of the frame

  size_t feed(const char* bytes, size_t n) {
    if (!framed) return static_cast<size_t>(std::count(bytes, bytes + n, '\n'));
    size_t events = 0;
    for (size_t i = 0; i < n;) {
      if (have < 4) {
        size = size << 8 | static_cast<unsigned char>(bytes[i++]);
        ++have;
        continue;
      }
      size_t part = std::min(n - i, size + 4 - have);
      have += part;
      i += part;
      if (have == size + size_t{4}) {
        ++events;
        have = size = 0;
      }
    }
    return events;
  }
};

struct Watcher {
  Connection connection;
  Counter counter;
  int64_t events = 0;
};

class Load {
 public:
  explicit Load(const Arguments& arguments)
      : arguments_(arguments),
        target_(arguments),
        watchers_(static_cast<size_t>(arguments.number("watchers", 1000))),
        events_(static_cast<int64_t>(arguments.number("events", 100))),
        body_(arguments.file("body")) {
    for (Watcher& watcher : watchers_) {
      watcher.counter.framed = arguments.number("framed", 0) != 0;
      tls_.connect(target_, watcher.connection);
      watcher.connection.send(request_text(target_, "GET", arguments.text("watch"), "", ""));
      pump(watcher);
    }
    Target writer = target_;
    writer.accept = "application/json";
    tls_.connect(writer, writer_);
  }

  void run() {
    // What a watch begins with, and the first change, are told before the times count.
    for (int64_t n = 0; n <= events_; ++n) {
      told_ = 0;
      answered_ = false;
      std::string body = body_;
      for (size_t at; (at = body.find("@N@")) != std::string::npos;) {
        body.replace(at, 3, std::to_string(n));
      }
      for (Watcher& watcher : watchers_) watcher.events = 0;
      writer_.send(request_text(target_, arguments_.text("method", "PATCH"),
                                arguments_.text("path"),
                                arguments_.text("type", "application/merge-patch+json"), body));
      ready(&writer_);
      if (n == 0) settle();
      double all = wait();
      if (n > 0) took_.push_back(all);
    }
    std::sort(took_.begin(), took_.end());
    std::sort(first_.begin(), first_.end());
    std::printf("{\"events\": %zu, \"p50\": %.3f, \"p99\": %.3f, \"answer_p50\": %.3f}\n",
                took_.size(), quantile(took_, 0.5), quantile(took_, 0.99), quantile(first_, 0.5));
  }

 private:
  // Until nothing has come for a while.
  void settle() {
    epoll_event events[64];
    while (int n = epoll_wait(tls_.poll(), events, 64, 500)) {
      for (int i = 0; i < n; ++i) ready(events[i].data.ptr);
    }
  }

  // Until all watchers and the writer have been told.
  double wait() {
    epoll_event events[64];
    while (told_ < watchers_.size() || !answered_) {
      int n = epoll_wait(tls_.poll(), events, 64, 30000);
      if (n <= 0) die("no event within 30 s");
      for (int i = 0; i < n; ++i) ready(events[i].data.ptr);
    }
    return ms_since(writer_.began);
  }

  void ready(void* which) {
    if (which != &writer_) return pump(*static_cast<Watcher*>(which));
    if (!tls_.progress(writer_, [](const char*, size_t) {})) return;
    if (writer_.answer.status() != 200) die("the change was refused");
    answered_ = true;
    first_.push_back(ms_since(writer_.began));
  }

  void pump(Watcher& watcher) {
    bool over = tls_.progress(watcher.connection, [&](const char* bytes, size_t n) {
      auto events = static_cast<int64_t>(watcher.counter.feed(bytes, n));
      if (watcher.events == 0 && events > 0) ++told_;
      watcher.events += events;
    });
    if (over) die("a watch ended");
  }

  const Arguments& arguments_;
  Target target_;
  Tls tls_;
  std::vector<Watcher> watchers_;
  Connection writer_;
  int64_t events_;
  std::string body_;
  size_t told_ = 0;
  bool answered_ = false;
  std::vector<double> took_, first_;
};

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  bench::Arguments arguments(argc, argv);
  std::make_unique<bench::Load>(arguments)->run();
}
