// Asks a DNS server for one name over and over, by UDP: so many queries are under way at a time,
// each with a number of its own. Prints what came of it as JSON: answers a second, and how long an
// answer took, in milliseconds.
//
// usage: dns_load address=IP port=N name=NAME in_flight=N seconds=N
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

std::string query_for(std::string_view name) {
  std::string out("\0\0\1\0\0\1\0\0\0\0\0\0", 12);
  while (!name.empty()) {
    size_t dot = std::min(name.find('.'), name.size());
    out += static_cast<char>(dot);
    out += name.substr(0, dot);
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  return out + std::string("\0\0\1\0\1", 5);
}

double quantile(const std::vector<double>& sorted, double q) {
  return sorted.empty() ? 0
                        : sorted[static_cast<size_t>(q * static_cast<double>(sorted.size() - 1))];
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> arguments;
  for (int i = 1; i < argc; i++) {
    std::string argument = argv[i];
    size_t equals = argument.find('=');
    if (equals == std::string::npos) return 2;
    arguments[argument.substr(0, equals)] = argument.substr(equals + 1);
  }
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(atoi(arguments["port"].c_str())));
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (inet_pton(AF_INET, arguments["address"].c_str(), &to.sin_addr) != 1 ||
      connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
    std::perror("connect");
    return 1;
  }
  std::string query = query_for(arguments["name"]);
  auto in_flight = static_cast<size_t>(atoi(arguments["in_flight"].c_str()));
  std::vector<Clock::time_point> sent(in_flight);
  std::vector<double> took;
  size_t errors = 0;
  auto ask = [&](size_t slot) {
    query[0] = static_cast<char>(slot >> 8);
    query[1] = static_cast<char>(slot);
    sent[slot] = Clock::now();
    if (send(fd, query.data(), query.size(), 0) < 0) errors++;
  };
  auto begin = Clock::now();
  auto end = begin + std::chrono::seconds(atoi(arguments["seconds"].c_str()));
  for (size_t slot = 0; slot < in_flight; slot++) ask(slot);
  while (Clock::now() < end) {
    pollfd readable{fd, POLLIN, 0};
    unsigned char answer[4096];
    // Busy while one query is under way: what is measured is the server, not waking up from a
    // sleep.
    ssize_t n = recv(fd, answer, sizeof answer, in_flight == 1 ? MSG_DONTWAIT : 0);
    if (n < 0 && poll(&readable, 1, in_flight == 1 ? 0 : 1000) == 0) continue;
    if (n < 12) continue;
    size_t slot = static_cast<size_t>(answer[0]) << 8 | answer[1];
    if (slot >= in_flight) continue;
    if ((answer[3] & 15) != 0 || answer[7] == 0) errors++;
    took.push_back(std::chrono::duration<double, std::milli>(Clock::now() - sent[slot]).count());
    ask(slot);
  }
  double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  std::sort(took.begin(), took.end());
  std::printf(
      "{\"requests\": %zu, \"errors\": %zu, \"per_s\": %.1f, \"p50\": %.4f, \"p99\": %.4f}\n",
      took.size(), errors, static_cast<double>(took.size()) / seconds, quantile(took, 0.5),
      quantile(took, 0.99));
  return took.empty() ? 1 : 0;
}
