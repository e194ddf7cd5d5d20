// What the API server passes on to nodes: logs, exec, attach, port-forward, and proxied requests to
// pods, services and nodes. Whoever reaches the nodes implements it; the front has authenticated
// and authorised the caller, found the object, and does nothing more. Loop thread.
#pragma once

#include <string>

#include "base/json.h"
#include "knarr/object.h"
#include "net/http.h"
#include "net/url.h"
#include "server/auth/auth.h"

namespace knarr::server {

struct NodeRequest {
  enum class Kind { kLog, kExec, kAttach, kPortForward, kPodProxy, kServiceProxy, kNodeProxy };
  Kind kind = Kind::kLog;
  ObjectRef object;  // the pod, service or node
  std::string name;  // as in the URL: may carry a scheme and a port ("https:web:443")
  std::string path;  // of proxies: what follows ".../proxy", with its leading '/'
  net::Query query;  // container, follow, tailLines, command, stdin, tty, ports, ...
  UserRef user;
};

class NodeProxy {
 public:
  virtual ~NodeProxy() = default;

  // Answers the exchange completely, now or over time: a log with start() / write() / finish(),
  // exec, attach and port-forward by upgrading the connection (WebSocket or SPDY/3.1), a proxy with
  // the backend's own answer. A refusal is a Status: server/http/reply.h sends one.
  virtual void handle(net::ExchangePtr exchange, NodeRequest request) = 0;
};

}  // namespace knarr::server
