// Follows what a pod wants of cpu and memory while it lives: decides with the node whether it can
// have it, and brings the cgroups there. What does not fit stays wanted, and is asked for again
// when the node has room.
//
//   wanted == allocated                          nothing to show
//   wanted != allocated, refused                 condition PodResizePending: Deferred or Infeasible
//   allocated, cgroups not there yet             condition PodResizeInProgress (reason Error, when
//                                                one of them refuses; then again in ten seconds)
//
// The pod's group is widened first and narrowed last, so that at no time its containers have less
// than they had and will have.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/container_machine.h"
#include "agent/pod_resize.h"
#include "agent/pod_status.h"
#include "agent/services.h"

namespace knarr::agent {

class PodResizer {
 public:
  using Containers = std::vector<std::unique_ptr<ContainerMachine>>;

  // `changed`: pod() is another one, or pending() or progress() are; never from within a call of
  // the owner's.
  PodResizer(PodServices& services, const Containers& containers, std::function<void()> changed);
  ~PodResizer();

  // The pod's object as the API has it; pod() is it with the resources that it has been given.
  // begin() takes those from the pod's status; what differs is looked at by an update() after it.
  void begin(const PodRef& wanted);
  void update(const PodRef& wanted);
  const PodRef& pod() const { return pod_; }
  // The pod's own group was made just now, for pod().
  void group_made();
  // Asks again for what was deferred.
  void room_changed();
  // Brings what runs to what pod() says, unless that is under way.
  void apply();

  const std::optional<ResizeNote>& pending() const { return pending_; }
  const std::optional<ResizeNote>& progress() const { return progress_; }

 private:
  struct Step {
    enum class Kind { kGroup, kUsage, kContainer } kind;
    runtime::Resources resources;
    size_t container = 0;  // an index
    std::string id = {};   // of the container this was decided for
  };
  bool decide();  // whether something changed
  void plan_container(size_t i);
  void next();
  void run(const Step& step);
  void done(const Step& step);
  void failed(const std::string& message);
  void check_usage(const Step& step);
  bool still_runs(const Step& step) const;
  int64_t generation() const { return wanted_->metadata()["generation"].as_int(); }
  void tell();
  template <typename F>
  auto guarded(F fn);

  PodServices& services_;
  const Containers& containers_;
  std::function<void()> changed_;
  PodRef wanted_, pod_;
  Allocation allocation_;
  std::optional<ResizeNote> pending_, progress_;
  std::optional<runtime::Resources> group_;  // what the pod's group has; unknown after a restart
  std::deque<Step> steps_;
  bool busy_ = false;
  std::unique_ptr<Timer> retry_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::agent
