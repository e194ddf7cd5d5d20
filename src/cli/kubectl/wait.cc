// kubectl wait: for a condition, a JSONPath's value, the making or the end of objects.
#include <optional>

#include "base/format.h"
#include "cli/kubectl/deletion.h"
#include "cli/kubectl/jsonpath.h"
#include "cli/kubectl/verbs.h"
#include "cli/kubectl/wait_condition.h"

namespace knarr::kubectl {

namespace {

constexpr int64_t kDefaultNs = 30LL * 1000000000;
constexpr int64_t kWeekNs = 7LL * 24 * 3600 * 1000000000;

constexpr FlagSpec kOwnFlags[] = {
    text_flag("for", 0, "delete, create, condition=NAME[=VALUE] or jsonpath='{...}'[=VALUE]"),
    text_flag("timeout", 0, "how long (30s); 0: look once; negative: a week"),
    text_flag("output", 'o', "name"),
};
constexpr auto kFlags = joined(kSelectionFlags, kOwnFlags);

Error timed_out(const Target& target) {
  return make_error(Code::kBadRequest, fmt::format("timed out waiting for the condition on {}/{}",
                                                   target.resource->plural, target.name));
}

Result<void> wait_for(ApiClient& api, const Target& target, const WaitCondition& condition,
                      int64_t timeout_ns) {
  int64_t deadline = now_us() + timeout_ns / 1000;
  while (true) {
    ApiAsk ask;
    ask.path = target.resource->path(target.ns);
    ask.query.add("fieldSelector", "metadata.name=" + target.name);
    TRY_ASSIGN(json::Value list, api.call(ask));
    const json::Value& there = list["items"][0];
    if (condition.is_met(there)) return {};
    if (there.is_null() && !condition.waits_for_creation()) {
      return make_error(Code::kBadRequest,
                        fmt::format("{} \"{}\" not found", target.resource->plural, target.name));
    }
    if (now_us() >= deadline) return timed_out(target);
    ask.query.add("resourceVersion", list["metadata"]["resourceVersion"].as_string());
    ask.query.add("timeoutSeconds", std::to_string(seconds_until(deadline)));
    bool met = false;
    auto watched = api.watch(ask, [&](const WatchEvent& event) {
      if (event.type == "ADDED" || event.type == "MODIFIED") met = condition.is_met(event.object);
      return !met && event.type != "DELETED";
    });
    if (met) return {};
    if (!watched.ok() && watched.error().code != Code::kExpired &&
        watched.error().code != Code::kGone) {
      return watched.error();
    }
  }
}

}  // namespace

const std::span<const FlagSpec> kWaitFlags = kFlags;

Result<int> wait_verb(Session& session, const Flags& flags) {
  TRY_ASSIGN(WaitCondition condition, WaitCondition::parse(flags.text("for")));
  TRY_ASSIGN(int64_t timeout, flags.duration("timeout", kDefaultNs));
  if (timeout < 0) timeout = kWeekNs;
  SelectOptions how;
  how.need_names = true;
  how.verb = "wait";
  how.fetch = condition.kind != WaitCondition::Kind::kCreate;
  Flags choice = flags;
  if (condition.kind == WaitCondition::Kind::kDelete) choice.set("ignore-not-found", "true");
  TRY_ASSIGN(Selection selection, select_targets(session, choice, flags.words, how));
  if (selection.targets.empty()) {
    if (condition.kind == WaitCondition::Kind::kDelete || selection.status != 0) {
      return selection.status;
    }
    return make_error(Code::kBadRequest, "no matching resources found");
  }
  TRY_ASSIGN(ApiClient * api, session.api());
  for (const Target& target : selection.targets) {
    Result<void> done;
    if (condition.kind == WaitCondition::Kind::kDelete) {
      std::string uid = target.object["metadata"]["uid"].text();
      done = wait_until_gone(*api, target, uid, std::max<int64_t>(timeout, 1));
    } else {
      done = wait_for(*api, target, condition, timeout);
    }
    if (done.ok()) {
      print(flags.text("output") == "name" ? target.text() + "\n"
                                           : target.text() + " condition met\n");
    } else {
      selection.status = report(done.error());
    }
  }
  return selection.status;
}

}  // namespace knarr::kubectl
