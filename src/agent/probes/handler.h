// One run of a probe's or lifecycle hook's handler: exec, httpGet, tcpSocket, grpc, sleep.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/services.h"
#include "base/loop.h"
#include "net/client.h"

namespace knarr::agent {

struct HandlerResult {
  // kWarning is a success with an event.
  enum class Verdict { kSuccess, kWarning, kFailure, kUnknown } verdict = Verdict::kUnknown;
  std::string output;  // what the event quotes
  int exit_code = 0;   // of an exec
  bool late = false;   // an exec ran into its timeout
};

// Cancelled when destroyed.
class HandlerRun {
 public:
  virtual ~HandlerRun() = default;
};

class HandlerRunner {
 public:
  HandlerRunner(base::Loop& loop, runtime::Runtime& runtime);

  using Done = std::function<void(HandlerResult)>;
  // A hook's httpGet succeeds with any status.
  enum class Purpose { kProbe, kHook };
  // `handler` is the object with the member "exec", "httpGet", ... Never calls done from within.
  std::unique_ptr<HandlerRun> run(const Prober::Target& target, const json::Value& handler,
                                  int64_t timeout_ms, Purpose purpose, Done done);

 private:
  base::Loop& loop_;
  runtime::Runtime& runtime_;
  net::Client http_;
  net::Client grpc_;
};

// A port by number, or by the name of one of the container's ports. 0 when there is no such.
uint16_t port_of(const json::Value& port, const json::Value& container);

}  // namespace knarr::agent
