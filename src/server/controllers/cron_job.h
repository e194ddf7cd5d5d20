// CronJobs: a Job at each moment of the schedule, old ones cleaned up.
#pragma once

#include <map>
#include <string>

#include "api/cron.h"
#include "server/controllers/controller.h"

namespace knarr::server {

// The newest moment of the schedule after `after` and not after `now` (seconds); 0: none. `missed`
// counts how many there were, up to 101.
int64_t last_due(const api::CronSchedule& schedule, const api::ZoneOffset& zone, int64_t after,
                 int64_t now, int* missed);

class CronJobController final : public Controller {
 public:
  explicit CronJobController(const ControllerContext& context);
  std::vector<GroupResource> watches() const override { return {kCronJobs.key(), kJobs.key()}; }
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  struct State;
  void sync_active(State& state, const PassRef& pass);
  void clean_up(State& state, const PassRef& pass);
  bool start_due(const std::shared_ptr<State>& state, const PassRef& pass);
  void start_job(const std::shared_ptr<State>& state, const PassRef& pass, int64_t moment);
  void delete_job(const std::shared_ptr<State>& state, const PassRef& pass,
                  const NamespacedName& name, const std::string& uid);
  void write_status(State& state, const PassRef& pass);
  Result<api::ZoneOffset> zone_of(const std::string& name);

  std::map<std::string, api::ZoneOffset> zones_;
};

}  // namespace knarr::server
