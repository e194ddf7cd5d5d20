#include "agent/network/tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "agent/network/link_message.h"
#include "agent/network/rtnetlink.h"

namespace knarr::agent {

Result<base::UniqueFd> open_tun(const std::string& name) {
  if (name.size() >= IFNAMSIZ) {
    return make_error(Code::kInvalid, "\"" + name + "\" is too long for a link's name");
  }
  base::UniqueFd fd(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return errno_error(errno, "open /dev/net/tun");
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (ioctl(fd.get(), TUNSETIFF, &request) != 0) return errno_error(errno, "make link " + name);
  if (ioctl(fd.get(), TUNSETPERSIST, 1) != 0) return errno_error(errno, "keep link " + name);
  return fd;
}

Result<int> set_up_tun(Netlink& netlink, const std::string& name, int mtu) {
  TRY_ASSIGN(auto link, find_link(netlink, name));
  if (!link) return make_error(Code::kNotFound, "there is no link " + name);
  if (link->kind != kTunKind) {
    return make_error(Code::kConflict, "link " + name + " is not a TUN device");
  }
  no_link_local(netlink, link->index);
  NetlinkMessage message(RTM_NEWLINK, 0, link_header(link->index, IFF_UP));
  message.put_u32(IFLA_MTU, static_cast<uint32_t>(mtu));
  TRY(netlink.request(std::move(message), "set up TUN device " + name));
  return link->index;
}

}  // namespace knarr::agent
