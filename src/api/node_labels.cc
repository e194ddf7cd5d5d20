#include "api/node_labels.h"

#include <algorithm>
#include <iterator>

namespace knarr::api {

namespace {

// The domain itself, or one below it.
bool is_within(std::string_view name, std::string_view domain) {
  if (!name.ends_with(domain)) return false;
  return name.size() == domain.size() || name[name.size() - domain.size() - 1] == '.';
}

constexpr std::string_view kOfNodes[] = {
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
};

}  // namespace

bool node_may_set_label(std::string_view key) {
  size_t slash = key.find('/');
  if (slash == std::string_view::npos) return true;
  std::string_view domain = key.substr(0, slash);
  if (is_within(domain, "node-restriction.kubernetes.io")) return false;
  if (!is_within(domain, "kubernetes.io") && !is_within(domain, "k8s.io")) return true;
  return is_within(domain, "kubelet.kubernetes.io") || is_within(domain, "node.kubernetes.io") ||
         std::find(std::begin(kOfNodes), std::end(kOfNodes), key) != std::end(kOfNodes);
}

}  // namespace knarr::api
