#include "server/controllers/conditions.h"

#include "api/view/meta.h"
#include "base/time.h"

namespace knarr::server {

void set_deployment_condition(json::Value& status, const ConditionText& text, int64_t now_us) {
  const json::Value& current = api::condition(status["conditions"], text.type);
  bool same_status = current["status"].as_string() == text.status;
  if (same_status && current["reason"].as_string() == text.reason) return;
  std::string now = base::format_time(now_us);
  json::Value transition = same_status ? current["lastTransitionTime"] : json::Value(now);
  remove_condition(status, text.type);
  status.member("conditions")
      .push_back(json::Value::object({{"type", text.type},
                                      {"status", text.status},
                                      {"lastUpdateTime", now},
                                      {"lastTransitionTime", std::move(transition)},
                                      {"reason", text.reason},
                                      {"message", text.message}}));
}

void remove_condition(json::Value& status, std::string_view type) {
  json::Value* conditions = status.find("conditions");
  if (conditions == nullptr) return;
  for (size_t i = 0; i < conditions->size(); ++i) {
    if ((*conditions)[i]["type"].as_string() == type) {
      conditions->erase_at(i);
      break;
    }
  }
  if (conditions->empty()) status.erase("conditions");
}

}  // namespace knarr::server
