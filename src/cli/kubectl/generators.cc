#include "cli/kubectl/generators.h"

#include <charconv>

#include "api/codec/scalars.h"
#include "base/base64.h"
#include "base/file.h"
#include "base/format.h"
#include "cli/kubectl/bad.h"

namespace knarr::kubectl {

namespace {

using json::Value;
using Words = std::vector<std::string>;

Value object_of(const char* api_version, const char* kind, const std::string& name) {
  return Value::object(
      {{"apiVersion", api_version}, {"kind", kind}, {"metadata", Value::object({{"name", name}})}});
}

Value texts(const Words& words) {
  Value list = Value::array();
  for (const std::string& word : words) list.push_back(word);
  return list;
}

// "10.0.0.1:5000/a/httpd:2@sha256:..." -> "httpd".
std::string image_name(const std::string& image) {
  std::string name = image.substr(image.rfind('/') + 1);
  name = name.substr(0, name.find_first_of("@:"));
  for (char& c : name) {
    if (c == '_' || c == '.') c = '-';
  }
  return name;
}

Result<int64_t> port_number(const std::string& text) {
  int64_t port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port < 1 || port > 65535) {
    return bad(fmt::format("invalid port number \"{}\"", text));
  }
  return port;
}

Result<Value> deployment(const std::string& name, const Words& command, const Flags& flags) {
  Words images = flags.all("image");
  if (images.empty()) return bad("required flag(s) \"image\" not set");
  if (images.size() > 1 && !command.empty()) {
    return bad("cannot specify multiple --image options and command");
  }
  Value containers = Value::array();
  for (const std::string& image : images) {
    Value container = Value::object({{"image", image}, {"name", image_name(image)}});
    if (!command.empty()) container.set("command", texts(command));
    if (flags.has("port")) {
      TRY_ASSIGN(int64_t port, port_number(flags.text("port")));
      container.set("ports", Value::array({Value::object({{"containerPort", port}})}));
    }
    containers.push_back(std::move(container));
  }
  TRY_ASSIGN(int64_t replicas, flags.number("replicas", 1));
  Value labels = Value::object({{"app", name}});
  Value object = object_of("apps/v1", "Deployment", name);
  object.member("metadata").set("labels", labels);
  Value pod_template = Value::object({{"metadata", Value::object({{"labels", labels}})},
                                      {"spec", Value::object({{"containers", containers}})}});
  object.set("spec", Value::object({{"replicas", replicas},
                                    {"selector", Value::object({{"matchLabels", labels}})},
                                    {"template", pod_template}}));
  return object;
}

Value job_spec(const std::string& name, const Words& command, const Flags& flags,
               const char* restart) {
  Value container = Value::object({{"image", flags.text("image")}, {"name", name}});
  if (!command.empty()) container.set("command", texts(command));
  Value pod = Value::object({{"containers", Value::array({container})},
                             {"restartPolicy", flags.text("restart", restart)}});
  return Value::object({{"template", Value::object({{"spec", pod}})}});
}

Result<Value> job(const std::string& name, const Words& command, const Flags& flags) {
  if (!flags.has("image")) return bad("either --image or --from must be specified");
  Value object = object_of("batch/v1", "Job", name);
  object.set("spec", job_spec(name, command, flags, "Never"));
  return object;
}

Result<Value> cron_job(const std::string& name, const Words& command, const Flags& flags) {
  if (!flags.has("image") || !flags.has("schedule")) {
    return bad("required flag(s) \"image\", \"schedule\" not set");
  }
  Value object = object_of("batch/v1", "CronJob", name);
  Value template_of_job = Value::object({{"metadata", Value::object({{"name", name}})},
                                         {"spec", job_spec(name, command, flags, "OnFailure")}});
  object.set("spec", Value::object(
                         {{"jobTemplate", template_of_job}, {"schedule", flags.text("schedule")}}));
  return object;
}

// --from-literal, --from-file and --from-env-file, as key and bytes.
Result<std::vector<std::pair<std::string, std::string>>> read_data(const Flags& flags) {
  std::vector<std::pair<std::string, std::string>> data;
  for (const std::string& literal : flags.all("from-literal")) {
    size_t equals = literal.find('=');
    if (equals == std::string::npos || equals == 0) {
      return bad(fmt::format("invalid literal source {}, expected key=value", literal));
    }
    std::string value = literal.substr(equals + 1);
    if (value.size() > 1 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0]) {
      value = value.substr(1, value.size() - 2);
    }
    data.emplace_back(literal.substr(0, equals), std::move(value));
  }
  for (const std::string& source : flags.all("from-file")) {
    size_t equals = source.find('=');
    std::string path = equals == std::string::npos ? source : source.substr(equals + 1);
    std::string key =
        equals == std::string::npos ? path.substr(path.rfind('/') + 1) : source.substr(0, equals);
    TRY_ASSIGN(std::string content, base::read_file(path));
    data.emplace_back(std::move(key), std::move(content));
  }
  for (const std::string& path : flags.all("from-env-file")) {
    TRY_ASSIGN(std::string content, base::read_file(path));
    for (const std::string& line : split(content, '\n')) {
      size_t begin = line.find_first_not_of(" \t\r");
      if (begin == std::string::npos || line[begin] == '#') continue;
      size_t equals = line.find('=', begin);
      if (equals == std::string::npos) continue;
      data.emplace_back(line.substr(begin, equals - begin), line.substr(equals + 1));
    }
  }
  return data;
}

Result<Value> config_map(const std::string& name, const Flags& flags) {
  TRY_ASSIGN(auto data, read_data(flags));
  Value object = object_of("v1", "ConfigMap", name);
  for (const auto& [key, bytes] : data) {
    if (api::is_utf8(bytes)) {
      object.member("data").set(key, bytes);
    } else {
      object.member("binaryData").set(key, base::base64_encode(bytes));
    }
  }
  return object;
}

Result<Value> secret(const Words& words, const Flags& flags) {
  if (words.size() < 3) return bad("exactly one NAME is required, got 0");
  Value object = object_of("v1", "Secret", words[2]);
  auto set = [&](const std::string& key, const std::string& bytes) {
    object.member("data").set(key, base::base64_encode(bytes));
  };
  if (words[1] == "generic") {
    TRY_ASSIGN(auto data, read_data(flags));
    for (const auto& [key, bytes] : data) set(key, bytes);
    if (flags.has("type")) object.set("type", flags.text("type"));
  } else if (words[1] == "tls") {
    TRY_ASSIGN(std::string cert, base::read_file(flags.text("cert")));
    TRY_ASSIGN(std::string key, base::read_file(flags.text("key")));
    set("tls.crt", cert);
    set("tls.key", key);
    object.set("type", "kubernetes.io/tls");
  } else if (words[1] == "docker-registry") {
    std::string user = flags.text("docker-username");
    std::string password = flags.text("docker-password");
    Value login = Value::object({{"username", user},
                                 {"password", password},
                                 {"auth", base::base64_encode(user + ":" + password)}});
    std::string server = flags.text("docker-server", "https://index.docker.io/v1/");
    Value config = Value::object({{"auths", Value::object({{server, login}})}});
    set(".dockerconfigjson", json::write(config));
    object.set("type", "kubernetes.io/dockerconfigjson");
  } else {
    return bad(fmt::format("unknown command \"{}\"", words[1]));
  }
  return object;
}

Result<Value> service(const Words& words, const Flags& flags) {
  if (words.size() < 3) return bad("exactly one NAME is required, got 0");
  const std::string& name = words[2];
  const char* type = words[1] == "clusterip"      ? "ClusterIP"
                     : words[1] == "nodeport"     ? "NodePort"
                     : words[1] == "loadbalancer" ? "LoadBalancer"
                     : words[1] == "externalname" ? "ExternalName"
                                                  : nullptr;
  if (type == nullptr) return bad(fmt::format("unknown command \"{}\"", words[1]));
  Value spec = Value::object({{"type", type}});
  spec.set("selector", Value::object({{"app", name}}));
  for (const std::string& pair : flags.all("tcp")) {
    size_t colon = pair.find(':');
    TRY_ASSIGN(int64_t port, port_number(pair.substr(0, colon)));
    Value entry = Value::object({{"port", port}, {"protocol", "TCP"}});
    std::string target = colon == std::string::npos ? pair : pair.substr(colon + 1);
    auto number = port_number(target);
    entry.set("targetPort", number.ok() ? Value(*number) : Value(target));
    entry.set("name", colon == std::string::npos ? pair : pair.substr(0, colon) + "-" + target);
    spec.member("ports").push_back(std::move(entry));
  }
  if (flags.has("clusterip")) spec.set("clusterIP", flags.text("clusterip"));
  if (flags.has("external-name")) spec.set("externalName", flags.text("external-name"));
  Value object = object_of("v1", "Service", name);
  object.member("metadata").set("labels", Value::object({{"app", name}}));
  object.set("spec", std::move(spec));
  return object;
}

}  // namespace

Result<Value> parse_pairs(const std::string& text) {
  Value pairs = Value::object();
  if (text.empty()) return pairs;
  for (const std::string& part : split(text, ',')) {
    size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0) {
      return bad(fmt::format("unexpected label spec: {}", part));
    }
    pairs.set(part.substr(0, equals), part.substr(equals + 1));
  }
  return pairs;
}

Result<Value> generate_object(const Words& words, const Words& command, const Flags& flags) {
  const std::string& kind = words[0];
  if (kind == "secret") return secret(words, flags);
  if (kind == "service" || kind == "svc") return service(words, flags);
  bool known = false;
  for (const char* name : {"deployment", "deploy", "namespace", "ns", "configmap", "cm", "job",
                           "serviceaccount", "sa", "cronjob", "cj"}) {
    known = known || kind == name;
  }
  if (!known) return bad(fmt::format("unknown command \"{}\"", kind));
  if (words.size() != 2) {
    return bad(fmt::format("exactly one NAME is required, got {}", words.size() - 1));
  }
  const std::string& name = words[1];
  if (kind.starts_with("deploy")) return deployment(name, command, flags);
  if (kind == "namespace" || kind == "ns") return object_of("v1", "Namespace", name);
  if (kind == "configmap" || kind == "cm") return config_map(name, flags);
  if (kind == "job") return job(name, command, flags);
  if (kind == "cronjob" || kind == "cj") return cron_job(name, command, flags);
  return object_of("v1", "ServiceAccount", name);
}

Result<Value> generate_pod(const std::string& name, const Words& arguments, const Flags& flags) {
  if (!flags.has("image")) return bad("required flag(s) \"image\" not set");
  Value container = Value::object({{"image", flags.text("image")}, {"name", name}});
  if (!arguments.empty())
    container.set(flags.yes("command") ? "command" : "args", texts(arguments));
  for (const std::string& variable : flags.all("env")) {
    size_t equals = variable.find('=');
    if (equals == std::string::npos || equals == 0) {
      return bad("invalid env: " + variable);
    }
    container.member("env").push_back(Value::object(
        {{"name", variable.substr(0, equals)}, {"value", variable.substr(equals + 1)}}));
  }
  if (flags.has("port")) {
    TRY_ASSIGN(int64_t port, port_number(flags.text("port")));
    container.set("ports", Value::array({Value::object({{"containerPort", port}})}));
  }
  if (flags.has("image-pull-policy")) {
    container.set("imagePullPolicy", flags.text("image-pull-policy"));
  }
  if (flags.yes("stdin")) {
    container.set("stdin", true).set("stdinOnce", !flags.yes("leave-stdin-open"));
  }
  if (flags.yes("tty")) container.set("tty", true);
  Value object = object_of("v1", "Pod", name);
  TRY_ASSIGN(Value labels, parse_pairs(flags.text("labels", "run=" + name)));
  object.member("metadata").set("labels", std::move(labels));
  if (flags.has("annotations")) {
    TRY_ASSIGN(Value annotations, parse_pairs(flags.text("annotations")));
    object.member("metadata").set("annotations", std::move(annotations));
  }
  object.set("spec", Value::object({{"containers", Value::array({container})},
                                    {"dnsPolicy", "ClusterFirst"},
                                    {"restartPolicy", flags.text("restart", "Always")}}));
  if (flags.has("overrides")) {
    TRY_ASSIGN(Value overrides, json::parse(flags.text("overrides")));
    object.set("spec", overrides["spec"].is_null() ? object["spec"] : overrides["spec"]);
  }
  return object;
}

Result<Value> generate_service(const Value& exposed, const Flags& flags) {
  const Value& spec = exposed["spec"];
  std::string kind = exposed["kind"].text();
  Value selector = kind == "Service" || kind == "ReplicationController" ? spec["selector"]
                   : kind == "Pod" ? exposed["metadata"]["labels"]
                                   : spec["selector"]["matchLabels"];
  if (flags.has("selector")) {
    TRY_ASSIGN(selector, parse_pairs(flags.text("selector")));
  }
  if (selector.empty()) {
    return bad(
        "couldn't retrieve selectors via --selector flag or introspection: the object has "
        "no labels or selector, the service would have none");
  }
  Value ports = Value::array();
  std::string protocol = flags.text("protocol", "TCP");
  auto add = [&](int64_t port, Value target) {
    Value entry = Value::object({{"port", port}, {"protocol", protocol}});
    entry.set("targetPort", std::move(target));
    ports.push_back(std::move(entry));
  };
  std::string target = flags.text("target-port");
  auto target_number = port_number(target);
  if (flags.has("port")) {
    TRY_ASSIGN(int64_t port, port_number(flags.text("port")));
    add(port, target.empty()       ? Value(port)
              : target_number.ok() ? Value(*target_number)
                                   : Value(target));
  } else {
    const Value& pod_spec = kind == "Pod" ? spec : spec["template"]["spec"];
    for (const Value& container : pod_spec["containers"].elements()) {
      for (const Value& port : container["ports"].elements()) {
        add(port["containerPort"].as_int(), port["containerPort"]);
      }
    }
    for (const Value& port : spec["ports"].elements()) add(port["port"].as_int(), port["port"]);
    for (size_t i = 0; ports.size() > 1 && i < ports.size(); i++) {
      ports.at(i).set("name", fmt::format("port-{}", i + 1));
    }
  }
  if (ports.empty()) return bad("couldn't find port via --port flag or introspection");
  std::string name = flags.text("name", exposed["metadata"]["name"].as_string());
  Value object = object_of("v1", "Service", name);
  Value labels = exposed["metadata"]["labels"];
  if (flags.has("labels")) {
    TRY_ASSIGN(labels, parse_pairs(flags.text("labels")));
  }
  if (!labels.empty()) object.member("metadata").set("labels", std::move(labels));
  Value service = Value::object({{"ports", std::move(ports)}, {"selector", std::move(selector)}});
  if (flags.has("type")) service.set("type", flags.text("type"));
  if (flags.has("cluster-ip")) service.set("clusterIP", flags.text("cluster-ip"));
  if (flags.has("session-affinity")) service.set("sessionAffinity", flags.text("session-affinity"));
  object.set("spec", std::move(service));
  return object;
}

}  // namespace knarr::kubectl
