// kubectl run: a pod from flags, attached to with -i, deleted after with --rm.
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <optional>

#include "base/format.h"
#include "cli/kubectl/creation.h"
#include "cli/kubectl/deletion.h"
#include "cli/kubectl/generators.h"
#include "cli/kubectl/output.h"
#include "cli/kubectl/remote.h"
#include "cli/kubectl/verbs.h"

namespace knarr::kubectl {

namespace {

constexpr FlagSpec kFlags[] = {
    text_flag("image", 0, "the image"),
    text_flag("port", 0, "the port of the container"),
    list_flag("env", 0, "NAME=value, for the container"),
    text_flag("labels", 'l', "labels of the pod"),
    text_flag("annotations", 0, "annotations of the pod"),
    text_flag("restart", 0, "Always, OnFailure or Never"),
    text_flag("image-pull-policy", 0, "Always, IfNotPresent or Never"),
    text_flag("overrides", 0, "JSON whose spec takes the place of the generated one"),
    bool_flag("command", 0, "what follows -- is the command, not its arguments"),
    bool_flag("stdin", 'i', "pass standard input on"),
    bool_flag("tty", 't', "standard input is a terminal"),
    bool_flag("attach", 0, "wait for the pod and attach to it"),
    bool_flag("rm", 0, "delete the pod when it ends"),
    bool_flag("quiet", 'q', "only what the pod prints"),
    bool_flag("leave-stdin-open", 0, "keep stdin open after the first attach"),
    text_flag("pod-running-timeout", 0, "how long to wait for the pod"),
    text_flag("output", 'o', "json, yaml, name, ..."),
    bare_flag("dry-run", 0, "unchanged", "none, client or server"),
    bool_flag("expose", 0, "make a service as well"),
    text_flag("grace-period", 0, "of --rm, in seconds"),
    text_flag("field-manager", 0, "name of the owner of the fields"),
};

bool has_begun(const json::Value& pod) {
  return pod["status"]["phase"].as_string("Pending") != "Pending";
}

bool has_ended(const json::Value& pod) {
  std::string_view phase = pod["status"]["phase"].as_string();
  return phase == "Succeeded" || phase == "Failed";
}

// The pod as it is when `enough` says so.
Result<json::Value> watch_pod(ApiClient& api, const Target& target,
                              const std::function<bool(const json::Value&)>& enough) {
  while (true) {
    ApiAsk ask;
    ask.path = target.resource->path(target.ns);
    ask.query.add("fieldSelector", "metadata.name=" + target.name);
    TRY_ASSIGN(json::Value list, api.call(ask));
    const json::Value& there = list["items"][0];
    if (there.is_null()) return make_error(Code::kBadRequest, "pod was deleted");
    if (enough(there)) return there;
    ask.query.add("resourceVersion", list["metadata"]["resourceVersion"].as_string());
    std::optional<json::Value> found;
    TRY(api.watch(ask, [&](const WatchEvent& event) {
      if (event.type == "MODIFIED" && enough(event.object)) found = event.object;
      return !found && event.type != "DELETED";
    }));
    if (found) return *found;
  }
}

// The logs of a pod that ended before it could be attached to.
Result<void> print_logs(ApiClient& api, const Target& target) {
  ApiAsk ask;
  ask.path = target.path("log");
  ask.accept = "*/*";
  return api.stream(ask, [](std::string_view bytes) {
    print(bytes);
    return true;
  });
}

Result<int> attach_to(Session& session, const Flags& flags, const Target& target) {
  TRY_ASSIGN(ApiClient * api, session.api());
  TRY_ASSIGN(json::Value pod, watch_pod(*api, target, has_begun));
  std::string container = pod["spec"]["containers"][0]["name"].text();
  bool stays = flags.text("restart", "Always") == "Always";
  if (has_ended(pod)) {
    TRY(print_logs(*api, target));
  } else {
    RemoteStreams streams;
    streams.stdin_open = flags.yes("stdin");
    streams.tty = flags.yes("tty") && (!streams.stdin_open || isatty(STDIN_FILENO) == 1);
    streams.quiet_hint = flags.yes("quiet") || !streams.stdin_open;
    streams.target =
        attach_target(target.ns, target.name, container, streams.stdin_open, streams.tty);
    auto attached = run_remote(session.config(), streams);
    if (!attached.ok()) {
      std::fprintf(stderr,
                   "warning: couldn't attach to pod/%s, falling back to streaming logs: %s\n",
                   target.name.c_str(), attached.error().message.c_str());
      TRY(print_logs(*api, target));
    }
  }
  if (stays) return 0;
  TRY_ASSIGN(pod, watch_pod(*api, target, has_ended));
  for (const json::Value& status : pod["status"]["containerStatuses"].elements()) {
    int64_t code = status["state"]["terminated"]["exitCode"].as_int();
    if (code == 0) continue;
    std::fprintf(stderr, "pod %s/%s terminated (%s)\n", target.ns.c_str(), target.name.c_str(),
                 status["state"]["terminated"]["reason"].text().c_str());
    return static_cast<int>(code);
  }
  return 0;
}

}  // namespace

const std::span<const FlagSpec> kRunFlags = kFlags;

Result<int> run_verb(Session& session, const Flags& flags) {
  if (flags.words.empty()) return usage_error("run", "NAME is required for run");
  bool attaches = flags.yes("attach", flags.yes("stdin") || flags.yes("tty"));
  if (flags.yes("rm") && !attaches) {
    return make_error(Code::kBadRequest, "--rm should only be used for attached containers");
  }
  std::vector<std::string> arguments(flags.words.begin() + 1, flags.words.end());
  TRY_ASSIGN(json::Value object, generate_pod(flags.words[0], arguments, flags));
  TRY_ASSIGN(DryRun mode, dry_run(flags));
  // Of a pod that is attached to only its own output is printed.
  Manifest manifest{std::move(object), ""};
  TRY_ASSIGN(const json::Value made, create_object(session, flags, std::move(manifest), "created",
                                                   attaches && mode == DryRun::kNone));
  if (flags.yes("expose") && mode != DryRun::kClient) {
    TRY_ASSIGN(json::Value service, generate_service(made, flags));
    TRY(create_object(session, flags, {std::move(service), ""}, "created"));
  }
  if (!attaches || mode != DryRun::kNone) return 0;
  TRY_ASSIGN(const ApiResource* pods, session.resource("pods"));
  Target target{
      pods, made["metadata"]["namespace"].text(), made["metadata"]["name"].text(), {}, ""};
  auto status = attach_to(session, flags, target);
  if (flags.yes("rm")) {
    TRY_ASSIGN(ApiClient * api, session.api());
    auto gone = delete_and_wait(*api, target, flags);
    if (!gone.ok()) return gone.error();
    if (!flags.yes("quiet")) {
      print(fmt::format("pod \"{}\" deleted from {} namespace\n", target.name, target.ns));
    }
  }
  return status;
}

}  // namespace knarr::kubectl
