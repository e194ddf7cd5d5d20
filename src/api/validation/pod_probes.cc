// Probes and lifecycle handlers.
#include <algorithm>
#include <vector>

#include "api/validation/pod.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

void exec(const Value& action, const Path& path, ErrorList& errors) {
  if (action["command"].empty()) errors.required(path / "command");
}

void http_get(const Value& action, const Path& path, ErrorList& errors) {
  if (action["path"].as_string().empty()) errors.required(path / "path");
  port_number_or_name(action["port"], path / "port", errors);
  std::string_view scheme = action["scheme"].as_string();
  if (!contains({"HTTP", "HTTPS"}, scheme)) {
    errors.not_supported(path / "scheme", scheme, {"HTTP", "HTTPS"});
  }
  for (const Value& header : action["httpHeaders"].elements()) {
    errors.invalid_all(path / "httpHeaders", header["name"],
                       check_http_header_name(header["name"].as_string()));
  }
}

void port_only(const Value& action, const Path& path, ErrorList& errors) {
  port_number_or_name(action["port"], path / "port", errors);
}

void handler(const Value& handler, int64_t grace_seconds, const Path& path, ErrorList& errors) {
  struct Kind {
    const char* member;
    void (*check)(const Value& action, const Path& path, ErrorList& errors);
  };
  static constexpr Kind kKinds[] = {
      {"exec", exec}, {"httpGet", http_get}, {"tcpSocket", port_only}, {"grpc", port_only}};
  int count = 0;
  for (const Kind& kind : kKinds) {
    const Value& action = handler[kind.member];
    if (action.is_null()) continue;
    if (count++ > 0) {
      errors.forbidden(path / kind.member, "may not specify more than 1 handler type");
    } else {
      kind.check(action, path / kind.member, errors);
    }
  }
  const Value& sleep = handler["sleep"];
  if (!sleep.is_null()) {
    if (count++ > 0) {
      errors.forbidden(path / "sleep", "may not specify more than 1 handler type");
    } else if (sleep["seconds"].as_int() < 0 || sleep["seconds"].as_int() > grace_seconds) {
      errors.invalid(path / "sleep", sleep["seconds"].as_int(),
                     fmt::format("must be non-negative and less than "
                                 "terminationGracePeriodSeconds ({})",
                                 grace_seconds));
    }
  }
  if (count == 0) errors.required(path, "must specify a handler type");
}

void probe(const Value& probe, int64_t grace_seconds, const Path& path, ErrorList& errors) {
  handler(probe, grace_seconds, path, errors);
  for (const char* member : {"initialDelaySeconds", "timeoutSeconds", "periodSeconds",
                             "successThreshold", "failureThreshold"}) {
    not_negative(probe[member], path / member, errors);
  }
  const Value& grace = probe["terminationGracePeriodSeconds"];
  if (!grace.is_null() && grace.as_int() <= 0) {
    errors.invalid(path / "terminationGracePeriodSeconds", grace, "must be greater than 0");
  }
}

constexpr std::string_view kWindowsSignals[] = {"SIGKILL", "SIGTERM"};
constexpr std::string_view kLinuxSignals[] = {
    "SIGABRT",     "SIGALRM",     "SIGBUS",      "SIGCHLD",     "SIGCLD",      "SIGCONT",
    "SIGFPE",      "SIGHUP",      "SIGILL",      "SIGINT",      "SIGIO",       "SIGIOT",
    "SIGKILL",     "SIGPIPE",     "SIGPOLL",     "SIGPROF",     "SIGPWR",      "SIGQUIT",
    "SIGRTMAX",    "SIGRTMAX-1",  "SIGRTMAX-10", "SIGRTMAX-11", "SIGRTMAX-12", "SIGRTMAX-13",
    "SIGRTMAX-14", "SIGRTMAX-2",  "SIGRTMAX-3",  "SIGRTMAX-4",  "SIGRTMAX-5",  "SIGRTMAX-6",
    "SIGRTMAX-7",  "SIGRTMAX-8",  "SIGRTMAX-9",  "SIGRTMIN",    "SIGRTMIN+1",  "SIGRTMIN+10",
    "SIGRTMIN+11", "SIGRTMIN+12", "SIGRTMIN+13", "SIGRTMIN+14", "SIGRTMIN+15", "SIGRTMIN+2",
    "SIGRTMIN+3",  "SIGRTMIN+4",  "SIGRTMIN+5",  "SIGRTMIN+6",  "SIGRTMIN+7",  "SIGRTMIN+8",
    "SIGRTMIN+9",  "SIGSEGV",     "SIGSTKFLT",   "SIGSTOP",     "SIGSYS",      "SIGTERM",
    "SIGTRAP",     "SIGTSTP",     "SIGTTIN",     "SIGTTOU",     "SIGURG",      "SIGUSR1",
    "SIGUSR2",     "SIGVTALRM",   "SIGWINCH",    "SIGXCPU",     "SIGXFSZ"};

void stop_signal(const Value& signal, const Value& system, const Path& path, ErrorList& errors) {
  if (signal.is_null()) return;
  if (system.is_null()) {
    errors.forbidden(path, "may not be set for containers with empty `spec.os.name`");
    return;
  }
  auto among = [&](std::span<const std::string_view> known) {
    if (std::find(known.begin(), known.end(), signal.as_string()) != known.end()) return;
    errors.not_supported(path, signal, std::vector<std::string_view>(known.begin(), known.end()));
  };
  if (system["name"].as_string() == "windows") among(kWindowsSignals);
  if (system["name"].as_string() == "linux") among(kLinuxSignals);
}

}  // namespace

void probes_and_lifecycle(const Value& container, const Value& pod_spec, const Path& path,
                          ErrorList& errors) {
  int64_t grace_seconds = pod_spec["terminationGracePeriodSeconds"].as_int(30);
  for (const char* member : {"postStart", "preStop"}) {
    const Value& one = container["lifecycle"][member];
    if (!one.is_null()) handler(one, grace_seconds, path / "lifecycle" / member, errors);
  }
  stop_signal(container["lifecycle"]["stopSignal"], pod_spec["os"],
              path / "lifecycle" / "stopSignal", errors);
  for (const char* member : {"livenessProbe", "readinessProbe", "startupProbe"}) {
    const Value& one = container[member];
    if (one.is_null()) continue;
    Path at = path / member;
    probe(one, grace_seconds, at, errors);
    bool readiness = std::string_view(member) == "readinessProbe";
    if (!readiness && one["successThreshold"].as_int() != 1) {
      errors.invalid(at / "successThreshold", one["successThreshold"].as_int(), "must be 1");
    }
    if (readiness && !one["terminationGracePeriodSeconds"].is_null()) {
      errors.invalid(at / "terminationGracePeriodSeconds", one["terminationGracePeriodSeconds"],
                     "must not be set for readinessProbes");
    }
  }
}

}  // namespace knarr::api::rules
