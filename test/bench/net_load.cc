// Traffic between pods, nodes and services, and its times. Linked statically: one part of it runs
// in pods. Arguments are name=value:
//
//   mode=serve port=N                            "G" is answered with a line, "S" is a stream to
//   swallow mode=ask hosts=A,B port=N count=N            a connection a request, to each in turn:
//   microseconds mode=stream host=A port=N seconds=S          one connection: Gbit/s mode=until
//   host=A port=N word=W seconds=S    when "W" is first answered, on CLOCK_MONOTONIC, in seconds
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

std::string argument(int argc, char** argv, const std::string& name, const char* otherwise = "") {
  for (int i = 1; i < argc; i++) {
    std::string text = argv[i];
    if (text.starts_with(name + "=")) return text.substr(name.size() + 1);
  }
  return otherwise;
}

int connected(const std::string& host, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  timeval most{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

void answer(int fd, const std::string& word) {
  std::vector<char> buffer(1 << 17);
  ssize_t n = read(fd, buffer.data(), 1);
  char wanted = n == 1 ? buffer[0] : '\0';
  if (wanted == 'G') [[maybe_unused]]
    ssize_t sent = write(fd, word.data(), word.size());
  while (wanted == 'S' && read(fd, buffer.data(), buffer.size()) > 0) {
  }
  close(fd);
}

int serve(int port, const std::string& word) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return 1;
  listen(listener, 1024);
  while (true) {
    int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) std::thread(answer, fd, word).detach();
  }
}

// The answer; empty when there was none.
std::string ask_once(const std::string& host, int port) {
  int fd = connected(host, port);
  if (fd < 0) return "";
  char buffer[64];
  ssize_t n = write(fd, "G", 1) == 1 ? read(fd, buffer, sizeof buffer) : -1;
  close(fd);
  return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : "";
}

int ask(const std::string& hosts, int port, int count) {
  size_t comma = hosts.find(',');
  std::string both[2] = {hosts.substr(0, comma), hosts.substr(comma + 1)};
  std::vector<double> taken[2];
  for (int i = 0; i < 2 * count; i++) {
    auto begun = Clock::now();
    if (ask_once(both[i % 2], port).empty()) return 1;
    taken[i % 2].push_back(std::chrono::duration<double, std::micro>(Clock::now() - begun).count());
  }
  for (auto& list : taken) std::sort(list.begin(), list.end());
  auto n = static_cast<size_t>(count);
  std::printf("{\"p50\": [%.1f, %.1f], \"p99\": [%.1f, %.1f]}\n", taken[0][n / 2], taken[1][n / 2],
              taken[0][n * 99 / 100], taken[1][n * 99 / 100]);
  return 0;
}

int stream(const std::string& host, int port, double seconds) {
  int fd = connected(host, port);
  if (fd < 0) return 1;
  std::vector<char> buffer(1 << 17, 'x');
  buffer[0] = 'S';
  auto begun = Clock::now(), end = begun + std::chrono::duration_cast<Clock::duration>(
                                               std::chrono::duration<double>(seconds));
  double bytes = 0;
  while (Clock::now() < end) {
    ssize_t n = write(fd, buffer.data(), buffer.size());
    if (n < 0) return 1;
    bytes += static_cast<double>(n);
  }
  double took = std::chrono::duration<double>(Clock::now() - begun).count();
  std::printf("{\"gbit_per_s\": %.3f}\n", bytes * 8 / 1e9 / took);
  return 0;
}

int until(const std::string& host, int port, const std::string& word, double seconds) {
  auto begun = Clock::now();
  while (std::chrono::duration<double>(Clock::now() - begun).count() < seconds) {
    if (ask_once(host, port) == word) {
      std::printf("%.6f\n", std::chrono::duration<double>(Clock::now().time_since_epoch()).count());
      return 0;
    }
  }
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  std::string mode = argument(argc, argv, "mode"), host = argument(argc, argv, "host");
  std::string word = argument(argc, argv, "word", "ok");
  int port = std::atoi(argument(argc, argv, "port", "80").c_str());
  double seconds = std::atof(argument(argc, argv, "seconds", "3").c_str());
  if (mode == "serve") return serve(port, word);
  if (mode == "ask") {
    return ask(argument(argc, argv, "hosts"), port,
               std::atoi(argument(argc, argv, "count", "2000").c_str()));
  }
  if (mode == "stream") return stream(host, port, seconds);
  if (mode == "until") return until(host, port, word, seconds);
  std::fprintf(stderr, "net_load: mode=serve, ask, stream or until\n");
  return 2;
}
