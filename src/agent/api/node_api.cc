#include "agent/api/node_api.h"

#include <algorithm>

#include "agent/api/exec_session.h"
#include "agent/api/port_forward.h"
#include "agent/metrics/metric_text.h"
#include "agent/metrics/views.h"
#include "base/format.h"

namespace knarr::agent {

using json::Value;

namespace {

std::string names_of(const Pod& pod, bool init) {
  std::string names;
  for (const ContainerSpec& c : pod.containers()) {
    if (c.kind == ContainerKind::kEphemeral || is_init(c.kind) != init) continue;
    names += (names.empty() ? "" : " ") + c.name;
  }
  return names;
}

bool flag(const net::Query& query, const char* name) {
  std::string_view text = query.get(name);
  return query.has(name) && text != "false" && text != "0";
}

std::string query_text(const std::string& query) { return query.empty() ? "" : "?" + query; }

// The reason why a container has no log yet, from the pod's own status.
std::string waiting_reason(const Pod& pod, const std::string& container) {
  const ContainerSpec* spec = pod.container(container);
  const char* list = lists_of(spec == nullptr ? ContainerKind::kMain : spec->kind).status;
  for (const Value& s : pod.status()[list].elements()) {
    if (s["name"].as_string() == container) return s["state"]["waiting"]["reason"].text();
  }
  return "ContainerCreating";
}

// "/containerLogs/ns/pod/container" cut into its parts.
std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts;
  for (size_t begin = 1; begin <= path.size();) {
    size_t slash = std::min(path.find('/', begin), path.size());
    if (slash > begin) parts.push_back(path.substr(begin, slash - begin));
    begin = slash + 1;
  }
  return parts;
}

void too_late(const net::ExchangePtr& exchange) {
  exchange->respond(503, {{"Content-Type", "text/plain; charset=utf-8"}},
                    "what is used could not be measured in time\n");
}

}  // namespace

Result<std::string> choose_container(const Pod& pod, std::string_view asked) {
  if (!asked.empty()) {
    if (pod.container(asked) != nullptr) return std::string(asked);
    return make_error(Code::kBadRequest,
                      fmt::format("container {} is not valid for pod {}", asked, pod.name()));
  }
  std::string mains = names_of(pod, false), inits = names_of(pod, true);
  if (mains.find(' ') == std::string::npos) return mains;
  std::string message = fmt::format(
      "a container name must be specified for pod {}, choose one of: [{}]", pod.name(), mains);
  if (!inits.empty()) message += fmt::format(" or one of the init containers: [{}]", inits);
  return make_error(Code::kBadRequest, message);
}

NodeApi::NodeApi(base::Loop& loop, Agent& agent)
    : loop_(loop), agent_(agent), proxy_(loop), sampler_(agent, loop) {
  agent_.on_container_end([this] {
    for (const auto& follower : std::set<std::shared_ptr<LogStream>>(followers_)) follower->check();
  });
}

NodeApi::~NodeApi() { *alive_ = false; }

Result<const PodMachine*> NodeApi::find(const NamespacedName& pod) const {
  const PodMachine* machine = agent_.find(pod.ns, pod.name);
  if (machine == nullptr) {
    return make_error(Code::kNotFound, fmt::format("pod \"{}\" not found on node", pod.text()));
  }
  return machine;
}

Result<void> NodeApi::log(const net::ExchangePtr& exchange, const NamespacedName& name,
                          const net::Query& query) {
  TRY_ASSIGN(const PodMachine* machine, find(name));
  TRY_ASSIGN(LogOptions options, parse_log_options(query, loop_.now_us()));
  const Pod& pod = *machine->pod();
  TRY_ASSIGN(std::string container, choose_container(pod, query.get("container")));
  const runtime::ContainerStatus* status = machine->container(container, options.previous);
  if (status == nullptr && options.previous) {
    return make_error(Code::kBadRequest,
                      fmt::format("previous terminated container \"{}\" in pod \"{}\" not found",
                                  container, pod.name()));
  }
  if (status == nullptr) {
    return make_error(Code::kBadRequest,
                      fmt::format("container \"{}\" in pod \"{}\" is waiting to start: {}",
                                  container, pod.name(), waiting_reason(pod, container)));
  }
  std::string path =
      fmt::format("{}/{}/{}.log", agent_.log_folder(pod), container, status->attempt);
  auto running = [this, name, container, id = status->id] {
    const PodMachine* m = agent_.find(name.ns, name.name);
    const runtime::ContainerStatus* s = m != nullptr ? m->container(container, false) : nullptr;
    return s != nullptr && s->id == id && s->state != runtime::ContainerState::kExited;
  };
  auto holder = std::make_shared<std::weak_ptr<LogStream>>();
  std::weak_ptr<bool> alive = alive_;
  auto over = [this, alive, holder] {
    if (!alive.expired()) followers_.erase(holder->lock());
  };
  bool follow = options.follow;
  TRY_ASSIGN(auto stream,
             LogStream::start(loop_, agent_.offload(), exchange, {path, running}, options, over));
  *holder = stream;
  if (follow && exchange->open()) followers_.insert(stream);
  return {};
}

Result<void> NodeApi::exec(const net::ExchangePtr& exchange, const NamespacedName& name,
                           const net::Query& query, bool attach) {
  TRY_ASSIGN(const PodMachine* machine, find(name));
  const Pod& pod = *machine->pod();
  TRY_ASSIGN(std::string container, choose_container(pod, query.get("container")));
  const runtime::ContainerStatus* status = machine->container(container, false);
  if (status == nullptr || status->state != runtime::ContainerState::kRunning) {
    return make_error(Code::kNotFound, fmt::format("container not found (\"{}\")", container));
  }
  ExecRequest request;
  request.attach = attach;
  request.container_id = status->id;
  for (std::string_view word : query.all("command")) request.command.emplace_back(word);
  if (!attach && request.command.empty()) {
    return make_error(Code::kBadRequest, "you must specify at least one command for the container");
  }
  request.wanted.stdin_open = flag(query, "stdin") || flag(query, "input");
  request.wanted.stdout_open = flag(query, "stdout") || flag(query, "output");
  request.wanted.stderr_open = flag(query, "stderr") || flag(query, "error");
  request.wanted.tty = flag(query, "tty");
  if (request.wanted.tty) request.wanted.stderr_open = false;
  if (!request.wanted.stdin_open && !request.wanted.stdout_open && !request.wanted.stderr_open) {
    return make_error(Code::kBadRequest, "you must specify at least 1 of stdin, stdout, stderr");
  }
  return start_exec_session(exchange, loop_, agent_.runtime(), std::move(request));
}

Result<void> NodeApi::port_forward(const net::ExchangePtr& exchange, const NamespacedName& name,
                                   const net::Query& query) {
  TRY_ASSIGN(const PodMachine* machine, find(name));
  if (machine->state() != PodMachine::State::kRunning) {
    return make_error(Code::kBadRequest,
                      fmt::format("unable to forward port because pod is not "
                                  "running. Current status={}",
                                  machine->pod()->status()["phase"].as_string()));
  }
  PortForwardTarget target{machine->sandbox_id(), machine->pod()->name()};
  return start_port_forward(exchange, loop_, agent_.runtime(), std::move(target), query);
}

Result<void> NodeApi::proxy_pod(const net::ExchangePtr& exchange, const std::string& ns,
                                const std::string& name, const std::string& path,
                                const std::string& query) {
  ProxyName parsed = parse_proxy_name(name);
  TRY_ASSIGN(const PodMachine* machine, find({ns, parsed.name}));
  if (machine->pod_ips().empty()) {
    return make_error(Code::kBadRequest, "address not allowed");
  }
  std::string port = parsed.port;
  for (const ContainerSpec& c : machine->pod()->containers()) {
    const Value& first = (*c.spec)["ports"][0];
    if (port.empty() && first.is_object()) {
      port = std::to_string(first["containerPort"].as_int());
    }
  }
  std::string address = machine->pod_ips()[0] + (port.empty() ? "" : ":" + port);
  proxy_.pass(exchange, {parsed.scheme + "://" + address + path + query_text(query), ""});
  return {};
}

void NodeApi::pods(const net::ExchangePtr& exchange) const {
  std::string list = R"({"kind":"PodList","apiVersion":"v1","metadata":{},"items":[)";
  bool first = true;
  for (const PodMachine* machine : agent_.pods()) {
    if (!first) list += ',';
    first = false;
    list += machine->pod()->object()->json;
  }
  list += "]}\n";
  exchange->respond(200, {{"Content-Type", "application/json"}}, std::move(list));
}

// What the node and its pods use; false: the path is another.
bool NodeApi::use(const net::ExchangePtr& exchange, std::string_view path,
                  const net::Query& query) {
  using Depth = Sampler::Depth;
  if (path.ends_with('/')) path.remove_suffix(1);
  if (path == "/stats/summary") {
    bool brief = flag(query, "only_cpu_and_memory");
    sampler_.take(brief ? Depth::kUsage : Depth::kFiles,
                  [exchange, brief](const NodeSample& sample) {
                    if (!sample.complete) return too_late(exchange);
                    exchange->respond(200, {{"Content-Type", "application/json"}},
                                      json::write(stats_summary(sample, brief)));
                  });
    return true;
  }
  struct View {
    std::string_view path;
    Depth depth;
    std::string (*text)(const NodeSample&);
  };
  static const View views[] = {
      {"/metrics", Depth::kDisks, kubelet_metrics},
      {"/metrics/cadvisor", Depth::kUsage, cadvisor_metrics},
      {"/metrics/probes", Depth::kUsage, probe_metrics},
      {"/metrics/resource", Depth::kUsage, resource_metrics},
  };
  for (const View& view : views) {
    if (path != view.path) continue;
    sampler_.take(view.depth, [exchange, text = view.text](const NodeSample& sample) {
      if (!sample.complete) return too_late(exchange);
      exchange->respond(200, {{"Content-Type", kMetricsType}}, text(sample));
    });
    return true;
  }
  return false;
}

Result<void> NodeApi::node_path(const net::ExchangePtr& exchange, const std::string& path,
                                const net::Query& query) {
  std::vector<std::string> parts = parts_of(path);
  if (path == "/healthz") {
    exchange->respond(200, {{"Content-Type", "text/plain; charset=utf-8"}}, "ok");
    return {};
  }
  if (path == "/pods" || path == "/pods/") {
    pods(exchange);
    return {};
  }
  if (use(exchange, path, query)) return {};
  if (parts.size() >= 3) {
    NamespacedName pod{parts[1], parts[2]};
    net::Query with_container = query;
    if (parts.size() == 4) with_container.add("container", parts[3]);
    if (parts[0] == "containerLogs") return log(exchange, pod, with_container);
    // A uid may stand between the pod and the container.
    if (parts.size() == 5) with_container.add("container", parts[4]);
    if (parts[0] == "exec") return exec(exchange, pod, with_container, false);
    if (parts[0] == "attach") return exec(exchange, pod, with_container, true);
    if (parts[0] == "portForward") return port_forward(exchange, pod, query);
  }
  return make_error(Code::kNotFound, "404 page not found");
}

}  // namespace knarr::agent
