// Netlink: messages built attribute by attribute, sent, answered. No more than the agent needs of
// rtnetlink(7) and of conntrack. A socket belongs to the network namespace its thread was in when
// it was opened, whatever the thread does later. Blocking (the kernel answers at once).
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/loop.h"
#include "base/unique_fd.h"
#include "knarr/result.h"

namespace knarr::agent {

class NetlinkMessage {
 public:
  // flags beyond NLM_F_REQUEST. `header` is the family's fixed part (ifinfomsg, rtmsg, ...).
  template <typename Header>
  NetlinkMessage(uint16_t type, uint16_t flags, const Header& header)
      : NetlinkMessage(type, flags, &header, sizeof header) {}

  void put(uint16_t type, std::string_view bytes);
  void put_text(uint16_t type, const std::string& text);  // with its final zero
  void put_u32(uint16_t type, uint32_t value);
  void put_u8(uint16_t type, uint8_t value);
  // A fixed part within the attributes, as VETH_INFO_PEER has one.
  template <typename Header>
  void put_header(const Header& header) {
    append(&header, sizeof header);
  }
  // Attributes between begin and end are inside this one.
  size_t begin(uint16_t type);
  void end(size_t begun);

  std::string& bytes() { return bytes_; }

 private:
  NetlinkMessage(uint16_t type, uint16_t flags, const void* header, size_t size);
  void append(const void* data, size_t size);
  std::string bytes_;
};

// The attributes after a message's fixed part: the payload of the last of that type, if any.
std::string_view attribute(std::string_view attributes, uint16_t type);
uint32_t attribute_u32(std::string_view attributes, uint16_t type, uint32_t fallback = 0);

class Netlink {
 public:
  static Result<Netlink> open(int protocol = NETLINK_ROUTE);

  // One request, acknowledged. `what` begins the error's message; the errno of the kernel's refusal
  // is in `refused` when asked for.
  Result<void> request(NetlinkMessage message, const std::string& what, int* refused = nullptr);
  // The answers to a dump or a get: each from its fixed part on.
  Result<std::vector<std::string>> query(NetlinkMessage message, const std::string& what);

 private:
  Result<void> exchange(NetlinkMessage& message, const std::string& what, int* refused,
                        std::vector<std::string>* answers);
  base::UniqueFd fd_;
  uint32_t sequence_ = 0;
};

// Messages as the kernel sent them, one after the other: header and what comes behind it.
void for_each_message(std::string_view messages,
                      const std::function<void(const nlmsghdr& head, std::string_view body)>& fn);

// Hears what the kernel tells groups of listeners. No timer. Loop thread.
class NetlinkEar {
 public:
  // Called with messages; with none when something was missed.
  NetlinkEar(base::Loop& loop, std::function<void(std::string_view messages)> heard);

  // In the network namespace of the caller. `queue_bytes`: how much the kernel keeps, 0: its
  // default.
  Result<void> start(int protocol, uint32_t groups, int queue_bytes = 0);

 private:
  void receive();

  base::Loop& loop_;
  std::function<void(std::string_view)> heard_;
  base::UniqueFd socket_;
  std::unique_ptr<base::FdWatch> watch_;
};

}  // namespace knarr::agent
