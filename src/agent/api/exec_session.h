// One exec or attach: the client's streams on one side, a process in a container on the other.
// Lives until the process has ended or the client is gone.
#pragma once

#include <memory>
#include <string>

#include "agent/api/remote_streams.h"
#include "knarr/clock.h"
#include "knarr/runtime.h"

namespace knarr::agent {

struct ExecRequest {
  bool attach = false;
  std::string container_id;
  std::vector<std::string> command;
  RemoteWanted wanted;
};

// Upgrades the exchange and begins. An error has not been answered yet.
Result<void> start_exec_session(const net::ExchangePtr& exchange, Clock& clock,
                                runtime::Runtime& runtime, ExecRequest request);

// The Status that ends a session: Success, or Failure with the exit code among its causes.
std::string exec_status(const Result<int>& exit_code);

// The last complete {"Width": w, "Height": h} of a resize stream; keeps what is incomplete.
struct TerminalSize {
  uint16_t columns = 0, rows = 0;
};
bool take_terminal_size(std::string& buffer, TerminalSize& size);

}  // namespace knarr::agent
