// Port-forward: pairs of data and error streams of a client, each data stream spliced with a TCP
// connection made inside the pod's network namespace.
//
// Three ways that clients have: a SPDY/3.1 session, the same session tunnelled in a WebSocket, and
// WebSocket channels (two a port).
#pragma once

#include <functional>
#include <string>

#include "base/loop.h"
#include "knarr/runtime.h"
#include "net/http.h"
#include "net/url.h"

namespace knarr::agent {

struct PortForwardTarget {
  std::string sandbox_id;
  std::string pod;  // for messages
};

// Upgrades the exchange and begins. An error has not been answered yet.
Result<void> start_port_forward(const net::ExchangePtr& exchange, base::Loop& loop,
                                runtime::Runtime& runtime, PortForwardTarget target,
                                const net::Query& query);

}  // namespace knarr::agent
