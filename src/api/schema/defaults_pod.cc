// Defaults of pods and of what they are made of. Rules on Pod do not run for pod templates.
#include <string>
#include <vector>

#include "api/quantity.h"
#include "api/schema/default_hooks.h"

namespace knarr::api {

namespace {

bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// A part of a repository's name: lower case, with single separators inside.
bool is_name_part(std::string_view part) {
  if (part.empty() || !is_alnum(part.front()) || !is_alnum(part.back())) return false;
  for (char c : part) {
    if (!is_alnum(c) && c != '.' && c != '_' && c != '-') return false;
  }
  return part.find("..") == std::string_view::npos;
}

// "registry:5000/repo/app" as images may be named; the registry is the first part when it looks
// like a host.
bool is_repository(std::string_view name) {
  size_t slash = name.find('/');
  std::string_view first = name.substr(0, slash);
  bool host = slash != std::string_view::npos &&
              (first.find_first_of(".:") != std::string_view::npos || first == "localhost");
  if (host) name.remove_prefix(slash + 1);
  while (true) {
    size_t end = name.find('/');
    if (!is_name_part(name.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    name.remove_prefix(end + 1);
  }
}

// "repo/app:1" -> "1"; "latest" without tag and digest; "" when a digest alone decides, or when
// the text names no image.
std::string_view image_tag(std::string_view image) {
  size_t at = image.find('@');
  std::string_view name = image.substr(0, at);
  size_t last = name.rfind('/');
  size_t colon = name.find(':', last == std::string_view::npos ? 0 : last);
  if (!is_repository(name.substr(0, colon))) return "";
  if (colon != std::string_view::npos) return name.substr(colon + 1);
  return at == std::string_view::npos ? "latest" : "";
}

const char* pull_policy(std::string_view image) {
  return image_tag(image) == "latest" ? "Always" : "IfNotPresent";
}

void default_pull_policy(json::Value& container) {
  fill_blank(container, "imagePullPolicy", pull_policy(container["image"].as_string()));
}

// Limits stand in for requests that were not given.
void requests_from_limits(json::Value& resources) {
  const json::Value limits = resources["limits"];
  if (limits.empty()) return;
  json::Value& requests = resources.member("requests");
  for (json::Member limit : limits.members()) fill(requests, limit.key, limit.value);
}

void default_pod_containers(json::Value& spec, bool host_network) {
  for (const char* list : {"containers", "initContainers"}) {
    json::Value* containers = spec.find(list);
    if (containers == nullptr) continue;
    for (json::Value& container : containers->elements()) {
      if (json::Value* resources = container.find("resources")) requests_from_limits(*resources);
      json::Value* ports = container.find("ports");
      if (!host_network || ports == nullptr) continue;
      for (json::Value& port : ports->elements()) {
        if (port["hostPort"].as_int() == 0 && port["containerPort"].as_int() != 0) {
          port.set("hostPort", port["containerPort"].as_int());
        }
      }
    }
  }
}

Quantity amount(const json::Value& resources, const char* list, std::string_view key) {
  auto parsed = Quantity::parse(resources[list][key].as_string("0"));
  return parsed.ok() ? *parsed : Quantity();
}

bool is_sidecar(const json::Value& container) {
  return container["restartPolicy"].as_string() == "Always";
}

// What all containers together ask for: sidecars and containers run at once, ordinary init
// containers one after the other beside the sidecars before them.
Quantity aggregate(const json::Value& spec, const char* list, std::string_view key, bool& given) {
  auto add = [&](Quantity& sum, const json::Value& container) {
    given = given || container["resources"][list].has(key);
    sum.add(amount(container["resources"], list, key));
  };
  Quantity sum;
  for (const json::Value& container : spec["containers"].elements()) add(sum, container);
  Quantity sidecars;
  Quantity most;
  for (const json::Value& container : spec["initContainers"].elements()) {
    if (is_sidecar(container)) {
      add(sidecars, container);
      if (most < sidecars) most = sidecars;
    } else {
      Quantity one = sidecars;
      add(one, container);
      if (most < one) most = one;
    }
  }
  sum.add(sidecars);
  return sum < most ? most : sum;
}

// Names of resources that any container limits.
std::vector<std::string> limited_hugepages(const json::Value& spec) {
  std::vector<std::string> names;
  for (const char* list : {"containers", "initContainers"}) {
    for (const json::Value& container : spec[list].elements()) {
      for (json::Member limit : container["resources"]["limits"].members()) {
        if (limit.key.starts_with("hugepages-")) names.emplace_back(limit.key);
      }
    }
  }
  return names;
}

void default_pod_level_resources(json::Value& spec) {
  json::Value* resources = spec.find("resources");
  if (resources == nullptr || !resources->is_object()) return;
  for (const std::string& key : limited_hugepages(spec)) {
    if ((*resources)["limits"].has(key) || (*resources)["requests"].has(key)) continue;
    bool given = false;
    Quantity sum = aggregate(spec, "limits", key, given);
    resources->member("limits").set(key, sum.text());
  }
  const json::Value limits = (*resources)["limits"];
  if (limits.empty()) return;
  for (json::Member limit : limits.members()) {
    if ((*resources)["requests"].has(limit.key)) continue;
    bool given = false;
    bool huge = limit.key.starts_with("hugepages-");
    Quantity sum = aggregate(spec, "requests", limit.key, given);
    resources->member("requests")
        .set(limit.key, given && !huge ? json::Value(sum.text()) : limit.value);
  }
}

}  // namespace

void default_core_v1_Container(json::Value& container) { default_pull_policy(container); }

void default_core_v1_EphemeralContainer(json::Value& container) { default_pull_policy(container); }

void default_core_v1_Volume(json::Value& volume) {
  size_t sources = 0;
  for (json::Member member : volume.members()) {
    if (member.key != "name" && !member.value.is_null()) sources++;
  }
  if (sources == 0) volume.set("emptyDir", json::Value::object());
  if (json::Value* image = volume.find("image"); image != nullptr && image->is_object()) {
    fill_blank(*image, "pullPolicy", pull_policy((*image)["reference"].as_string()));
  }
}

// serviceAccount is the old name of serviceAccountName: both are shown.
void default_core_v1_PodSpec(json::Value& spec) {
  std::string name = spec["serviceAccountName"].text();
  if (name.empty()) name = spec["serviceAccount"].text();
  if (name.empty()) return;
  spec.set("serviceAccountName", name);
  spec.set("serviceAccount", name);
}

// The single address wins over a list that starts with another.
void default_core_v1_PodStatus(json::Value& status) {
  std::string one = status["podIP"].text();
  const json::Value first = status["podIPs"][0]["ip"];
  if (!one.empty() && first.as_string() != one) {
    status.set("podIPs", json::Value::array({json::Value::object({{"ip", one}})}));
  } else if (one.empty() && first.is_string()) {
    status.set("podIP", first);
  }
}

void default_core_v1_Pod(json::Value& pod) {
  json::Value& spec = pod.member("spec");
  if (!spec.is_object()) spec = json::Value::object();
  default_pod_containers(spec, spec["hostNetwork"].as_bool());
  default_pod_level_resources(spec);
  fill(spec, "enableServiceLinks", true);
}

}  // namespace knarr::api
