#include <algorithm>
#include <cstdio>

#include "base/format.h"
#include "cli/kubectl/bad.h"
#include "cli/kubectl/deletion.h"
#include "cli/kubectl/output.h"
#include "cli/kubectl/verbs.h"

namespace knarr::kubectl {

namespace {

constexpr int64_t kWeekUs = 7LL * 24 * 3600 * 1000000;

constexpr FlagSpec kOwnFlags[] = {
    text_flag("grace-period", 0, "seconds a pod gets to end"),
    bool_flag("now", 0, "the same as --grace-period=1"),
    bool_flag("force", 0, "with --grace-period=0: do not wait for pods to end"),
    bare_flag("cascade", 0, "background", "background, foreground or orphan"),
    bool_flag("ignore-not-found", 0, "what is not there is no error"),
    bool_flag("wait", 0, "wait until they are gone (true)"),
    text_flag("timeout", 0, "how long to wait"),
    text_flag("output", 'o', "name"),
    bare_flag("dry-run", 0, "unchanged", "none, client or server"),
};
constexpr auto kFlags = joined(kSelectionFlags, kOwnFlags);

std::string deleted_text(const Target& target, const Flags& flags, DryRun mode) {
  if (flags.text("output") == "name") return target.text() + "\n";
  bool forced = flags.yes("force") && flags.text("grace-period", "0") == "0";
  std::string where = target.ns.empty() ? "" : fmt::format(" from {} namespace", target.ns);
  const char* suffix = mode == DryRun::kClient   ? " (dry run)"
                       : mode == DryRun::kServer ? " (server dry run)"
                                                 : "";
  return fmt::format("{} \"{}\" {}{}{}\n", target.resource->lower_kind(), target.name,
                     forced ? "force deleted" : "deleted", where, suffix);
}

}  // namespace

const std::span<const FlagSpec> kDeleteFlags = kFlags;

int64_t seconds_until(int64_t deadline_us) {
  return std::max<int64_t>((deadline_us - now_us() + 999999) / 1000000, 1);
}

Result<json::Value> delete_options(const Flags& flags) {
  json::Value options = json::Value::object({{"kind", "DeleteOptions"}, {"apiVersion", "v1"}});
  TRY_ASSIGN(int64_t grace, flags.number("grace-period", -1));
  if (flags.yes("now")) {
    if (flags.has("grace-period"))
      return bad("--now and --grace-period cannot be specified together");
    grace = 1;
  }
  if (flags.yes("force") && grace < 0) grace = 0;
  if (grace == 0 && !flags.yes("force")) grace = 1;  // zero is for --force alone
  if (grace >= 0) options.set("gracePeriodSeconds", grace);
  std::string cascade = flags.text("cascade", "background");
  const char* policy = cascade == "background" || cascade == "true" ? "Background"
                       : cascade == "foreground"                    ? "Foreground"
                       : cascade == "orphan" || cascade == "false"  ? "Orphan"
                                                                    : nullptr;
  if (policy == nullptr) {
    return bad(
        fmt::format("invalid cascade value ({}). Must be \"background\", \"foreground\", or "
                    "\"orphan\"",
                    cascade));
  }
  options.set("propagationPolicy", policy);
  return options;
}

Result<std::string> request_deletion(ApiClient& api, const Target& target,
                                     const json::Value& options, bool server_dry_run) {
  ApiAsk ask;
  ask.method = "DELETE";
  ask.path = target.path();
  ask.body = json::write(options);
  if (server_dry_run) ask.query.add("dryRun", "All");
  TRY_ASSIGN(json::Value answer, api.call(ask));
  std::string uid = answer["metadata"]["uid"].text();
  return uid.empty() ? answer["details"]["uid"].text() : uid;
}

Result<void> wait_until_gone(ApiClient& api, const Target& target, const std::string& uid,
                             int64_t timeout_ns) {
  int64_t deadline = now_us() + (timeout_ns > 0 ? timeout_ns / 1000 : kWeekUs);
  while (true) {
    ApiAsk ask;
    ask.path = target.resource->path(target.ns);
    ask.query.add("fieldSelector", "metadata.name=" + target.name);
    TRY_ASSIGN(json::Value list, api.call(ask));
    const json::Value& there = list["items"][0];
    if (there.is_null() || (!uid.empty() && there["metadata"]["uid"].as_string() != uid)) return {};
    if (now_us() >= deadline) {
      return bad(fmt::format("timed out waiting for the condition on {}/{}",
                             target.resource->plural, target.name));
    }
    ask.query.add("resourceVersion", list["metadata"]["resourceVersion"].as_string());
    ask.query.add("timeoutSeconds", std::to_string(seconds_until(deadline)));
    auto gone = api.watch(ask, [](const WatchEvent& event) { return event.type != "DELETED"; });
    if (!gone.ok() && gone.error().code != Code::kExpired && gone.error().code != Code::kGone) {
      return gone.error();
    }
  }
}

Result<void> delete_and_wait(ApiClient& api, const Target& target, const Flags& flags) {
  TRY_ASSIGN(json::Value options, delete_options(flags));
  TRY_ASSIGN(int64_t timeout, flags.duration("timeout", 0));
  TRY_ASSIGN(std::string uid, request_deletion(api, target, options));
  return wait_until_gone(api, target, uid, timeout);
}

Result<int> delete_verb(Session& session, const Flags& flags) {
  TRY_ASSIGN(DryRun mode, dry_run(flags));
  TRY_ASSIGN(json::Value options, delete_options(flags));
  TRY_ASSIGN(int64_t timeout, flags.duration("timeout", 0));
  SelectOptions how;
  how.fetch = false;
  how.need_names = true;
  how.verb = "delete";
  TRY_ASSIGN(Selection selection, select_targets(session, flags, flags.words, how));
  if (selection.targets.empty() && selection.status == 0) {
    print("No resources found\n");
    return 0;
  }
  if (flags.yes("force") && options["gracePeriodSeconds"].as_int() == 0) {
    std::fputs(
        "Warning: Immediate deletion does not wait for confirmation that the running resource has "
        "been terminated. The resource may continue to run on the cluster indefinitely.\n",
        stderr);
  }
  TRY_ASSIGN(ApiClient * api, session.api());
  std::vector<std::pair<const Target*, std::string>> going;
  for (const Target& target : selection.targets) {
    if (mode != DryRun::kClient) {
      auto uid = request_deletion(*api, target, options, mode == DryRun::kServer);
      if (!uid.ok()) {
        if (uid.error().code == Code::kNotFound && flags.yes("ignore-not-found")) continue;
        bool from_file = !target.source.empty() && uid.error().details != nullptr;
        selection.status =
            report(from_file ? with_source(uid.error(),
                                           fmt::format("error when deleting \"{}\"", target.source))
                             : uid.error());
        continue;
      }
      going.emplace_back(&target, std::move(*uid));
    }
    print(deleted_text(target, flags, mode));
  }
  if (mode != DryRun::kNone || !flags.yes("wait", true)) return selection.status;
  for (const auto& [target, uid] : going) {
    auto gone = wait_until_gone(*api, *target, uid, timeout);
    if (!gone.ok()) selection.status = report(gone.error());
  }
  return selection.status;
}

}  // namespace knarr::kubectl
