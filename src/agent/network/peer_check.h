// Whether the pods' networks of other nodes answer: an ICMP echo to each, asked again a few times
// while there is no answer; through the link that is named, if one is, whatever the routes prefer.
// The answer may come by any. So that a firewall between nodes is told of when they meet, and not
// by pods that wait. Nothing is open, and no timer runs, when all is known. Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "api/ip.h"
#include "base/loop.h"
#include "base/unique_fd.h"

namespace knarr::agent {

// An ICMP echo request, and whether what a raw socket gave (in IPv4 with its IP header) answers it.
// In IPv6 the kernel makes the checksum.
std::string echo_request(uint16_t id, bool v6 = false);
bool is_echo_reply(std::string_view packet, uint16_t id, bool v6 = false);

class PeerCheck {
 public:
  enum class Outcome { kAnswered, kLate, kSilent };
  // kLate when it has to be asked again; one of the others follows.
  using Done = std::function<void(const std::string& name, Outcome outcome)>;
  // The first answer is waited for this long, the next twice as long, four times in all.
  PeerCheck(base::Loop& loop, std::string link, int64_t first_wait_ms, Done done);

  // Whether it can be asked.
  bool check(const std::string& name, const api::IpAddress& address);
  void forget(const std::string& name) { waiting_.erase(name); }
  bool idle() const { return waiting_.empty(); }

 private:
  struct Peer {
    api::IpAddress address;
    int asked = 0;
    int64_t due_ms = 0;
  };
  struct Ear {
    base::UniqueFd socket;
    std::unique_ptr<base::FdWatch> watch;
  };
  bool open(bool v6);
  void ask(Peer& peer);
  void receive(bool v6);
  void tick();
  void arm();

  base::Loop& loop_;
  std::string link_;
  int64_t first_wait_ms_;
  Done done_;
  uint16_t id_;
  std::map<std::string, Peer> waiting_;
  Ear ears_[2];  // IPv4, IPv6
  std::unique_ptr<Timer> timer_;
};

}  // namespace knarr::agent
