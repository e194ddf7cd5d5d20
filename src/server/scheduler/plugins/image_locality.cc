// Nodes that have the pod's images already, weighed by size and by how few nodes have them.
#include <algorithm>

#include "server/scheduler/plugins/all.h"

namespace knarr::server {

namespace {

constexpr int64_t kMegabyte = 1024 * 1024;
constexpr int64_t kMin = 23 * kMegabyte;
constexpr int64_t kMaxPerContainer = 1000 * kMegabyte;

std::string with_tag(const std::string& image) {
  size_t slash = image.rfind('/');
  bool tagged = image.find('@') != std::string::npos ||
                image.find(':', slash == std::string::npos ? 0 : slash) != std::string::npos;
  return tagged ? image : image + ":latest";
}

}  // namespace

Plugin image_locality_plugin() {
  Plugin p{"ImageLocality"};
  p.score = [](Cycle& cycle, const std::vector<NodeInfo*>& nodes, std::vector<int64_t>& scores) {
    const auto& all = cycle.table.nodes();
    for (const std::string& image : cycle.pod.images) {
      std::string name = with_tag(image);
      int64_t holders = 0;
      for (const NodeInfo* n : all) holders += n->images.count(name) != 0;
      if (holders == 0) continue;
      for (size_t i = 0; i < nodes.size(); ++i) {
        auto it = nodes[i]->images.find(name);
        if (it == nodes[i]->images.end()) continue;
        scores[i] +=
            static_cast<int64_t>(static_cast<double>(it->second) * static_cast<double>(holders) /
                                 static_cast<double>(all.size()));
      }
    }
    int64_t most = kMaxPerContainer * static_cast<int64_t>(cycle.pod.images.size());
    for (int64_t& s : scores) {
      s = most <= kMin ? 0 : 100 * (std::clamp(s, kMin, most) - kMin) / (most - kMin);
    }
    return true;
  };
  return p;
}

}  // namespace knarr::server
