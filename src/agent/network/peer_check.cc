#include "agent/network/peer_check.h"

#include <arpa/inet.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "agent/network/rtnetlink.h"
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

std::string echo_request(uint16_t id, bool v6) {
  icmphdr header{};
  header.type = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
  header.un.echo.id = htons(id);
  std::string out(reinterpret_cast<const char*>(&header), sizeof header);
  if (v6) return out;
  uint16_t sum = checksum(out);
  memcpy(out.data() + offsetof(icmphdr, checksum), &sum, sizeof sum);
  return out;
}

bool is_echo_reply(std::string_view packet, uint16_t id, bool v6) {
  if (packet.empty()) return false;
  size_t ip_bytes = v6 ? 0 : static_cast<size_t>(packet[0] & 0xf) * 4;
  icmphdr header;  // of ICMPv6 the same
  if (packet.size() < ip_bytes + sizeof header) return false;
  memcpy(&header, packet.data() + ip_bytes, sizeof header);
  return header.type == (v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) && header.un.echo.id == htons(id);
}

PeerCheck::PeerCheck(base::Loop& loop, std::string link, int64_t first_wait_ms, Done done)
    : loop_(loop),
      link_(std::move(link)),
      first_wait_ms_(first_wait_ms),
      done_(std::move(done)),
      id_(static_cast<uint16_t>(getpid())),
      timer_(loop.timer([this] { tick(); })) {}

bool PeerCheck::check(const std::string& name, const api::IpAddress& address) {
  if (!open(address.v6)) return false;
  Peer& peer = waiting_[name];
  peer = {address, 0, 0};
  ask(peer);
  arm();
  return true;
}

bool PeerCheck::open(bool v6) {
  Ear& ear = ears_[v6];
  if (ear.socket.valid()) return true;
  int family = v6 ? AF_INET6 : AF_INET;
  int protocol = v6 ? static_cast<int>(IPPROTO_ICMPV6) : static_cast<int>(IPPROTO_ICMP);
  ear.socket.reset(socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (!ear.socket.valid()) {
    base::log(base::Level::kDebug, "network", "other nodes are not asked: {}", strerror(errno));
    return false;
  }
  if (v6) {
    icmp6_filter answers_only;
    ICMP6_FILTER_SETBLOCKALL(&answers_only);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &answers_only);
    setsockopt(ear.socket.get(), IPPROTO_ICMPV6, ICMP6_FILTER, &answers_only, sizeof answers_only);
  } else {
    icmp_filter answers_only{~(1U << ICMP_ECHOREPLY)};
    setsockopt(ear.socket.get(), SOL_RAW, ICMP_FILTER, &answers_only, sizeof answers_only);
  }
  ear.watch = std::make_unique<base::FdWatch>(loop_, ear.socket.get(), UV_READABLE,
                                              [this, v6](int) { receive(v6); });
  return true;
}

// What can't be sent is not answered.
void PeerCheck::ask(Peer& peer) {
  bool v6 = peer.address.v6;
  sockaddr_in to{};
  sockaddr_in6 to6{};
  to.sin_family = AF_INET;
  to6.sin6_family = AF_INET6;
  memcpy(&to.sin_addr, peer.address.bytes.data(), sizeof to.sin_addr);
  memcpy(&to6.sin6_addr, peer.address.bytes.data(), sizeof to6.sin6_addr);
  std::string request = echo_request(id_, v6);
  iovec bytes{request.data(), request.size()};
  msghdr message{};
  message.msg_name = v6 ? static_cast<void*>(&to6) : &to;
  message.msg_namelen = v6 ? sizeof to6 : sizeof to;
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in6_pktinfo))] = {};
  if (unsigned index = link_.empty() ? 0 : link_index(link_)) {
    in_pktinfo info{};
    in6_pktinfo info6{};
    info.ipi_ifindex = static_cast<int>(index);
    info6.ipi6_ifindex = index;
    size_t size = v6 ? sizeof info6 : sizeof info;
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
    header->cmsg_type = v6 ? IPV6_PKTINFO : IP_PKTINFO;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), v6 ? static_cast<void*>(&info6) : &info, size);
  }
  static_cast<void>(sendmsg(ears_[v6].socket.get(), &message, 0));
  peer.due_ms = loop_.monotonic_ms() + (first_wait_ms_ << peer.asked);
  peer.asked++;
}

void PeerCheck::receive(bool v6) {
  char buffer[1500];
  sockaddr_storage from{};
  socklen_t size = sizeof from;
  std::vector<std::string> answered;
  ssize_t n;
  while ((n = recvfrom(ears_[v6].socket.get(), buffer, sizeof buffer, 0,
                       reinterpret_cast<sockaddr*>(&from), &size)) > 0) {
    if (!is_echo_reply({buffer, static_cast<size_t>(n)}, id_, v6)) continue;
    const void* bytes = &reinterpret_cast<sockaddr_in*>(&from)->sin_addr;
    if (v6) bytes = &reinterpret_cast<sockaddr_in6*>(&from)->sin6_addr;
    for (const auto& [name, peer] : waiting_) {
      bool same =
          peer.address.v6 == v6 && memcmp(bytes, peer.address.bytes.data(), v6 ? 16 : 4) == 0;
      if (same) answered.push_back(name);
    }
  }
  for (const std::string& name : answered) {
    if (waiting_.erase(name) > 0) done_(name, Outcome::kAnswered);
  }
  arm();
}

void PeerCheck::tick() {
  int64_t now_ms = loop_.monotonic_ms();
  std::vector<std::string> late, silent;
  for (auto& [name, peer] : waiting_) {
    if (peer.due_ms > now_ms) continue;
    if (peer.asked < kMostAsked) {
      ask(peer);
      late.push_back(name);
    } else {
      silent.push_back(name);
    }
  }
  for (const std::string& name : silent) {
    if (waiting_.erase(name) > 0) done_(name, Outcome::kSilent);
  }
  for (const std::string& name : late) done_(name, Outcome::kLate);
  arm();
}

void PeerCheck::arm() {
  if (waiting_.empty()) {
    timer_->stop();
    for (Ear& ear : ears_) {
      ear.watch = nullptr;
      ear.socket.reset();
    }
    return;
  }
  int64_t next_ms = INT64_MAX;
  for (const auto& [name, peer] : waiting_) next_ms = std::min(next_ms, peer.due_ms);
  timer_->start(std::max<int64_t>(0, next_ms - loop_.monotonic_ms()));
}

}  // namespace knarr::agent
