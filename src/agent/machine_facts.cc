#include "agent/machine_facts.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <sstream>

#include "base/file.h"
#include "base/unique_fd.h"

namespace knarr::agent {

namespace {

std::string first_line(const std::string& path) {
  auto text = base::read_file(path);
  return text.ok() ? text->substr(0, text->find('\n')) : std::string();
}

std::string os_name() {
  auto text = base::read_file("/etc/os-release");
  if (!text.ok()) return "Linux";
  std::istringstream in(*text);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("PRETTY_NAME=", 0) != 0) continue;
    std::string name = line.substr(12);
    if (name.size() >= 2 && name.front() == '"') name = name.substr(1, name.size() - 2);
    return name;
  }
  return "Linux";
}

std::string go_architecture(const std::string& machine) {
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  return machine.rfind("arm", 0) == 0 ? "arm" : machine;
}

}  // namespace

MachineFacts read_machine_facts(const std::string& data_dir) {
  MachineFacts facts;
  utsname names;
  if (uname(&names) == 0) {
    facts.hostname = names.nodename;
    facts.kernel = names.release;
    facts.architecture = go_architecture(names.machine);
  }
  facts.cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  struct sysinfo info;
  if (sysinfo(&info) == 0) {
    facts.memory_bytes = static_cast<int64_t>(info.totalram) * info.mem_unit;
  }
  struct statvfs disk;
  if (statvfs(data_dir.c_str(), &disk) == 0) {
    facts.disk_bytes = static_cast<int64_t>(disk.f_blocks) * static_cast<int64_t>(disk.f_frsize);
  }
  facts.machine_id = first_line("/etc/machine-id");
  facts.system_uuid = first_line("/sys/class/dmi/id/product_uuid");
  if (facts.system_uuid.empty()) facts.system_uuid = facts.machine_id;
  facts.boot_id = first_line("/proc/sys/kernel/random/boot_id");
  facts.os_image = os_name();
  return facts;
}

namespace {

std::string text_of(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  const void* bytes = &reinterpret_cast<const sockaddr_in*>(address)->sin_addr;
  if (address->sa_family == AF_INET6) {
    bytes = &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  }
  inet_ntop(address->sa_family, bytes, text, sizeof text);
  return text;
}

// Connecting a datagram socket sends nothing, and makes the kernel choose a source address.
std::string source_address(bool v6) {
  sockaddr_storage far = {};
  far.ss_family = v6 ? AF_INET6 : AF_INET;
  auto* v4_far = reinterpret_cast<sockaddr_in*>(&far);
  auto* v6_far = reinterpret_cast<sockaddr_in6*>(&far);
  if (v6) {
    v6_far->sin6_port = htons(9);
    inet_pton(AF_INET6, "2001:db8::1", &v6_far->sin6_addr);
  } else {
    v4_far->sin_port = htons(9);
    inet_pton(AF_INET, "198.51.100.1", &v4_far->sin_addr);
  }
  base::UniqueFd fd(socket(far.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage own = {};
  socklen_t size = sizeof own;
  bool found = fd.valid() &&
               connect(fd.get(), reinterpret_cast<sockaddr*>(&far),
                       v6 ? sizeof *v6_far : sizeof *v4_far) == 0 &&
               getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &size) == 0;
  return found ? text_of(reinterpret_cast<sockaddr*>(&own)) : std::string();
}

std::string first_address(bool v6) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return {};
  std::string text;
  for (ifaddrs* i = list; i != nullptr && text.empty(); i = i->ifa_next) {
    if (i->ifa_addr == nullptr || i->ifa_addr->sa_family != (v6 ? AF_INET6 : AF_INET)) continue;
    if ((i->ifa_flags & IFF_LOOPBACK) != 0 || (i->ifa_flags & IFF_UP) == 0) continue;
    if (v6 && IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<sockaddr_in6*>(i->ifa_addr)->sin6_addr)) {
      continue;
    }
    text = text_of(i->ifa_addr);
  }
  freeifaddrs(list);
  return text;
}

}  // namespace

std::string default_address(bool v6) {
  std::string address = source_address(v6);
  return address.empty() ? first_address(v6) : address;
}

std::string default_address() {
  for (bool v6 : {false, true}) {
    std::string address = default_address(v6);
    if (!address.empty()) return address;
  }
  return "127.0.0.1";
}

}  // namespace knarr::agent
