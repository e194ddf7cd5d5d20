#include "agent/network/peer_check.h"

#include <arpa/inet.h>
#include <linux/icmp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/log.h"

namespace knarr::agent {

namespace {

constexpr int kMostAsked = 4;

// RFC 1071.
uint16_t checksum(std::string_view bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    uint16_t word;
    memcpy(&word, bytes.data() + i, sizeof word);
    sum += word;
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

}  // namespace

std::string echo_request(uint16_t id) {
  icmphdr header{};
  header.type = ICMP_ECHO;
  header.un.echo.id = htons(id);
  std::string out(reinterpret_cast<const char*>(&header), sizeof header);
  uint16_t sum = checksum(out);
  memcpy(out.data() + offsetof(icmphdr, checksum), &sum, sizeof sum);
  return out;
}

bool is_echo_reply(std::string_view packet, uint16_t id) {
  if (packet.empty()) return false;
  size_t ip_bytes = static_cast<size_t>(packet[0] & 0xf) * 4;
  icmphdr header;
  if (packet.size() < ip_bytes + sizeof header) return false;
  memcpy(&header, packet.data() + ip_bytes, sizeof header);
  return header.type == ICMP_ECHOREPLY && header.un.echo.id == htons(id);
}

PeerCheck::PeerCheck(base::Loop& loop, int64_t first_wait_ms, Done done)
    : loop_(loop),
      first_wait_ms_(first_wait_ms),
      done_(std::move(done)),
      id_(static_cast<uint16_t>(getpid())),
      timer_(loop.timer([this] { tick(); })) {}

void PeerCheck::check(const std::string& name, const api::IpAddress& address) {
  if (address.v6 || !open()) return;
  Peer& peer = waiting_[name];
  peer = {address, 0, 0};
  ask(peer);
  arm();
}

bool PeerCheck::open() {
  if (socket_.valid()) return true;
  socket_.reset(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP));
  if (!socket_.valid()) {
    base::log(base::Level::kDebug, "network", "other nodes are not asked: {}", strerror(errno));
    return false;
  }
  icmp_filter answers_only{~(1U << ICMP_ECHOREPLY)};
  setsockopt(socket_.get(), SOL_RAW, ICMP_FILTER, &answers_only, sizeof answers_only);
  watch_ = std::make_unique<base::FdWatch>(loop_, socket_.get(), UV_READABLE,
                                           [this](int) { receive(); });
  return true;
}

// What can't be sent is not answered.
void PeerCheck::ask(Peer& peer) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  memcpy(&to.sin_addr, peer.address.bytes.data(), sizeof to.sin_addr);
  std::string request = echo_request(id_);
  static_cast<void>(sendto(socket_.get(), request.data(), request.size(), 0,
                           reinterpret_cast<sockaddr*>(&to), sizeof to));
  peer.due_ms = loop_.monotonic_ms() + (first_wait_ms_ << peer.asked);
  peer.asked++;
}

void PeerCheck::receive() {
  char buffer[1500];
  sockaddr_in from{};
  socklen_t size = sizeof from;
  std::vector<std::string> answered;
  ssize_t n;
  while ((n = recvfrom(socket_.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from),
                       &size)) > 0) {
    if (!is_echo_reply({buffer, static_cast<size_t>(n)}, id_)) continue;
    for (const auto& [name, peer] : waiting_) {
      if (memcmp(&from.sin_addr, peer.address.bytes.data(), sizeof from.sin_addr) == 0) {
        answered.push_back(name);
      }
    }
  }
  for (const std::string& name : answered) {
    if (waiting_.erase(name) > 0) done_(name, true);
  }
  arm();
}

void PeerCheck::tick() {
  int64_t now_ms = loop_.monotonic_ms();
  std::vector<std::string> silent;
  for (auto& [name, peer] : waiting_) {
    if (peer.due_ms > now_ms) continue;
    if (peer.asked < kMostAsked) {
      ask(peer);
    } else {
      silent.push_back(name);
    }
  }
  for (const std::string& name : silent) {
    if (waiting_.erase(name) > 0) done_(name, false);
  }
  arm();
}

void PeerCheck::arm() {
  if (waiting_.empty()) {
    timer_->stop();
    watch_ = nullptr;
    socket_.reset();
    return;
  }
  int64_t next_ms = INT64_MAX;
  for (const auto& [name, peer] : waiting_) next_ms = std::min(next_ms, peer.due_ms);
  timer_->start(std::max<int64_t>(0, next_ms - loop_.monotonic_ms()));
}

}  // namespace knarr::agent
