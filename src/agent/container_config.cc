#include "agent/container_config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "agent/pod_resources.h"
#include "base/file.h"
#include "base/format.h"
#include "base/unique_fd.h"

namespace knarr::agent {

using json::Value;

namespace {

constexpr size_t kMaxTerminationMessage = 4096;
constexpr size_t kMaxFallbackLines = 80;
constexpr size_t kMaxFallbackBytes = 2048;
// Of a log, whose lines carry more than their text.
constexpr int64_t kMaxLogTail = 64 << 10;

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

using FileContent = std::function<std::string()>;

struct NewFiles {
  std::string folder;                                         // of the pod
  std::string logs;                                           // of the container
  std::string message;                                        // the termination message's file
  std::vector<std::pair<std::string, FileContent>> contents;  // by path
};

std::string text_of(const std::string& path) {
  auto text = base::read_file(path);
  return text.ok() ? *std::move(text) : std::string();
}

// Blocks.
Result<void> write_files(const NewFiles& files) {
  TRY(base::make_dirs(files.folder, 0750));
  for (const auto& [path, content] : files.contents) {
    TRY(write_shared_file(path, content()));
  }
  TRY(base::make_dirs(files.message.substr(0, files.message.rfind('/')), 0750));
  TRY(base::write_file(files.message, "", 0666, base::Durability::kPlain));
  return base::make_dirs(files.logs);
}

// The end of a file, whole lines or not. A log can be large.
std::string end_of(const std::string& path, int64_t most_bytes) {
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  int64_t size = fd.valid() ? lseek(fd.get(), 0, SEEK_END) : 0;
  std::string text(static_cast<size_t>(std::clamp<int64_t>(size, 0, most_bytes)), '\0');
  ssize_t n = pread(fd.get(), text.data(), text.size(), std::max<int64_t>(size - most_bytes, 0));
  text.resize(static_cast<size_t>(std::max<ssize_t>(n, 0)));
  return text;
}

}  // namespace

Result<void> write_shared_file(const std::string& path, std::string_view text) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    return base::write_file(path, text, 0644, base::Durability::kPlain);
  }
  // Containers may write it: it is read only when it can be what it should.
  if (info.st_size == static_cast<off_t>(text.size())) {
    auto before = base::read_file(path);
    if (before.ok() && *before == text) return {};
  }
  base::UniqueFd fd(open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  if (!fd.valid() ||
      write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return errno_error(errno, "write " + path);
  }
  return {};
}

// The objects of one container's environment, fetched one after the other.
struct Configurer::Lookup {
  Input input;
  Callback<runtime::ContainerConfig> done;
  std::vector<ObjectName> wanted;
  ObjectData found;
};

Configurer::Configurer(ConfigurerOptions options, const NodeFacts& node, client::Client& client,
                       PodVolumes& volumes, Offload& offload, Services services)
    : options_(std::move(options)),
      node_(node),
      client_(client),
      volumes_(volumes),
      offload_(offload),
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
    auto config = build(lookup->input, lookup->found);
    if (!config.ok()) return lookup->done(config.error());
    mount(std::move(lookup), *std::move(config));
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
  config.stdin_open = spec["stdin"].as_bool();
  config.stdin_once = spec["stdinOnce"].as_bool();
  config.tty = spec["tty"].as_bool();
  config.resources = resources(pod, *input.container);
  config.security = security_of(pod, spec);
  config.pid_target = input.pid_target;
  config.labels = {{"io.kubernetes.pod.uid", pod.uid()},
                   {"io.kubernetes.pod.name", pod.name()},
                   {"io.kubernetes.pod.namespace", pod.ns()},
                   {"io.kubernetes.container.name", config.name}};
  return config;
}

void Configurer::mount(std::shared_ptr<Lookup> lookup, runtime::ContainerConfig config) {
  std::weak_ptr<bool> alive = alive_;
  const Input& input = lookup->input;
  volumes_.mounts(
      input.pod, *input.container, config.env,
      [this, alive, lookup, config](Result<std::vector<runtime::Mount>> mounts) mutable {
        if (alive.expired()) return;
        if (!mounts.ok()) return lookup->done(mounts.error());
        config.mounts = *std::move(mounts);
        add_files(lookup, std::move(config));
      });
}

// The files that every container gets, where the pod mounts none of its own.
void Configurer::add_files(std::shared_ptr<Lookup> lookup, runtime::ContainerConfig config) {
  const Input& input = lookup->input;
  const Pod& pod = *input.pod;
  HostName host = host_name_of(pod, options_.dns, node_.hostname);
  NewFiles files{pod_folder(pod),
                 log_folder(pod) + "/" + config.name,
                 message_path(pod, config.name, config.attempt),
                 {}};
  auto add = [&](const char* name, const char* path, FileContent content) {
    if (mounts_at(config.mounts, path)) return;
    std::string file = files.folder + "/" + name;
    config.mounts.push_back({file, path, false, runtime::Mount::Propagation::kPrivate});
    files.contents.emplace_back(file, std::move(content));
  };
  add("etc-hosts", "/etc/hosts",
      [pod = input.pod, host, ips = input.pod_ips, from = options_.node_hosts_path] {
        return hosts_file(*pod, host, ips, text_of(from));
      });
  add("hostname", "/etc/hostname", [text = hostname_of(pod, host) + "\n"] { return text; });
  auto omitted = std::make_shared<std::vector<std::string>>();
  add("resolv.conf", "/etc/resolv.conf",
      [pod = input.pod, dns = options_.dns, from = options_.node_resolv_conf_path, omitted] {
        return resolv_conf(*pod, dns, text_of(from), omitted.get());
      });
  std::string at(
      (*input.container->spec)["terminationMessagePath"].as_string("/dev/termination-log"));
  config.mounts.push_back({files.message, at, false, runtime::Mount::Propagation::kPrivate});
  config.log_path = fmt::format("{}/{}.log", files.logs, config.attempt);
  offload_.run(
      pod.uid(), [files = std::move(files)] { return write_files(files); },
      [lookup, config = std::move(config), omitted, events = options_.events,
       alive = std::weak_ptr<bool>(alive_)](const Result<void>& written) {
        for (const std::string& what : *omitted) {
          if (events == nullptr || alive.expired()) break;
          events->warning(*lookup->input.pod, "", "DNSConfigForming", what);
        }
        if (!written.ok()) return lookup->done(written.error());
        lookup->done(config);
      });
}

Result<runtime::SandboxConfig> Configurer::sandbox(const Pod& pod, uint32_t attempt) {
  const Value& spec = pod.spec();
  if (!spec["hostUsers"].as_bool(true)) {
    return make_error(
        Code::kInvalid,
        "can't set `spec.hostUsers: false`, runtime does not support user namespaces");
  }
  runtime::SandboxConfig config;
  config.pod_uid = pod.uid();
  config.pod_name = pod.name();
  config.pod_namespace = pod.ns();
  config.attempt = attempt;
  config.hostname = hostname_of(pod, host_name_of(pod, options_.dns, node_.hostname));
  config.cgroup_parent = pod_cgroup(pod);
  config.resources = pod_group_resources(pod);
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

runtime::Resources Configurer::resources(const Pod& pod, const ContainerSpec& container) {
  return container_resources(pod, container, node_.memory_bytes);
}

std::string Configurer::termination_message(const Pod& pod, const ContainerSpec& container,
                                            const runtime::ContainerStatus& status) {
  // The container may have made it as large as it likes.
  std::string message =
      end_of(message_path(pod, container.name, status.attempt), kMaxTerminationMessage);
  bool fall_back =
      (*container.spec)["terminationMessagePolicy"].as_string() == "FallbackToLogsOnError";
  if (message.empty() && fall_back && status.exit_code != 0) {
    message = tail_of_log(end_of(
        log_folder(pod) + "/" + container.name + "/" + std::to_string(status.attempt) + ".log",
        kMaxLogTail));
  }
  if (message.size() > kMaxTerminationMessage) message.resize(kMaxTerminationMessage);
  return message;
}

}  // namespace knarr::agent
