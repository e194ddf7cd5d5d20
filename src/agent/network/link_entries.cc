#include "agent/network/link_entries.h"

#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "agent/network/rtnetlink.h"

namespace knarr::agent {

namespace {

ndmsg entry_header(EntryKind kind, int link, const api::IpAddress& address) {
  ndmsg header{};
  header.ndm_ifindex = link;
  header.ndm_state = NUD_PERMANENT;
  if (kind == EntryKind::kForwarding) {
    header.ndm_family = AF_BRIDGE;
    header.ndm_flags = NTF_SELF;
  } else {
    header.ndm_family = address.v6 ? AF_INET6 : AF_INET;
  }
  return header;
}

}  // namespace

Result<std::vector<LinkEntry>> list_entries(Netlink& netlink, EntryKind kind, int link) {
  // The kernel filters forwarding entries by link; neighbours we filter ourselves.
  ifinfomsg of_link{};
  of_link.ifi_family = AF_BRIDGE;
  of_link.ifi_index = link;
  NetlinkMessage message = kind == EntryKind::kForwarding
                               ? NetlinkMessage(RTM_GETNEIGH, NLM_F_DUMP, of_link)
                               : NetlinkMessage(RTM_GETNEIGH, NLM_F_DUMP, ndmsg{});
  TRY_ASSIGN(std::vector<std::string> answers,
             netlink.query(std::move(message), "list neighbours"));
  std::vector<LinkEntry> out;
  for (const std::string& answer : answers) {
    if (answer.size() < sizeof(ndmsg)) continue;
    ndmsg header;
    memcpy(&header, answer.data(), sizeof header);
    if (header.ndm_ifindex != link || (header.ndm_state & NUD_PERMANENT) == 0) continue;
    std::string_view attributes = std::string_view(answer).substr(sizeof header);
    auto address = address_of_bytes(attribute(attributes, NDA_DST));
    if (address) out.push_back({std::string(attribute(attributes, NDA_LLADDR)), *address});
  }
  return out;
}

Result<void> set_entry(Netlink& netlink, EntryKind kind, int link, const LinkEntry& entry) {
  NetlinkMessage message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE,
                         entry_header(kind, link, entry.address));
  message.put(NDA_LLADDR, entry.mac);
  message.put(NDA_DST, address_bytes(entry.address));
  return netlink.request(std::move(message), "set the neighbour " + entry.address.text());
}

Result<void> delete_entry(Netlink& netlink, EntryKind kind, int link, const LinkEntry& entry) {
  NetlinkMessage message(RTM_DELNEIGH, 0, entry_header(kind, link, entry.address));
  if (kind == EntryKind::kForwarding) {
    message.put(NDA_LLADDR, entry.mac);
  } else {
    message.put(NDA_DST, address_bytes(entry.address));
  }
  int refused = 0;
  auto result =
      netlink.request(std::move(message), "forget the neighbour " + entry.address.text(), &refused);
  if (refused == ENOENT) return {};
  return result;
}

}  // namespace knarr::agent
