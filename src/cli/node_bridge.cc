#include "cli/node_bridge.h"

#include "base/format.h"
#include "base/json.h"
#include "server/http/reply.h"

namespace knarr::cli {

namespace {

// A ready endpoint of the service's slices for the port that was asked for, by name or number.
Result<std::string> endpoint_of(const server::Cache& cache, const Object& service,
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
  std::string address;
  cache.for_each({"discovery.k8s.io", "endpointslices"}, service.name.ns,
                 [&](const ObjectRef& slice) {
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
                     address = fmt::format("{}:{}", e["addresses"][0].as_string(), number);
                     return false;
                   }
                   return true;
                 });
  if (!found || address.empty()) {
    return make_error(Code::kServiceUnavailable,
                      fmt::format("no endpoints available for service \"{}\"", service.name.name));
  }
  return address;
}

}  // namespace

NodeBridge::NodeBridge(base::Loop& loop, Node& node, server::Cache& cache)
    : node_(node), cache_(cache), proxy_(loop) {}

void NodeBridge::handle(net::ExchangePtr exchange, server::NodeRequest request) {
  auto answered = pass(exchange, request);
  if (!answered.ok()) server::send_error(exchange, answered.error());
}

Result<void> NodeBridge::pass(const net::ExchangePtr& exchange,
                              const server::NodeRequest& request) {
  using Kind = server::NodeRequest::Kind;
  agent::NodeApi* api = node_.api();
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
    case Kind::kServiceProxy: return service(exchange, request);
  }
  return make_error(Code::kInternalError, "unknown kind of request to a node");
}

Result<void> NodeBridge::service(const net::ExchangePtr& exchange,
                                 const server::NodeRequest& request) {
  agent::ProxyName parsed = agent::parse_proxy_name(request.name);
  TRY_ASSIGN(std::string address, endpoint_of(cache_, *request.object, parsed.port));
  std::string query = request.query.text();
  proxy_.pass(exchange,
              parsed.scheme + "://" + address + request.path + (query.empty() ? "" : "?" + query));
  return {};
}

}  // namespace knarr::cli
