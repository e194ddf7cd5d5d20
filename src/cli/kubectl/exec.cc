// kubectl exec and attach.
#include <unistd.h>

#include <cstdio>

#include "base/format.h"
#include "cli/kubectl/pod_choice.h"
#include "cli/kubectl/remote.h"
#include "cli/kubectl/verbs.h"

namespace knarr::kubectl {

namespace {

constexpr FlagSpec kFlags[] = {
    text_flag("container", 'c', "which container"),
    bool_flag("stdin", 'i', "pass standard input on"),
    bool_flag("tty", 't', "standard input is a terminal"),
    bool_flag("quiet", 'q', "only what the command prints"),
    text_flag("pod-running-timeout", 0, "taken, without effect"),
};

// A terminal is only offered where there is one.
bool wants_tty(const Flags& flags) {
  if (!flags.yes("tty")) return false;
  if (!flags.yes("stdin") || isatty(STDIN_FILENO) == 1) return true;
  std::fputs("Unable to use a TTY - input is not a terminal or the right kind of file\n", stderr);
  return false;
}

}  // namespace

const std::span<const FlagSpec> kExecFlags = kFlags;
const std::span<const FlagSpec> kAttachFlags = kFlags;

Result<int> exec_verb(Session& session, const Flags& flags) {
  size_t words = flags.words.size();
  size_t pod_words = flags.dash_at >= 0 ? static_cast<size_t>(flags.dash_at) : 1;
  if (words == 0 || pod_words == 0) {
    return make_error(Code::kBadRequest,
                      "pod, type/name or --filename must be specified\nSee 'kubectl exec -h' for "
                      "help and examples");
  }
  if (pod_words > 1) {
    return make_error(Code::kBadRequest, "exec takes one pod before --, then the command");
  }
  if (words <= pod_words) {
    return make_error(Code::kBadRequest, "you must specify at least one command for the container");
  }
  TRY_ASSIGN(json::Value pod, find_pod(session, flags.words[0], false));
  std::string phase = pod["status"]["phase"].text();
  if (phase == "Succeeded" || phase == "Failed") {
    return make_error(Code::kBadRequest,
                      fmt::format("cannot exec into a container in a completed pod; current phase "
                                  "is {}",
                                  phase));
  }
  TRY_ASSIGN(ContainerChoice container, choose_container(pod, flags.text("container")));
  if (!flags.yes("quiet")) std::fputs(container.note.c_str(), stderr);
  RemoteStreams streams;
  streams.stdin_open = flags.yes("stdin");
  streams.tty = wants_tty(flags);
  net::Query query;
  for (size_t i = pod_words; i < words; i++) query.add("command", flags.words[i]);
  query.add("container", container.name);
  if (streams.stdin_open) query.add("stdin", "true");
  query.add("stdout", "true");
  query.add(streams.tty ? "tty" : "stderr", "true");
  streams.target = fmt::format("/api/v1/namespaces/{}/pods/{}/exec?{}", session.ns(),
                               pod["metadata"]["name"].as_string(), query.text());
  TRY_ASSIGN(int status, run_remote(session.config(), streams));
  if (status != 0) std::fprintf(stderr, "command terminated with exit code %d\n", status);
  return status;
}

Result<int> attach_verb(Session& session, const Flags& flags) {
  if (flags.words.size() != 1) {
    return usage_error("attach", "at least 1 argument is required for attach");
  }
  TRY_ASSIGN(json::Value pod, find_pod(session, flags.words[0], false));
  TRY_ASSIGN(ContainerChoice container, choose_container(pod, flags.text("container")));
  if (!flags.yes("quiet")) std::fputs(container.note.c_str(), stderr);
  RemoteStreams streams;
  streams.stdin_open = flags.yes("stdin");
  streams.tty = wants_tty(flags);
  streams.quiet_hint = flags.yes("quiet") || !streams.stdin_open;
  streams.target = attach_target(session.ns(), pod["metadata"]["name"].text(), container.name,
                                 streams.stdin_open, streams.tty);
  TRY_ASSIGN(int status, run_remote(session.config(), streams));
  return status;
}

std::string attach_target(const std::string& ns, const std::string& pod,
                          const std::string& container, bool stdin_open, bool tty) {
  net::Query query;
  query.add("container", container);
  if (stdin_open) query.add("stdin", "true");
  query.add("stdout", "true");
  query.add(tty ? "tty" : "stderr", "true");
  return fmt::format("/api/v1/namespaces/{}/pods/{}/attach?{}", ns, pod, query.text());
}

}  // namespace knarr::kubectl
