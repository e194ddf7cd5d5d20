// cordon, uncordon and drain: a node takes no new pods, takes them again, or is emptied.
//
// A drain evicts, so that disruption budgets hold: an eviction that a budget refuses is asked again
// every few seconds until the time is over. Pods of DaemonSets stay, as do static ones.
#include <chrono>
#include <thread>

#include "base/format.h"
#include "cli/kubectl/resources.h"
#include "cli/kubectl/verbs.h"

namespace knarr::kubectl {

namespace {

using json::Value;

constexpr FlagSpec kCordon[] = {
    text_flag("selector", 'l', "label selector"),
};
constexpr FlagSpec kDrain[] = {
    bool_flag("ignore-daemonsets", 0, "go on when there are pods of DaemonSets"),
    bool_flag("delete-emptydir-data", 0, "go on when pods have emptyDir volumes"),
    bool_flag("force", 0, "evict pods that nobody makes again"),
    text_flag("grace-period", 0, "seconds for each pod to end; negative: the pod's own"),
    text_flag("timeout", 0, "how long to wait; 0: for ever"),
    text_flag("pod-selector", 0, "only pods with these labels"),
    text_flag("selector", 'l', "label selector of nodes"),
};

constexpr auto kRetry = std::chrono::seconds(5);
constexpr auto kLook = std::chrono::milliseconds(500);
using Clock = std::chrono::steady_clock;

Result<int> set_unschedulable(Session& session, const Target& node, bool wanted) {
  bool is = node.object["spec"]["unschedulable"].as_bool();
  const char* done = wanted ? "cordoned" : "uncordoned";
  if (is == wanted) {
    print(fmt::format("{} already {}\n", node.text(), done));
    return 0;
  }
  TRY_ASSIGN(ApiClient * api, session.api());
  ApiAsk ask;
  ask.method = "PATCH";
  ask.path = node.path();
  ask.content_type = kStrategicPatch;
  ask.body = wanted ? R"({"spec":{"unschedulable":true}})" : R"({"spec":{"unschedulable":null}})";
  TRY(api->call(ask));
  print(fmt::format("{} {}\n", node.text(), done));
  return 0;
}

Result<Selection> select_nodes(Session& session, const Flags& flags, const std::string& verb) {
  std::vector<std::string> words = {"nodes"};
  words.insert(words.end(), flags.words.begin(), flags.words.end());
  if (flags.words.empty() && !flags.has("selector")) {
    return usage_error(verb, "error: USAGE: " + verb + " NODE [flags]");
  }
  SelectOptions options;
  options.verb = verb;
  return select_targets(session, flags, words, options);
}

std::string pod_text(const Value& pod) {
  return fmt::format("{}/{}", pod["metadata"]["namespace"].as_string(),
                     pod["metadata"]["name"].as_string());
}

const Value* controller_of(const Value& pod) {
  for (const Value& owner : pod["metadata"]["ownerReferences"].elements()) {
    if (owner["controller"].as_bool()) return &owner;
  }
  return nullptr;
}

// Which of a node's pods have to go; an error names those that forbid it.
Result<std::vector<Value>> pods_to_evict(const std::vector<Value>& pods, const Flags& flags) {
  std::vector<Value> out;
  std::string trouble;
  auto forbid = [&](std::string_view why, const Value& pod) {
    if (!trouble.empty()) trouble += ", ";
    trouble += fmt::format("{}: {}", why, pod_text(pod));
  };
  for (const Value& pod : pods) {
    std::string_view phase = pod["status"]["phase"].as_string();
    bool over = phase == "Succeeded" || phase == "Failed";
    if (pod["metadata"]["annotations"].has("kubernetes.io/config.mirror")) continue;
    const Value* owner = controller_of(pod);
    if (owner != nullptr && (*owner)["kind"].as_string() == "DaemonSet" && !over) {
      if (!flags.yes("ignore-daemonsets")) {
        forbid("cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore)", pod);
      }
      continue;
    }
    bool empty_dir = false;
    for (const Value& volume : pod["spec"]["volumes"].elements()) {
      empty_dir = empty_dir || volume.has("emptyDir");
    }
    if (empty_dir && !over && !flags.yes("delete-emptydir-data")) {
      forbid("cannot delete Pods with local storage (use --delete-emptydir-data to override)", pod);
    }
    if (owner == nullptr && !over && !flags.yes("force")) {
      forbid("cannot delete Pods that declare no controller (use --force to override)", pod);
    }
    out.push_back(pod);
  }
  if (!trouble.empty()) return make_error(Code::kBadRequest, trouble);
  return out;
}

// One eviction, asked until it is granted.
Result<void> evict(ApiClient& api, const Value& pod, int64_t grace, Clock::time_point end) {
  ApiAsk ask;
  ask.method = "POST";
  ask.path =
      fmt::format("/api/v1/namespaces/{}/pods/{}/eviction",
                  pod["metadata"]["namespace"].as_string(), pod["metadata"]["name"].as_string());
  Value eviction = Value::object({{"apiVersion", "policy/v1"}, {"kind", "Eviction"}});
  eviction.set("metadata", Value::object({{"name", pod["metadata"]["name"]},
                                          {"namespace", pod["metadata"]["namespace"]}}));
  if (grace >= 0) {
    eviction.set("deleteOptions", Value::object({{"gracePeriodSeconds", grace}}));
  }
  ask.body = json::write(eviction);
  while (true) {
    Result<Value> done = api.call(ask);
    if (done.ok() || done.error().code == Code::kNotFound) return {};
    if (done.error().code != Code::kTooManyRequests || Clock::now() + kRetry > end) {
      return std::move(done).error();
    }
    print(fmt::format("error when evicting pods/{} (will retry after 5s): {}\n", pod_text(pod),
                      done.error().message));
    std::this_thread::sleep_for(kRetry);
  }
}

Result<void> await_gone(ApiClient& api, const Value& pod, Clock::time_point end) {
  ApiAsk ask;
  ask.path = fmt::format("/api/v1/namespaces/{}/pods/{}", pod["metadata"]["namespace"].as_string(),
                         pod["metadata"]["name"].as_string());
  while (true) {
    Result<Value> there = api.call(ask);
    bool gone = there.ok() ? !((*there)["metadata"]["uid"] == pod["metadata"]["uid"])
                           : there.error().code == Code::kNotFound;
    if (gone) return {};
    if (!there.ok()) return std::move(there).error();
    if (Clock::now() > end) {
      return make_error(Code::kTimeout, "global timeout reached: " + pod_text(pod));
    }
    std::this_thread::sleep_for(kLook);
  }
}

Result<int> drain_node(Session& session, const Flags& flags, const Target& node) {
  TRY(set_unschedulable(session, node, true));
  TRY_ASSIGN(ApiClient * api, session.api());
  ApiAsk ask;
  ask.path = "/api/v1/pods";
  ask.query.add("fieldSelector", "spec.nodeName=" + node.name);
  if (flags.has("pod-selector")) ask.query.add("labelSelector", flags.text("pod-selector"));
  TRY_ASSIGN(Value list, api->list(ask));
  std::vector<Value> all;
  for (const Value& pod : list["items"].elements()) all.push_back(pod);
  TRY_ASSIGN(std::vector<Value> pods, pods_to_evict(all, flags));
  TRY_ASSIGN(int64_t grace, flags.number("grace-period", -1));
  TRY_ASSIGN(int64_t timeout_ns, flags.duration("timeout", 0));
  Clock::time_point end = timeout_ns > 0 ? Clock::now() + std::chrono::nanoseconds(timeout_ns)
                                         : Clock::time_point::max();
  for (const Value& pod : pods) {
    print(fmt::format("evicting pod {}\n", pod_text(pod)));
    TRY(evict(*api, pod, grace, end));
  }
  for (const Value& pod : pods) {
    TRY(await_gone(*api, pod, end));
    print(fmt::format("pod/{} evicted\n", pod["metadata"]["name"].as_string()));
  }
  print(node.text() + " drained\n");
  return 0;
}

}  // namespace

const std::span<const FlagSpec> kCordonFlags = kCordon;
const std::span<const FlagSpec> kDrainFlags = kDrain;

Result<int> cordon_verb(Session& session, const Flags& flags) {
  TRY_ASSIGN(Selection nodes, select_nodes(session, flags, "cordon"));
  for (const Target& node : nodes.targets) TRY(set_unschedulable(session, node, true));
  return nodes.status;
}

Result<int> uncordon_verb(Session& session, const Flags& flags) {
  TRY_ASSIGN(Selection nodes, select_nodes(session, flags, "uncordon"));
  for (const Target& node : nodes.targets) TRY(set_unschedulable(session, node, false));
  return nodes.status;
}

Result<int> drain_verb(Session& session, const Flags& flags) {
  TRY_ASSIGN(Selection nodes, select_nodes(session, flags, "drain"));
  for (const Target& node : nodes.targets) {
    Result<int> drained = drain_node(session, flags, node);
    if (!drained.ok()) {
      print(
          fmt::format("There are pending pods in node \"{}\" when an error occurred\n", node.name));
      return drained;
    }
  }
  return nodes.status;
}

}  // namespace knarr::kubectl
