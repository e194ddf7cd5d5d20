// One run of a plug-in's executable: it reads its input, writes, and ends, or is killed when its
// time is over, with all it started. What it writes is kept up to a bound. Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/loop.h"

namespace knarr::agent {

struct PluginCall {
  std::string path;
  std::vector<std::pair<std::string, std::string>> environment;  // on top of our own
  std::string input;
  int64_t timeout_ms = 0;
};

struct PluginOutput {
  bool ok = false;     // it ended by itself, with status 0
  std::string ending;  // "exit status 1", "signal: killed", what kept it from starting
  std::string output;  // at most PluginProcess::kMostOutput bytes
  std::string diagnostics;
};

class PluginProcess {
 public:
  static constexpr size_t kMostOutput = 1024 * 1024;
  static constexpr size_t kMostDiagnostics = 16 * 1024;

  using Done = std::function<void(PluginOutput)>;
  // `done` comes once, later; not when this is destroyed before, which kills.
  PluginProcess(base::Loop& loop, PluginCall call, Done done);
  ~PluginProcess();
  PluginProcess(const PluginProcess&) = delete;
  PluginProcess& operator=(const PluginProcess&) = delete;

 private:
  class Run;
  std::shared_ptr<Run> run_;
};

}  // namespace knarr::agent
