// Probes and lifecycle handlers.
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
  one_of(action["scheme"], {"HTTP", "HTTPS"}, path / "scheme", errors);
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

}  // namespace

void probes_and_lifecycle(const Value& container, int64_t grace_seconds, const Path& path,
                          ErrorList& errors) {
  for (const char* member : {"postStart", "preStop"}) {
    const Value& one = container["lifecycle"][member];
    if (!one.is_null()) handler(one, grace_seconds, path / "lifecycle" / member, errors);
  }
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
