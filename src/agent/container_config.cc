#include "agent/container_config.h"

#include <map>

#include "agent/pod_resources.h"
#include "base/file.h"
#include "base/format.h"

namespace knarr::agent {

using json::Value;

namespace {

constexpr size_t kMaxTerminationMessage = 4096;
constexpr size_t kMaxFallbackLines = 80;
constexpr size_t kMaxFallbackBytes = 2048;

bool mounts_at(const std::vector<runtime::Mount>& mounts, const std::string& path) {
  for (const runtime::Mount& m : mounts) {
    if (m.container_path == path) return true;
  }
  return false;
}

std::vector<std::string> expanded(const Value& list, const Environment& environment) {
  std::map<std::string, std::string> values(environment.begin(), environment.end());
  std::vector<std::string> out;
  for (const Value& v : list.elements()) out.push_back(expand(v.as_string(), values));
  return out;
}

// The text of the last lines of a log in CRI format.
std::string tail_of_log(const std::string& log) {
  std::vector<std::string_view> lines;
  std::string_view rest = log;
  while (!rest.empty()) {
    size_t end = rest.find('\n');
    lines.push_back(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  std::string text;
  size_t first = lines.size() > kMaxFallbackLines ? lines.size() - kMaxFallbackLines : 0;
  for (size_t i = first; i < lines.size(); i++) {
    size_t tag = lines[i].find(' ');
    tag = tag == std::string_view::npos ? tag : lines[i].find(' ', tag + 1);
    tag = tag == std::string_view::npos ? tag : lines[i].find(' ', tag + 1);
    if (tag == std::string_view::npos) continue;
    text += lines[i].substr(tag + 1);
    text += '\n';
  }
  return text.size() > kMaxFallbackBytes ? text.substr(text.size() - kMaxFallbackBytes) : text;
}

}  // namespace

// The objects of one container's environment, fetched one after the other.
struct Configurer::Lookup {
  Input input;
  Callback<runtime::ContainerConfig> done;
  std::vector<ObjectName> wanted;
  ObjectData found;
};

Configurer::Configurer(ConfigurerOptions options, const NodeFacts& node, client::Client& client,
                       PodVolumes& volumes, Services services)
    : options_(std::move(options)),
      node_(node),
      client_(client),
      volumes_(volumes),
      services_(std::move(services)) {}

Configurer::~Configurer() { *alive_ = false; }

std::string Configurer::pod_folder(const Pod& pod) const {
  return options_.pods_dir + "/" + pod.uid();
}

std::string Configurer::log_folder(const Pod& pod) const {
  return options_.logs_dir + "/" + pod.ns() + "_" + pod.name() + "_" + pod.uid();
}

std::string Configurer::message_path(const Pod& pod, const std::string& container,
                                     uint32_t attempt) const {
  return fmt::format("{}/containers/{}/{}", pod_folder(pod), container, attempt);
}

void Configurer::configure(Input input, Callback<runtime::ContainerConfig> done) {
  if (auto allowed = check_non_root(*input.pod, *input.container, input.image); !allowed.ok()) {
    done(allowed.error());
    return;
  }
  auto lookup = std::make_shared<Lookup>();
  lookup->wanted = referenced_objects(*input.container->spec);
  lookup->input = std::move(input);
  lookup->done = std::move(done);
  look_up(std::move(lookup));
}

void Configurer::look_up(std::shared_ptr<Lookup> lookup) {
  if (lookup->wanted.empty()) {
    lookup->done(build(lookup->input, lookup->found));
    return;
  }
  ObjectName object = lookup->wanted.back();
  lookup->wanted.pop_back();
  client::Request request;
  request.target = {
      "", "v1", object.secret ? "secrets" : "configmaps", lookup->input.pod->ns(), object.name, ""};
  std::weak_ptr<bool> alive = alive_;
  client_.call(std::move(request), [this, alive, lookup, object](Result<ObjectRef> reply) {
    if (alive.expired()) return;
    if (reply.ok()) {
      auto value = json::parse((*reply)->json);
      if (value.ok()) lookup->found[object] = object_data(*value, object.secret);
    } else if (reply.error().code != Code::kNotFound) {
      lookup->done(reply.error());
      return;
    }
    look_up(lookup);
  });
}

Result<runtime::ContainerConfig> Configurer::build(const Input& input, const ObjectData& objects) {
  const Pod& pod = *input.pod;
  const Value& spec = *input.container->spec;
  runtime::ContainerConfig config;
  config.name = input.container->name;
  config.attempt = input.attempt;
  config.image_id = input.image.id;
  config.image_ref = spec["image"].text();
  std::vector<Value> services;
  if (services_) services = services_(pod.ns());
  TRY_ASSIGN(config.env,
             make_environment({pod, *input.container, node_, input.pod_ips, objects, services}));
  config.command = expanded(spec["command"], config.env);
  config.args = expanded(spec["args"], config.env);
  config.working_dir = spec["workingDir"].text();
  TRY_ASSIGN(config.mounts, volumes_.mounts(input.pod, *input.container, config.env));
  TRY(add_files(input, config));
  config.stdin_open = spec["stdin"].as_bool();
  config.stdin_once = spec["stdinOnce"].as_bool();
  config.tty = spec["tty"].as_bool();
  config.resources = container_resources(pod, spec, node_.memory_bytes);
  config.security = security_of(pod, spec);
  config.labels = {{"io.kubernetes.pod.uid", pod.uid()},
                   {"io.kubernetes.pod.name", pod.name()},
                   {"io.kubernetes.pod.namespace", pod.ns()},
                   {"io.kubernetes.container.name", config.name}};
  return config;
}

Result<void> Configurer::add_files(const Input& input, runtime::ContainerConfig& config) {
  const Pod& pod = *input.pod;
  std::string folder = pod_folder(pod);
  TRY(base::make_dirs(folder, 0750));
  HostName host = host_name_of(pod, options_.dns, node_.hostname);
  auto add = [&](const char* name, const char* path, const std::string& content) -> Result<void> {
    if (mounts_at(config.mounts, path)) return {};
    std::string file = folder + "/" + name;
    TRY(base::write_file(file, content, 0644, base::Durability::kPlain));
    config.mounts.push_back({file, path, false, runtime::Mount::Propagation::kPrivate});
    return {};
  };
  auto of_node = [](const std::string& path) {
    auto text = base::read_file(path);
    return text.ok() ? *std::move(text) : std::string();
  };
  TRY(add("etc-hosts", "/etc/hosts",
          hosts_file(pod, host, input.pod_ips, of_node(options_.node_hosts_path))));
  TRY(add("hostname", "/etc/hostname", hostname_of(pod, host) + "\n"));
  TRY(add("resolv.conf", "/etc/resolv.conf",
          resolv_conf(pod, options_.dns, of_node(options_.node_resolv_conf_path))));

  std::string message_file = message_path(pod, config.name, config.attempt);
  TRY(base::make_dirs(message_file.substr(0, message_file.rfind('/')), 0750));
  TRY(base::write_file(message_file, "", 0666, base::Durability::kPlain));
  std::string at(
      (*input.container->spec)["terminationMessagePath"].as_string("/dev/termination-log"));
  config.mounts.push_back({message_file, at, false, runtime::Mount::Propagation::kPrivate});

  std::string logs = log_folder(pod) + "/" + config.name;
  TRY(base::make_dirs(logs));
  config.log_path = fmt::format("{}/{}.log", logs, config.attempt);
  return {};
}

Result<runtime::SandboxConfig> Configurer::sandbox(const Pod& pod, uint32_t attempt) {
  const Value& spec = pod.spec();
  runtime::SandboxConfig config;
  config.pod_uid = pod.uid();
  config.pod_name = pod.name();
  config.pod_namespace = pod.ns();
  config.attempt = attempt;
  config.hostname = hostname_of(pod, host_name_of(pod, options_.dns, node_.hostname));
  config.cgroup_parent = pod_cgroup(pod);
  using runtime::NamespaceMode;
  config.network = pod.host_network() ? NamespaceMode::kNode : NamespaceMode::kPod;
  config.ipc = spec["hostIPC"].as_bool() ? NamespaceMode::kNode : NamespaceMode::kPod;
  config.pid = spec["hostPID"].as_bool()                 ? NamespaceMode::kNode
               : spec["shareProcessNamespace"].as_bool() ? NamespaceMode::kPod
                                                         : NamespaceMode::kContainer;
  for (const Value& s : spec["securityContext"]["sysctls"].elements()) {
    std::string name = s["name"].text();
    for (char& c : name) c = c == '/' ? '.' : c;
    config.sysctls[name] = s["value"].text();
  }
  return config;
}

std::string Configurer::termination_message(const Pod& pod, const ContainerSpec& container,
                                            const runtime::ContainerStatus& status) {
  auto file = base::read_file(message_path(pod, container.name, status.attempt));
  std::string message = file.ok() ? *std::move(file) : std::string();
  bool fall_back =
      (*container.spec)["terminationMessagePolicy"].as_string() == "FallbackToLogsOnError";
  if (message.empty() && fall_back && status.exit_code != 0) {
    auto log = base::read_file(log_folder(pod) + "/" + container.name + "/" +
                               std::to_string(status.attempt) + ".log");
    if (log.ok()) message = tail_of_log(*log);
  }
  if (message.size() > kMaxTerminationMessage) message.resize(kMaxTerminationMessage);
  return message;
}

}  // namespace knarr::agent
