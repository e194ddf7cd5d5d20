// What all controllers of pods share: pods made from a template, the order in which pods go, and
// creations in growing batches.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "api/view/pod.h"
#include "server/controllers/controller.h"

namespace knarr::server {

// A pod of the template, controlled by the owner, named "<prefix>-" and a suffix by the server.
json::Value pod_of_template(const json::Value& pod_template, const json::Value& owner,
                            const std::string& prefix);

std::vector<api::PodView> decode_pods(const std::vector<ObjectRef>& objects);

// The order of deletion, best victim first: unassigned before assigned, pending before running, not
// ready before ready, a lower deletion cost, a higher rank (pods of the same kind on its node),
// ready for a shorter time, more restarts, younger.
void rank_victims(std::vector<api::PodView>& pods, const std::map<std::string, int>& rank_by_uid,
                  int64_t now_us);

// Creates `count` pods in batches of 1, 2, 4, ..., so that a refusal which meets all of them (a
// quota) is asked for once and not a thousand times. `make(i)` gives the i-th; `each` hears every
// answer; `done(created, error)` comes last, error null when all went well.
struct BatchCreate {
  std::function<json::Value(int64_t i)> make;
  std::function<void(int64_t i, const Result<ObjectRef>&)> each;
  std::function<void(int64_t created, const Error* first_error)> done;
};
void create_pods(const PassRef& pass, const std::string& ns, int64_t count, BatchCreate how);

// The namespace is going: not worth a retry, nor an event.
bool is_namespace_terminating(const Error& error);

// "a-b" of an owner and template: a hash of the canonical text, in characters that spell no words.
std::string safe_hash(const json::Value& value, const int64_t* collision_count);

}  // namespace knarr::server
