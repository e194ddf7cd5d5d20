// kubectl rollout status, history, undo, restart, pause and resume.
#include <algorithm>
#include <charconv>
#include <optional>

#include "api/schema/schema.h"
#include "base/format.h"
#include "base/time.h"
#include "cli/kubectl/bad.h"
#include "cli/kubectl/deletion.h"
#include "cli/kubectl/describe_text.h"
#include "cli/kubectl/output.h"
#include "cli/kubectl/pod_choice.h"
#include "cli/kubectl/rollout_text.h"
#include "cli/kubectl/verbs.h"

namespace knarr::kubectl {

namespace {

constexpr char kRevision[] = "deployment.kubernetes.io/revision";
constexpr char kCause[] = "kubernetes.io/change-cause";
constexpr char kHash[] = "pod-template-hash";
constexpr char kRestartedAt[] = "kubectl.kubernetes.io/restartedAt";
constexpr int64_t kWeekUs = 7LL * 24 * 3600 * 1000000;

constexpr FlagSpec kFlags[] = {
    list_flag("filename", 'f', "files that name the objects"),
    bool_flag("recursive", 'R', "folders in folders as well"),
    text_flag("selector", 'l', "label selector"),
    bool_flag("watch", 'w', "status: wait until it is done (true)"),
    text_flag("timeout", 0, "status: how long to wait"),
    text_flag("revision", 0, "status, history: of this revision"),
    text_flag("to-revision", 0, "undo: back to this revision (0: the one before)"),
    text_flag("output", 'o', "json, yaml, name, ..."),
    bare_flag("dry-run", 0, "unchanged", "none, client or server"),
    text_flag("field-manager", 0, "name of the owner of the fields"),
};

using Revisions = std::vector<RolloutRevision>;

// "deployments.apps".
std::string plural_name(const ApiResource& resource) {
  return resource.group.empty() ? resource.plural : resource.plural + "." + resource.group;
}

bool is_owned_by(const json::Value& object, const json::Value& owner) {
  for (const json::Value& reference : object["metadata"]["ownerReferences"].elements()) {
    if (reference["uid"] == owner["metadata"]["uid"] && reference["controller"].as_bool()) {
      return true;
    }
  }
  return false;
}

Result<json::Value> owned_list(ApiClient& api, const Target& target, const char* list_path) {
  ApiAsk ask;
  ask.path = fmt::format("/apis/apps/v1/namespaces/{}/{}", target.ns, list_path);
  ask.query.add("labelSelector", selector_of(target.object));
  return api.list(ask);
}

int64_t number_of(std::string_view text) {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// The revisions of a Deployment's ReplicaSets or another's ControllerRevisions, oldest first.
Result<Revisions> read_history(ApiClient& api, const Target& target) {
  Revisions revisions;
  bool deployment = target.resource->kind == "Deployment";
  if (!deployment && target.resource->kind != "DaemonSet" &&
      target.resource->kind != "StatefulSet") {
    return bad(fmt::format("no history viewer has been implemented for \"{}\"",
                           target.resource->lower_kind()));
  }
  TRY_ASSIGN(json::Value list,
             owned_list(api, target, deployment ? "replicasets" : "controllerrevisions"));
  for (json::Value& item : list.member("items").elements()) {
    if (!is_owned_by(item, target.object)) continue;
    RolloutRevision revision;
    const json::Value& annotations = item["metadata"]["annotations"];
    revision.cause = annotations[kCause].text();
    revision.number =
        deployment ? number_of(annotations[kRevision].as_string()) : item["revision"].as_int();
    revision.pod_template =
        deployment ? item["spec"]["template"] : item["data"]["spec"]["template"];
    if (revision.number > 0) revisions.push_back(std::move(revision));
  }
  std::sort(revisions.begin(), revisions.end(),
            [](const auto& a, const auto& b) { return a.number < b.number; });
  return revisions;
}

const RolloutRevision* find_revision(const Revisions& revisions, int64_t number) {
  for (const RolloutRevision& revision : revisions) {
    if (revision.number == number) return &revision;
  }
  return nullptr;
}

// Watches until the rollout is done or has failed, printing each new state.
Result<int> wait_for_rollout(ApiClient& api, const Target& target, const Flags& flags) {
  TRY_ASSIGN(int64_t timeout, flags.duration("timeout", 0));
  TRY_ASSIGN(int64_t revision, flags.number("revision", 0));
  int64_t deadline = now_us() + (timeout > 0 ? timeout / 1000 : kWeekUs);
  bool watches = flags.yes("watch", true);
  std::string told;
  std::optional<Result<int>> result;
  auto tell = [&](const json::Value& object) {
    auto state = rollout_state(object, revision);
    if (!state.ok()) {
      result.emplace(state.error());
      return;
    }
    if (state->text != told) print(state->text);
    told = state->text;
    if (state->done || !watches) result.emplace(0);
  };
  while (!result) {
    ApiAsk ask;
    ask.path = target.resource->path(target.ns);
    ask.query.add("fieldSelector", "metadata.name=" + target.name);
    TRY_ASSIGN(json::Value list, api.call(ask));
    json::Value object = list["items"][0];
    if (object.is_null()) return bad("object has been deleted");
    object.set("kind", target.resource->kind);
    tell(object);
    if (result) break;
    if (now_us() >= deadline) return bad("timed out waiting for the condition");
    ask.query.add("resourceVersion", list["metadata"]["resourceVersion"].as_string());
    ask.query.add("timeoutSeconds", std::to_string(seconds_until(deadline)));
    auto watched = api.watch(ask, [&](const WatchEvent& event) {
      if (event.type == "DELETED") result.emplace(bad("object has been deleted"));
      if (event.type == "ADDED" || event.type == "MODIFIED") tell(event.object);
      return !result;
    });
    if (!watched.ok() && watched.error().code != Code::kExpired &&
        watched.error().code != Code::kGone) {
      return watched.error();
    }
  }
  return std::move(*result);
}

Result<void> show_history(ApiClient& api, const Target& target, const Flags& flags,
                          const Output& output) {
  TRY_ASSIGN(Revisions revisions, read_history(api, target));
  TRY_ASSIGN(int64_t number, flags.number("revision", 0));
  if (number < 0) return bad(fmt::format("revision must be a positive integer: {}", number));
  if (!output.is_table()) {
    print(output.text(target.object, target.resource->lower_kind()));
    return {};
  }
  if (number > 0) {
    const RolloutRevision* revision = find_revision(revisions, number);
    if (revision == nullptr) return bad("unable to find the specified revision");
    print(fmt::format("{} with revision #{}\n{}\n", target.text(), number,
                      pod_template_lines(revision->pod_template)));
    return {};
  }
  print(fmt::format("{} \n{}\n", target.text(),
                    revisions.empty() ? "No rollout history found." : history_text(revisions)));
  return {};
}

json::Value without_hash(json::Value pod_template) {
  if (json::Value* metadata = pod_template.find("metadata")) {
    if (json::Value* labels = metadata->find("labels")) labels->erase(kHash);
  }
  return pod_template;
}

Result<void> undo(ApiClient& api, const Target& target, const Flags& flags, const Output& output,
                  DryRun mode) {
  TRY_ASSIGN(int64_t wanted, flags.number("to-revision", 0));
  if (wanted < 0)
    return bad(fmt::format("unable to find specified revision {} in history", wanted));
  TRY_ASSIGN(Revisions revisions, read_history(api, target));
  bool deployment = target.resource->kind == "Deployment";
  if (deployment && target.object["spec"]["paused"].as_bool()) {
    return bad(
        fmt::format("cannot rollback a paused deployment; resume it first with 'kubectl "
                    "rollout resume deployment/{}' and try again",
                    target.name));
  }
  const RolloutRevision* back = nullptr;
  if (wanted > 0) {
    back = find_revision(revisions, wanted);
    if (back == nullptr) {
      return bad(fmt::format("unable to find specified revision {} in history", wanted));
    }
  } else if (revisions.size() > 1) {
    back = &revisions[revisions.size() - 2];
  } else {
    return bad(fmt::format("no rollout history found for {} \"{}\"",
                           lower_case(target.resource->kind), target.name));
  }
  json::Value pod_template = without_hash(back->pod_template);
  if (deployment && pod_template == without_hash(target.object["spec"]["template"])) {
    print(fmt::format("{} skipped rollback (current template already matches revision {})\n",
                      target.text(), back->number));
    return {};
  }
  json::Value object = target.object;
  if (mode != DryRun::kClient) {
    ApiAsk ask;
    ask.method = "PATCH";
    ask.path = target.path();
    add_dry_run(ask.query, mode);
    json::Value replacement = json::Value::object(
        {{"op", "replace"}, {"path", "/spec/template"}, {"value", std::move(pod_template)}});
    replacement.member("value").erase("$patch");
    ask.content_type = kJsonPatch;
    ask.body = json::write(json::Value::array({std::move(replacement)}));
    TRY_ASSIGN(object, api.call(ask));
  }
  print_change(output, target, object, "rolled back", mode);
  return {};
}

// A strategic merge patch of the object; `verb` is what is printed.
Result<void> patch_spec(ApiClient& api, const Target& target, json::Value spec,
                        const std::string& verb, const Output& output, DryRun mode) {
  json::Value object = target.object;
  if (mode != DryRun::kClient) {
    ApiAsk ask;
    ask.method = "PATCH";
    ask.path = target.path();
    ask.content_type = kStrategicPatch;
    ask.query.add("fieldManager", "kubectl-rollout");
    add_dry_run(ask.query, mode);
    ask.body = json::write(json::Value::object({{"spec", std::move(spec)}}));
    TRY_ASSIGN(object, api.call(ask));
  }
  print_change(output, target, object, verb, mode);
  return {};
}

Result<void> restart(ApiClient& api, const Target& target, const Output& output, DryRun mode) {
  if (target.object["spec"]["paused"].as_bool()) {
    return bad(fmt::format("can't restart paused {} (run rollout resume first)",
                           lower_case(target.resource->kind)));
  }
  if (target.object["spec"]["template"].is_null()) {
    return bad(fmt::format("{} \"{}\" restarting is not supported", plural_name(*target.resource),
                           target.name));
  }
  json::Value annotations = json::Value::object({{kRestartedAt, base::format_time(now_us())}});
  json::Value pod_template = json::Value::object(
      {{"metadata", json::Value::object({{"annotations", std::move(annotations)}})}});
  return patch_spec(api, target, json::Value::object({{"template", std::move(pod_template)}}),
                    "restarted", output, mode);
}

Result<void> set_paused(ApiClient& api, const Target& target, bool paused, const Output& output,
                        DryRun mode) {
  const char* what = paused ? "paused" : "resumed";
  if (target.resource->kind != "Deployment") {
    return bad(fmt::format("{} \"{}\" {} is not supported", plural_name(*target.resource),
                           target.name, paused ? "pausing" : "resuming"));
  }
  if (target.object["spec"]["paused"].as_bool() == paused) {
    return bad(fmt::format("{} \"{}\" is {}", plural_name(*target.resource), target.name,
                           paused ? "already paused" : "not paused"));
  }
  return patch_spec(api, target, json::Value::object({{"paused", paused}}), what, output, mode);
}

}  // namespace

const std::span<const FlagSpec> kRolloutFlags = kFlags;

Result<int> rollout_verb(Session& session, const Flags& flags) {
  std::string action = flags.words.empty() ? "" : flags.words[0];
  bool known = false;
  for (const char* one : {"status", "history", "undo", "restart", "pause", "resume"}) {
    known = known || action == one;
  }
  if (!known) return usage_error("rollout", fmt::format("unknown command \"{}\"", action));
  std::vector<std::string> words(flags.words.begin() + 1, flags.words.end());
  if (words.empty() && !flags.has("filename")) {
    return bad("required resource not specified");
  }
  TRY_ASSIGN(Output output, parse_output(flags));
  TRY_ASSIGN(DryRun mode, dry_run(flags));
  SelectOptions how;
  how.verb = "rollout " + action;
  TRY_ASSIGN(Selection selection, select_targets(session, flags, words, how));
  TRY_ASSIGN(ApiClient * api, session.api());
  for (const Target& target : selection.targets) {
    Result<void> done;
    if (action == "status") {
      auto status = wait_for_rollout(*api, target, flags);
      if (!status.ok()) done = status.error();
    } else if (action == "history") {
      done = show_history(*api, target, flags, output);
    } else if (action == "undo") {
      done = undo(*api, target, flags, output, mode);
    } else if (action == "restart") {
      done = restart(*api, target, output, mode);
    } else {
      done = set_paused(*api, target, action == "pause", output, mode);
    }
    if (!done.ok()) selection.status = report(done.error());
  }
  return selection.status;
}

}  // namespace knarr::kubectl
