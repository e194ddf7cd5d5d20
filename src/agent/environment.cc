#include "agent/environment.h"

#include <set>

#include "base/ascii.h"
#include "base/base64.h"
#include "base/format.h"

namespace knarr::agent {

using json::Value;

namespace {

// Variables in order of their first mention; a later value replaces an earlier one in place.
class Variables {
 public:
  void set(const std::string& name, const std::string& value) {
    auto [it, added] = values_.insert_or_assign(name, value);
    if (added) order_.push_back(name);
  }
  const std::map<std::string, std::string>& values() const { return values_; }
  Environment list() const {
    Environment out;
    for (const std::string& name : order_) out.emplace_back(name, values_.at(name));
    return out;
  }

 private:
  std::vector<std::string> order_;
  std::map<std::string, std::string> values_;
};

Error not_found(const ObjectName& object) {
  return make_error(
      Code::kNotFound,
      fmt::format("{} \"{}\" not found", object.secret ? "secret" : "configmap", object.name));
}

Result<void> add_from(const EnvironmentInput& in, Variables& variables) {
  for (const Value& from : (*in.container.spec)["envFrom"].elements()) {
    bool secret = from.has("secretRef");
    const Value& ref = from[secret ? "secretRef" : "configMapRef"];
    ObjectName object{secret, ref["name"].text()};
    auto it = in.objects.find(object);
    if (it == in.objects.end()) {
      if (ref["optional"].as_bool()) continue;
      return not_found(object);
    }
    for (const auto& [key, value] : it->second) variables.set(from["prefix"].text() + key, value);
  }
  return {};
}

// A configMapKeyRef or secretKeyRef. found is false when it is absent and optional.
Result<std::string> key_value(const EnvironmentInput& in, const Value& ref, bool secret,
                              bool& found) {
  ObjectName object{secret, ref["name"].text()};
  bool optional = ref["optional"].as_bool();
  found = false;
  auto it = in.objects.find(object);
  if (it == in.objects.end()) {
    if (optional) return std::string();
    return not_found(object);
  }
  auto value = it->second.find(ref["key"].text());
  if (value == it->second.end()) {
    if (optional) return std::string();
    return make_error(Code::kNotFound,
                      fmt::format("couldn't find key {} in {} {}/{}", ref["key"].as_string(),
                                  secret ? "Secret" : "ConfigMap", in.pod.ns(), object.name));
  }
  found = true;
  return value->second;
}

Result<std::string> value_from(const EnvironmentInput& in, const Value& from, bool& found) {
  found = true;
  if (const Value& ref = from["fieldRef"]; ref.is_object()) {
    return field_value(in.pod, ref["fieldPath"].as_string(), in.node, in.pod_ips);
  }
  if (const Value& ref = from["resourceFieldRef"]; ref.is_object()) {
    return resource_value(in.pod, ref, &in.container, in.node);
  }
  if (const Value& ref = from["configMapKeyRef"]; ref.is_object()) {
    return key_value(in, ref, false, found);
  }
  return key_value(in, from["secretKeyRef"], true, found);
}

std::string variable_name(std::string_view name) {
  std::string out = base::upper(name);
  for (char& c : out) {
    if (c == '-' || c == '.') c = '_';
  }
  return out;
}

bool has_cluster_ip(const Value& service) {
  std::string_view ip = service["spec"]["clusterIP"].as_string();
  return !ip.empty() && ip != "None";
}

void add_port_links(const std::string& prefix, const std::string& ip, const Value& port,
                    Environment& out) {
  std::string protocol(port["protocol"].as_string("TCP"));
  std::string lower = base::lower(protocol);
  std::string number = std::to_string(port["port"].as_int());
  std::string link = fmt::format("{}_PORT_{}_{}", prefix, number, protocol);
  out.emplace_back(link, fmt::format("{}://{}:{}", lower, ip, number));
  out.emplace_back(link + "_PROTO", lower);
  out.emplace_back(link + "_PORT", number);
  out.emplace_back(link + "_ADDR", ip);
}

}  // namespace

std::vector<ObjectName> referenced_objects(const Value& container) {
  std::set<ObjectName> names;
  for (const Value& from : container["envFrom"].elements()) {
    for (const char* ref : {"configMapRef", "secretRef"}) {
      if (from.has(ref)) names.insert({ref[0] == 's', from[ref]["name"].text()});
    }
  }
  for (const Value& variable : container["env"].elements()) {
    for (const char* ref : {"configMapKeyRef", "secretKeyRef"}) {
      const Value& from = variable["valueFrom"][ref];
      if (from.is_object()) names.insert({ref[0] == 's', from["name"].text()});
    }
  }
  return {names.begin(), names.end()};
}

std::map<std::string, std::string> object_data(const Value& object, bool secret) {
  std::map<std::string, std::string> data;
  for (auto [key, value] : object["data"].members()) {
    data[std::string(key)] = secret ? bytes_of(value.as_string()) : value.text();
  }
  return data;
}

Environment service_variables(const std::vector<Value>& services) {
  Environment out;
  for (const Value& service : services) {
    if (!has_cluster_ip(service)) continue;
    const Value& ports = service["spec"]["ports"];
    if (ports.empty()) continue;
    std::string prefix = variable_name(service["metadata"]["name"].as_string());
    std::string ip = service["spec"]["clusterIP"].text();
    std::string first = std::to_string(ports[0]["port"].as_int());
    out.emplace_back(prefix + "_SERVICE_HOST", ip);
    out.emplace_back(prefix + "_SERVICE_PORT", first);
    for (const Value& port : ports.elements()) {
      if (port["name"].as_string().empty()) continue;
      out.emplace_back(prefix + "_SERVICE_PORT_" + variable_name(port["name"].as_string()),
                       std::to_string(port["port"].as_int()));
    }
    std::string protocol(ports[0]["protocol"].as_string("TCP"));
    std::string scheme = protocol == "UDP" ? "udp" : protocol == "SCTP" ? "sctp" : "tcp";
    out.emplace_back(prefix + "_PORT", fmt::format("{}://{}:{}", scheme, ip, first));
    for (const Value& port : ports.elements()) add_port_links(prefix, ip, port, out);
  }
  return out;
}

Result<Environment> make_environment(const EnvironmentInput& in) {
  Variables variables;
  Environment links = service_variables(in.services);
  TRY(add_from(in, variables));
  std::map<std::string, std::string> known = variables.values();
  for (const auto& [name, value] : links) known.emplace(name, value);
  for (const Value& variable : (*in.container.spec)["env"].elements()) {
    std::string name = variable["name"].text();
    std::string value;
    if (variable["valueFrom"].is_object()) {
      bool found = true;
      TRY_ASSIGN(value, value_from(in, variable["valueFrom"], found));
      if (!found) continue;
    } else {
      value = expand(variable["value"].as_string(), known);
    }
    known[name] = value;
    variables.set(name, value);
  }
  Environment out = variables.list();
  for (auto& [name, value] : links) {
    if (variables.values().count(name) == 0) out.emplace_back(name, value);
  }
  return out;
}

std::string expand(std::string_view text, const std::map<std::string, std::string>& values) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    if (text[i + 1] == '$') {
      out += '$';
      i++;
      continue;
    }
    size_t end = text[i + 1] == '(' ? text.find(')', i) : std::string_view::npos;
    if (end == std::string_view::npos) {
      out += text[i];
      continue;
    }
    std::string name(text.substr(i + 2, end - i - 2));
    auto it = values.find(name);
    out += it != values.end() ? it->second : "$(" + name + ")";
    i = end;
  }
  return out;
}

std::string bytes_of(std::string_view base64) {
  auto bytes = base::base64_decode(base64);
  return bytes.ok() ? *std::move(bytes) : std::string();
}

}  // namespace knarr::agent
