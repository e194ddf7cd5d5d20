#include "cli/node_bridge.h"

#include "api/ip.h"
#include "base/ascii.h"
#include "base/format.h"
#include "base/json.h"
#include "server/http/reply.h"
#include "server/status/errors.h"

namespace knarr::cli {

namespace {

struct Endpoint {
  std::string address;  // "10.42.0.7:8080"
  std::string node;
};

std::string host_text(std::string_view ip) {
  return ip.find(':') == std::string_view::npos ? std::string(ip) : fmt::format("[{}]", ip);
}

std::string query_text(const net::Query& query) {
  std::string text = query.text();
  return text.empty() ? text : "?" + text;
}

// A ready endpoint of the service's slices for the port that was asked for, by name or number.
Result<Endpoint> endpoint_of(const server::Cache& cache, const Object& service,
                             const std::string& port) {
  TRY_ASSIGN(json::Value object, json::parse(service.json));
  std::string port_name;
  bool found = false;
  for (const json::Value& p : object["spec"]["ports"].elements()) {
    bool only = port.empty() && object["spec"]["ports"].size() == 1;
    if (!only && p["name"].as_string() != port && std::to_string(p["port"].as_int()) != port) {
      continue;
    }
    port_name = p["name"].text();
    found = true;
    break;
  }
  Endpoint endpoint;
  cache.for_each(
      {"discovery.k8s.io", "endpointslices"}, service.name.ns, [&](const ObjectRef& slice) {
        const std::string* of = slice->label("kubernetes.io/service-name");
        if (of == nullptr || *of != service.name.name) return true;
        auto value = json::parse(slice->json);
        if (!value.ok()) return true;
        int64_t number = 0;
        for (const json::Value& p : (*value)["ports"].elements()) {
          if (p["name"].as_string() == port_name) number = p["port"].as_int();
        }
        for (const json::Value& e : (*value)["endpoints"].elements()) {
          if (number == 0 || !e["conditions"]["ready"].as_bool(true)) continue;
          endpoint.address = fmt::format("{}:{}", host_text(e["addresses"][0].as_string()), number);
          endpoint.node = e["nodeName"].text();
          return false;
        }
        return true;
      });
  if (!found || endpoint.address.empty()) {
    return make_error(Code::kServiceUnavailable,
                      fmt::format("no endpoints available for service \"{}\"", service.name.name));
  }
  return endpoint;
}

// The options of an exec or attach in a kubelet's names; those of other requests as they are.
net::Query kubelet_query(const server::NodeRequest& request) {
  using Kind = server::NodeRequest::Kind;
  bool streams = request.kind == Kind::kExec || request.kind == Kind::kAttach;
  net::Query out;
  for (const auto& [name, value] : request.query.pairs()) {
    if (name == "container" && request.kind != Kind::kPortForward) continue;
    if (streams && name == "stdin") {
      out.add("input", value);
    } else if (streams && name == "stdout") {
      out.add("output", value);
    } else if (streams && name == "stderr") {
      out.add("error", value);
    } else {
      out.add(name, value);
    }
  }
  return out;
}

// What a kubelet says about a log that it does not give.
Error log_refusal(const std::string& pod, int status, const std::string& body) {
  std::string text(base::trim(body));
  if (status == 400) return make_error(Code::kBadRequest, text);
  if (status == 500) return server::internal_error(text);
  if (status == 404) {
    return make_error(
        Code::kNotFound,
        fmt::format("the server could not find the requested resource ( pods/log {})", pod));
  }
  return make_error(Code::kUnknown,
                    fmt::format("the server responded with the status code {} but did not return "
                                "more information ( pods/log {})",
                                status, pod));
}

agent::ProxyRefusals log_refusals(const std::string& pod, const std::string& url) {
  agent::ProxyRefusals refusals;
  refusals.unreachable = [url](const net::ExchangePtr& exchange, const Error& error) {
    std::string message = fmt::format("Get \"{}\": {}", url, error.message);
    server::send_error(exchange, make_error(Code::kUnknown, message));
  };
  refusals.failed = [pod](const net::ExchangePtr& exchange, int status, const std::string& body) {
    server::send_error(exchange, log_refusal(pod, status, body));
  };
  return refusals;
}

agent::ProxyRefusals stream_refusals() {
  agent::ProxyRefusals refusals;
  refusals.unreachable = [](const net::ExchangePtr& exchange, const Error& error) {
    server::send_error(exchange,
                       make_error(Code::kUnknown, "error dialing backend: " + error.message));
  };
  return refusals;
}

const char* kubelet_path(server::NodeRequest::Kind kind) {
  switch (kind) {
    case server::NodeRequest::Kind::kExec: return "exec";
    case server::NodeRequest::Kind::kAttach: return "attach";
    case server::NodeRequest::Kind::kPortForward: return "portForward";
    default: return "containerLogs";
  }
}

net::ClientOptions kubelet_options(net::TlsConfig tls, net::Dialer dial) {
  net::ClientOptions options;
  options.tls = std::move(tls);
  options.dial = std::move(dial);
  return options;
}

}  // namespace

NodeBridge::NodeBridge(Deps deps)
    : deps_(std::move(deps)),
      backends_(deps_.loop, dialer()),
      kubelets_(deps_.loop, kubelet_options(deps_.kubelet_tls, dialer())) {}

// A route is the name of a node with a tunnel.
net::Dialer NodeBridge::dialer() const {
  return [&loop = deps_.loop, &tunnels = deps_.tunnels](
             const net::DialTarget& target, int64_t timeout_ms,
             server::NodeTunnels::Done done) -> std::unique_ptr<net::Pending> {
    if (target.route.empty()) {
      return net::dial_tcp(loop, target.host, target.port, timeout_ms, std::move(done));
    }
    return tunnels.dial(target.route, target.host, target.port, timeout_ms, std::move(done));
  };
}

bool NodeBridge::is_here(const std::string& node) const {
  return deps_.node != nullptr && node == deps_.node_name;
}

std::string NodeBridge::route(const std::string& node) const {
  return !is_here(node) && deps_.tunnels.has(node) ? node : "";
}

void NodeBridge::handle(net::ExchangePtr exchange, server::NodeRequest request) {
  auto answered = pass(exchange, request);
  if (!answered.ok()) server::send_error(exchange, answered.error());
}

Result<void> NodeBridge::pass(const net::ExchangePtr& exchange,
                              const server::NodeRequest& request) {
  using Kind = server::NodeRequest::Kind;
  if (request.kind == Kind::kNodeProxy) return node(exchange, request);
  if (request.kind == Kind::kServiceProxy) return service(exchange, request);
  return pod(exchange, request);
}

// Of the node in this process.
Result<void> NodeBridge::here(const net::ExchangePtr& exchange,
                              const server::NodeRequest& request) {
  using Kind = server::NodeRequest::Kind;
  agent::NodeApi* api = deps_.node->api();
  if (api == nullptr) return make_error(Code::kServiceUnavailable, "the node is starting");
  const NamespacedName& name = request.object->name;
  switch (request.kind) {
    case Kind::kLog: return api->log(exchange, name, request.query);
    case Kind::kExec: return api->exec(exchange, name, request.query, false);
    case Kind::kAttach: return api->exec(exchange, name, request.query, true);
    case Kind::kPortForward: return api->port_forward(exchange, name, request.query);
    case Kind::kPodProxy:
      return api->proxy_pod(exchange, name.ns, request.name, request.path, request.query.text());
    case Kind::kNodeProxy: return api->node_path(exchange, request.path, request.query);
    case Kind::kServiceProxy: break;
  }
  return make_error(Code::kInternalError, "unknown kind of request to a node");
}

Result<void> NodeBridge::pod(const net::ExchangePtr& exchange, const server::NodeRequest& request) {
  using Kind = server::NodeRequest::Kind;
  TRY_ASSIGN(auto pod, agent::Pod::parse(request.object));
  std::string node = pod->spec()["nodeName"].text();
  if (is_here(node)) return here(exchange, request);
  if (request.kind == Kind::kPodProxy) return pod_proxy(exchange, request, pod->json());
  std::string container;
  if (request.kind != Kind::kPortForward) {
    TRY_ASSIGN(container, agent::choose_container(*pod, request.query.get("container")));
  }
  if (request.kind == Kind::kLog) {
    TRY(agent::parse_log_options(request.query, deps_.loop.now_us()));
    if (node.empty()) {
      exchange->respond(204, {}, {});  // nothing was written yet
      return {};
    }
  }
  if (node.empty()) {
    return make_error(Code::kBadRequest,
                      fmt::format("pod {} does not have a host assigned", pod->name()));
  }
  return ask_kubelet(exchange, request, node, container);
}

// Where the API server may be sent: a node says its own addresses, and its pods', and is not to
// send it to what only this machine reaches.
Result<void> NodeBridge::check_address(const std::string& text) {
  auto ip = api::IpAddress::parse(text);
  bool bad = ip && (ip->is_loopback() || ip->is_unspecified() || ip->is_link_local_unicast());
  return bad ? make_error(Code::kBadRequest, "address not allowed") : Result<void>();
}

Result<NodeBridge::Kubelet> NodeBridge::kubelet_of(const std::string& node) const {
  ObjectRef object = deps_.cache.get({{"", "nodes"}, {"", node}});
  if (object == nullptr) return server::not_found("", "nodes", node);
  TRY_ASSIGN(json::Value value, json::parse(object->json));
  Kubelet kubelet;
  kubelet.name = node;
  kubelet.port = value["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_int();
  if (kubelet.port == 0) kubelet.port = 10250;
  for (const char* type : {"InternalIP", "Hostname", "ExternalIP"}) {
    for (const json::Value& address : value["status"]["addresses"].elements()) {
      if (!kubelet.host.empty() || address["type"].as_string() != type) continue;
      if (!is_here(node)) TRY(check_address(address["address"].text()));
      kubelet.host = host_text(address["address"].as_string());
    }
  }
  if (kubelet.host.empty()) {
    return make_error(Code::kUnknown, "no preferred addresses found; known addresses: []");
  }
  return kubelet;
}

Result<void> NodeBridge::ask_kubelet(const net::ExchangePtr& exchange,
                                     const server::NodeRequest& request, const std::string& node,
                                     const std::string& container) {
  TRY_ASSIGN(Kubelet kubelet, kubelet_of(node));
  const NamespacedName& name = request.object->name;
  std::string url = fmt::format("https://{}:{}/{}/{}/{}", kubelet.host, kubelet.port,
                                kubelet_path(request.kind), name.ns, name.name);
  if (!container.empty()) url += "/" + container;
  url += query_text(kubelet_query(request));
  bool log = request.kind == server::NodeRequest::Kind::kLog;
  kubelets_.pass(exchange, {url, route(node)},
                 log ? log_refusals(name.name, url) : stream_refusals());
  return {};
}

Result<void> NodeBridge::pod_proxy(const net::ExchangePtr& exchange,
                                   const server::NodeRequest& request, const json::Value& pod) {
  agent::ProxyName parsed = agent::parse_proxy_name(request.name);
  std::string ip = pod["status"]["podIP"].text();
  if (ip.empty()) return make_error(Code::kBadRequest, "address not allowed");
  if (!is_here(pod["spec"]["nodeName"].text())) TRY(check_address(ip));
  for (const json::Value& container : pod["spec"]["containers"].elements()) {
    int64_t first = container["ports"][0]["containerPort"].as_int();
    if (parsed.port.empty() && first != 0) parsed.port = std::to_string(first);
  }
  std::string port = parsed.port.empty() ? "" : ":" + parsed.port;
  backends_.pass(exchange, {parsed.scheme + "://" + host_text(ip) + port + request.path +
                                query_text(request.query),
                            route(pod["spec"]["nodeName"].text())});
  return {};
}

Result<void> NodeBridge::node(const net::ExchangePtr& exchange,
                              const server::NodeRequest& request) {
  agent::ProxyName parsed = agent::parse_proxy_name(request.name);
  const std::string& name = request.object->name.name;
  TRY_ASSIGN(Kubelet kubelet, kubelet_of(name));
  std::string rest = (request.path.empty() ? "/" : request.path) + query_text(request.query);
  if (!parsed.port.empty() && parsed.port != std::to_string(kubelet.port)) {
    backends_.pass(exchange,
                   {parsed.scheme + "://" + kubelet.host + ":" + parsed.port + rest, route(name)});
    return {};
  }
  if (is_here(name)) return here(exchange, request);
  kubelets_.pass(exchange,
                 {fmt::format("https://{}:{}{}", kubelet.host, kubelet.port, rest), route(name)});
  return {};
}

Result<void> NodeBridge::service(const net::ExchangePtr& exchange,
                                 const server::NodeRequest& request) {
  agent::ProxyName parsed = agent::parse_proxy_name(request.name);
  TRY_ASSIGN(Endpoint endpoint, endpoint_of(deps_.cache, *request.object, parsed.port));
  backends_.pass(exchange, {parsed.scheme + "://" + endpoint.address + request.path +
                                query_text(request.query),
                            route(endpoint.node)});
  return {};
}

}  // namespace knarr::cli
