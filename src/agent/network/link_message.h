// What the messages about links begin with, for the files of this folder that write them.
#pragma once

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstdint>

namespace knarr::agent {

// No address of its own on a link that only carries others': IN6_ADDR_GEN_MODE_NONE.
inline constexpr uint8_t kIn6AddrGenModeNone = 1;

inline ifinfomsg link_header(int index, unsigned flags) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = index;
  header.ifi_flags = flags;
  header.ifi_change = flags;
  return header;
}

}  // namespace knarr::agent
