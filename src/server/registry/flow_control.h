// Priority and fairness as the API shows it: the priority levels and flow schemas that every
// cluster has, and whether a flow schema's level exists (its condition Dangling). No request is
// ever queued here: one process that answers in microseconds has nothing to share out. Loop thread.
#pragma once

#include <memory>

#include "server/registry/registry.h"

namespace knarr::server {

class FlowControl {
 public:
  explicit FlowControl(Registry& registry);
  ~FlowControl();
  void start();  // when the cache has loaded

 private:
  class Schemas;
  class Levels;
  void make_missing();
  void judge(const ObjectRef& schema);
  void judge_all();

  Registry& registry_;
  std::unique_ptr<client::Client> producer_;
  std::unique_ptr<client::Client> consumer_;
  std::unique_ptr<Schemas> schemas_;
  std::unique_ptr<Levels> levels_;
  std::unique_ptr<client::Watch> schema_watch_;
  std::unique_ptr<client::Watch> level_watch_;
};

}  // namespace knarr::server
