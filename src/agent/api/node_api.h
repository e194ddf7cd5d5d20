// What a node does for those who look into its pods: logs, exec, attach, port-forward, proxied
// requests. Called by the API server in this process, or through the node's own HTTPS port.
//
// Every function answers the exchange itself, or returns an error and has not touched it: the
// caller words the refusal.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "agent/agent.h"
#include "agent/api/http_proxy.h"
#include "agent/api/log_stream.h"
#include "agent/metrics/sampler.h"
#include "net/http.h"
#include "net/url.h"

namespace knarr::agent {

class NodeApi {
 public:
  NodeApi(base::Loop& loop, Agent& agent);
  ~NodeApi();

  Result<void> log(const net::ExchangePtr& exchange, const NamespacedName& pod,
                   const net::Query& query);
  Result<void> exec(const net::ExchangePtr& exchange, const NamespacedName& pod,
                    const net::Query& query, bool attach);
  Result<void> port_forward(const net::ExchangePtr& exchange, const NamespacedName& pod,
                            const net::Query& query);
  // `name` may carry scheme and port; `path` with its leading '/', and `query` as it came.
  Result<void> proxy_pod(const net::ExchangePtr& exchange, const std::string& ns,
                         const std::string& name, const std::string& path,
                         const std::string& query);
  // The node's own paths: /healthz, /pods, /containerLogs, /exec, /attach, /portForward,
  // /stats/summary, /metrics and those below.
  // kNotFound for others.
  Result<void> node_path(const net::ExchangePtr& exchange, const std::string& path,
                         const net::Query& query);

 private:
  Result<const PodMachine*> find(const NamespacedName& pod) const;
  void pods(const net::ExchangePtr& exchange) const;
  bool use(const net::ExchangePtr& exchange, std::string_view path, const net::Query& query);

  base::Loop& loop_;
  Agent& agent_;
  HttpProxy proxy_;
  Sampler sampler_;
  std::set<std::shared_ptr<LogStream>> followers_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// The container that a request means: `asked`, or the only one. Errors in a kube-apiserver's words.
Result<std::string> choose_container(const Pod& pod, std::string_view asked);

}  // namespace knarr::agent
