#include "agent/eviction.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "agent/pod_resources.h"
#include "api/quantity.h"
#include "base/file.h"
#include "base/format.h"

namespace knarr::agent {

using json::Value;

namespace {

constexpr int64_t kSystemCritical = 2000000000;
constexpr int64_t kMinImageAgeMs = 2 * 60 * 1000;

const char* resource_of(Pressure pressure) {
  return pressure == Pressure::kMemory ? "memory" : "ephemeral-storage";
}

std::string bytes_text(int64_t bytes) {
  return api::Quantity(bytes, api::Quantity::Format::kBinarySi).text();
}

bool critical(const Pod& pod) { return pod.spec()["priority"].as_int() >= kSystemCritical; }

int64_t request_of(const Value& list, Pressure pressure) {
  return api::quantity_or_zero(list[resource_of(pressure)].as_string()).value();
}

int64_t used(const PodUse& pod) {
  int64_t sum = pod.volumes_bytes;
  for (const ContainerUse& c : pod.containers) sum += c.used_bytes;
  return sum;
}

// The value in kB of a line of /proc/meminfo, in bytes.
int64_t meminfo_bytes(std::string_view text, std::string_view key) {
  size_t at = text.find(key);
  if (at == std::string_view::npos) return 0;
  std::string number(text.substr(at + key.size(), 24));
  return strtoll(number.c_str(), nullptr, 10) * 1024;
}

Result<Threshold> parse_threshold(std::string_view text) {
  Threshold t;
  if (text.ends_with('%')) {
    std::string number(text.substr(0, text.size() - 1));
    t.percent = strtod(number.c_str(), nullptr);
    return t;
  }
  auto amount = api::Quantity::parse(text);
  if (!amount.ok()) return amount.error();
  t.amount = amount->value();
  return t;
}

// The one that is met first, of two of the same supply.
void set_stricter(Threshold& threshold, const Threshold& other) {
  constexpr int64_t kAnyDisk = int64_t{1} << 40;
  if (other.of(kAnyDisk) > threshold.of(kAnyDisk)) threshold = other;
}

}  // namespace

Supply memory_supply(std::string_view meminfo) {
  // The kernel's own estimate of what can be had: page cache that is in use does not count.
  return {meminfo_bytes(meminfo, "MemTotal:"), meminfo_bytes(meminfo, "MemAvailable:")};
}

MachineUse read_machine_use(const std::string& data_dir) {
  MachineUse use;
  auto text = base::read_file("/proc/meminfo");
  if (text.ok()) use.memory = memory_supply(*text);
  struct statvfs disk;
  if (statvfs(data_dir.c_str(), &disk) != 0) return use;
  auto size = static_cast<int64_t>(disk.f_frsize);
  use.disk = {static_cast<int64_t>(disk.f_blocks) * size,
              static_cast<int64_t>(disk.f_bavail) * size};
  use.inodes = {static_cast<int64_t>(disk.f_files), static_cast<int64_t>(disk.f_favail)};
  return use;
}

int64_t Threshold::of(int64_t capacity) const {
  return amount > 0 ? amount : static_cast<int64_t>(static_cast<double>(capacity) * percent / 100);
}

std::string Threshold::text() const {
  return amount > 0 ? bytes_text(amount) : fmt::format("{}%", percent);
}

Result<void> parse_eviction(std::string_view text, EvictionSettings& settings) {
  settings.memory = settings.disk = settings.inodes = {};
  while (!text.empty()) {
    size_t comma = std::min(text.find(','), text.size());
    std::string_view one = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    size_t less = one.find('<');
    if (less == std::string_view::npos) {
      return make_error(Code::kInvalid,
                        fmt::format("invalid eviction threshold syntax {}, expected <signal><"
                                    "operator><value>",
                                    one));
    }
    std::string_view signal = one.substr(0, less);
    TRY_ASSIGN(Threshold threshold, parse_threshold(one.substr(less + 1)));
    if (signal == "memory.available") {
      settings.memory = threshold;
    } else if (signal == "nodefs.available" || signal == "imagefs.available") {
      set_stricter(settings.disk, threshold);
    } else if (signal == "nodefs.inodesFree" || signal == "imagefs.inodesFree") {
      set_stricter(settings.inodes, threshold);
    } else {
      return make_error(Code::kInvalid, fmt::format("unsupported eviction signal {}", signal));
    }
  }
  return {};
}

std::vector<PodUse> eviction_order(std::vector<PodUse> pods, Pressure pressure) {
  std::erase_if(pods, [](const PodUse& p) { return critical(*p.pod); });
  auto excess = [pressure](const PodUse& p) {
    return used(p) - request_of(pod_requests(*p.pod), pressure);
  };
  std::stable_sort(pods.begin(), pods.end(), [&](const PodUse& a, const PodUse& b) {
    int64_t more_a = excess(a), more_b = excess(b);
    if ((more_a > 0) != (more_b > 0)) return more_a > 0;
    int64_t priority_a = a.pod->spec()["priority"].as_int();
    int64_t priority_b = b.pod->spec()["priority"].as_int();
    if (priority_a != priority_b) return priority_a < priority_b;
    return more_a > more_b;
  });
  return pods;
}

std::string eviction_message(const PodUse& pod, Pressure pressure, const Threshold& threshold,
                             const Supply& supply) {
  const char* resource = resource_of(pressure);
  std::string message = fmt::format(
      "The node was low on resource: {}. Threshold quantity: {}, available: {}. ", resource,
      bytes_text(threshold.of(supply.capacity)), bytes_text(supply.available));
  for (const ContainerUse& c : pod.containers) {
    const ContainerSpec* spec = pod.pod->container(c.name);
    if (spec == nullptr) continue;
    int64_t request = request_of((*spec->spec)["resources"]["requests"], pressure);
    if (c.used_bytes <= request) continue;
    message +=
        fmt::format("Container {} was using {}, request is {}, has larger consumption of {}. ",
                    c.name, bytes_text(c.used_bytes), bytes_text(request), resource);
  }
  return message;
}

bool refused_under(const Pod& pod, Pressure pressure) {
  if (critical(pod)) return false;
  if (pressure == Pressure::kDisk) return true;
  if (qos_class(pod) != "BestEffort") return false;
  for (const Value& t : pod.spec()["tolerations"].elements()) {
    std::string_view key = t["key"].as_string(), effect = t["effect"].as_string();
    bool any = key.empty() && t["operator"].as_string() == "Exists";
    if (!any && key != "node.kubernetes.io/memory-pressure") continue;
    if (effect.empty() || effect == "NoSchedule") return false;
  }
  return true;
}

std::vector<std::string> images_to_remove(std::vector<ImageUse> images, int64_t bytes,
                                          int64_t now_ms) {
  std::erase_if(images,
                [&](const ImageUse& i) { return i.kept || now_ms - i.found_ms < kMinImageAgeMs; });
  std::sort(images.begin(), images.end(), [](const ImageUse& a, const ImageUse& b) {
    return a.last_used_ms != b.last_used_ms ? a.last_used_ms < b.last_used_ms
                                            : a.found_ms < b.found_ms;
  });
  std::vector<std::string> ids;
  for (const ImageUse& image : images) {
    if (bytes <= 0) break;
    ids.push_back(image.id);
    bytes -= image.size_bytes;
  }
  return ids;
}

int64_t image_bytes_to_free(const Supply& disk, const EvictionSettings& settings) {
  if (disk.capacity <= 0) return 0;
  int64_t used_percent = 100 - disk.available * 100 / disk.capacity;
  if (used_percent < settings.image_high_percent) return 0;
  return disk.capacity * (100 - settings.image_low_percent) / 100 - disk.available;
}

}  // namespace knarr::agent
