#include "server/controllers/pods.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "api/view/meta.h"

namespace knarr::server {

json::Value pod_of_template(const json::Value& pod_template, const json::Value& owner,
                            const std::string& prefix) {
  const json::Value& from = pod_template["metadata"];
  json::Value meta = json::Value::object({{"generateName", prefix + "-"}});
  if (const json::Value& ns = owner["metadata"]["namespace"]; ns.is_string()) {
    meta.set("namespace", ns);
  }
  for (const char* key : {"labels", "annotations", "finalizers"}) {
    if (!from[key].empty()) meta.set(key, from[key]);
  }
  meta.set("ownerReferences", json::Value::array({api::controller_reference(owner)}));
  return json::Value::object({{"apiVersion", "v1"},
                              {"kind", "Pod"},
                              {"metadata", std::move(meta)},
                              {"spec", pod_template["spec"]}});
}

std::vector<api::PodView> decode_pods(const std::vector<ObjectRef>& objects) {
  std::vector<api::PodView> pods;
  pods.reserve(objects.size());
  for (const ObjectRef& object : objects) pods.emplace_back(object);
  return pods;
}

namespace {

// Ages that differ by less than a power of two are the same age, so that a scale-down does not
// always take the youngest of a rollout's pods.
int age_class(int64_t since_us, int64_t now_us) {
  int64_t ns = (now_us - since_us) * 1000;
  return ns <= 0 ? 0 : static_cast<int>(std::log2(static_cast<double>(ns)));
}

int phase_order(api::PodPhase phase) {
  switch (phase) {
    case api::PodPhase::kPending: return 0;
    case api::PodPhase::kUnknown: return 1;
    default: return 2;
  }
}

struct Victim {
  bool assigned;
  int phase;
  bool ready;
  int64_t cost;
  int rank;
  int64_t ready_since;
  int64_t restarts;
  int64_t created_at;
  std::string uid;
  size_t index;
};

bool goes_before(const Victim& a, const Victim& b, int64_t now_us) {
  if (a.assigned != b.assigned) return !a.assigned;
  if (a.phase != b.phase) return a.phase < b.phase;
  if (a.ready != b.ready) return !a.ready;
  if (a.cost != b.cost) return a.cost < b.cost;
  if (a.rank != b.rank) return a.rank > b.rank;
  if (a.ready && a.ready_since != b.ready_since) {
    if (a.ready_since == 0 || b.ready_since == 0) return a.ready_since == 0;
    int x = age_class(a.ready_since, now_us), y = age_class(b.ready_since, now_us);
    if (x != y) return x < y;
    return a.uid < b.uid;
  }
  if (a.restarts != b.restarts) return a.restarts > b.restarts;
  if (a.created_at != b.created_at) {
    int x = age_class(a.created_at, now_us), y = age_class(b.created_at, now_us);
    if (x != y) return x < y;
  }
  return a.uid < b.uid;
}

}  // namespace

void rank_victims(std::vector<api::PodView>& pods, const std::map<std::string, int>& rank_by_uid,
                  int64_t now_us) {
  std::vector<Victim> victims;
  for (size_t i = 0; i < pods.size(); ++i) {
    const api::PodView& p = pods[i];
    auto rank = rank_by_uid.find(p.uid());
    const json::Value& notes = p.value["metadata"]["annotations"];
    std::string cost = notes["controller.kubernetes.io/pod-deletion-cost"].text();
    victims.push_back({!p.node.empty(), phase_order(p.phase), p.ready,
                       cost.empty() ? 0 : std::strtoll(cost.c_str(), nullptr, 10),
                       rank == rank_by_uid.end() ? 0 : rank->second, p.ready_since,
                       api::max_restarts(p.value), p.created_at, p.uid(), i});
  }
  std::sort(victims.begin(), victims.end(),
            [&](const Victim& a, const Victim& b) { return goes_before(a, b, now_us); });
  std::vector<api::PodView> sorted;
  sorted.reserve(pods.size());
  for (const Victim& v : victims) sorted.push_back(std::move(pods[v.index]));
  pods = std::move(sorted);
}

namespace {

struct Batches : std::enable_shared_from_this<Batches> {
  PassRef pass;
  std::string ns;
  int64_t count = 0;
  BatchCreate how;
  int64_t next = 0;
  int64_t size = 1;
  int64_t created = 0;
  int64_t open = 0;
  std::unique_ptr<Error> error;

  void run() {
    if (next == count || error != nullptr) {
      if (how.done) how.done(created, error.get());
      return;
    }
    int64_t end = std::min(count, next + size);
    size *= 2;
    open = end - next;
    for (int64_t first = next; first < end; ++first) {
      next = first + 1;
      pass->write(create_request(kPods, ns, how.make(first)),
                  [self = shared_from_this(), first](Result<ObjectRef> answer) {
                    self->answered(first, answer);
                  });
    }
  }

  void answered(int64_t i, const Result<ObjectRef>& answer) {
    if (how.each) how.each(i, answer);
    if (answer.ok()) {
      ++created;
    } else if (error == nullptr) {
      error = std::make_unique<Error>(answer.error());
    }
    if (--open == 0) run();
  }
};

}  // namespace

void create_pods(const PassRef& pass, const std::string& ns, int64_t count, BatchCreate how) {
  auto batches = std::make_shared<Batches>();
  batches->pass = pass;
  batches->ns = ns;
  batches->count = count;
  batches->how = std::move(how);
  batches->run();
}

bool is_namespace_terminating(const Error& error) {
  if (error.details == nullptr) return false;
  return std::any_of(error.details->causes.begin(), error.details->causes.end(),
                     [](const Cause& cause) { return cause.reason == "NamespaceTerminating"; });
}

std::string safe_hash(const json::Value& value, const int64_t* collision_count) {
  std::string text = api::sorted_text(value);
  if (collision_count != nullptr) text += "#" + std::to_string(*collision_count);
  uint32_t hash = 2166136261U;  // FNV-1a
  for (unsigned char c : text) hash = (hash ^ c) * 16777619U;
  static constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string digits = std::to_string(hash);
  for (char& c : digits) c = kAlphabet[static_cast<unsigned char>(c) % kAlphabet.size()];
  return digits;
}

}  // namespace knarr::server
