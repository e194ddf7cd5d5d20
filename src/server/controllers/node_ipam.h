// The addresses of pods: every node gets a share of each of the cluster's ranges (spec.podCIDRs),
// once and for ever; and the annotation of the TTL controller.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/ip.h"
#include "server/controllers/controller.h"

namespace knarr::server {

// The first share of `bits` that overlaps none of those taken. Pure.
std::optional<api::Cidr> free_share(const api::Cidr& range, int bits,
                                    const std::vector<api::Cidr>& taken);

class NodeIpamController final : public Controller {
 public:
  struct Options {
    std::string cluster_cidr;  // of each IP family one
    int bits_v4 = 24, bits_v6 = 64;
  };
  NodeIpamController(const ControllerContext& context, const Options& options);
  std::vector<GroupResource> watches() const override { return {kNodes.key()}; }
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  struct Range {
    api::Cidr range;
    int bits;
  };
  std::vector<std::string> free_shares(const std::string& node) const;

  std::vector<Range> ranges_;
  std::map<std::string, std::vector<std::string>> given_;  // written, perhaps not seen yet
};

}  // namespace knarr::server
