#include "agent/probes/hooks.h"

#include "base/format.h"

namespace knarr::agent {

using json::Value;

namespace {

// A hook without a limit of its own (postStart) may take as long as it likes; a day is as good.
constexpr int64_t kNoLimitMs = 24 * 3600 * 1000;

std::string words(const Value& command) {
  std::string line;
  for (const Value& word : command.elements()) line += (line.empty() ? "" : " ") + word.text();
  return line;
}

// As a kubelet says it, with Go's way to write lists and quotes.
std::string failure_text(const Prober::Target& target, const Value& handler,
                         const HandlerResult& result) {
  std::string where =
      fmt::format("for Container \"{}\" in Pod \"{}\" failed - error: ", target.container->name,
                  target.pod->full_name());
  if (const Value& exec = handler["exec"]; exec.is_object()) {
    std::string line = words(exec["command"]);
    bool ended = result.verdict == HandlerResult::Verdict::kFailure && !result.late;
    std::string error = ended ? fmt::format("command '{}' exited with {}: {}", line,
                                            result.exit_code, result.output)
                              : result.output;
    std::string quoted;
    json::append_quoted(quoted, ended ? result.output : "");
    return fmt::format("Exec lifecycle hook ([{}]) {}{}, message: {}", line, where, error, quoted);
  }
  if (const Value& get = handler["httpGet"]; get.is_object()) {
    return fmt::format("HTTP lifecycle hook ({}) {}{}", get["path"].as_string(), where,
                       result.output);
  }
  return result.output;
}

}  // namespace

void HookRunner::run(const Prober::Target& target, const Value& handler, int64_t timeout_ms,
                     Callback<void> done) {
  uint64_t id = next_++;
  auto over = [this, id, target, handler, done](const HandlerResult& result) {
    clock_.defer([this, id] { runs_.erase(id); });
    if (result.verdict == HandlerResult::Verdict::kSuccess) return done({});
    done(make_error(result.late ? Code::kTimeout : Code::kInternalError,
                    failure_text(target, handler, result)));
  };
  runs_[id] = runner_.run(target, handler, timeout_ms > 0 ? timeout_ms : kNoLimitMs,
                          HandlerRunner::Purpose::kHook, over);
}

}  // namespace knarr::agent
