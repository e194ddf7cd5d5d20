#include "cli/kubectl/pod_choice.h"

#include <algorithm>
#include <cstdio>

#include "api/selector.h"
#include "base/format.h"
#include "cli/kubectl/resources.h"

namespace knarr::kubectl {

namespace {

bool is_ready(const json::Value& pod) {
  for (const json::Value& condition : pod["status"]["conditions"].elements()) {
    if (condition["type"].as_string() == "Ready") return condition["status"].as_string() == "True";
  }
  return false;
}

// Higher is more worth asking: assigned to a node, running, ready.
int rank(const json::Value& pod) {
  std::string_view phase = pod["status"]["phase"].as_string();
  int by_phase = phase == "Running" ? 2 : phase == "Pending" ? 0 : 1;
  return (pod["spec"]["nodeName"].as_string().empty() ? 0 : 8) + by_phase * 2 +
         (is_ready(pod) ? 1 : 0);
}

std::vector<std::string> container_names(const json::Value& pod) {
  std::vector<std::string> names;
  for (const json::Value& container : pod["spec"]["containers"].elements()) {
    names.push_back(container["name"].text());
  }
  for (const json::Value& container : pod["spec"]["ephemeralContainers"].elements()) {
    names.push_back(container["name"].text() + " (ephem)");
  }
  for (const json::Value& container : pod["spec"]["initContainers"].elements()) {
    names.push_back(container["name"].text() + " (init)");
  }
  return names;
}

}  // namespace

std::string selector_of(const json::Value& object) {
  const json::Value& selector = object["spec"]["selector"];
  std::string kind = object["kind"].text();
  if (kind == "Service" || kind == "ReplicationController") {
    return selector.empty() ? "" : api::LabelSelector::from_map(selector).text();
  }
  auto text = api::label_selector_text(selector);
  return selector.empty() || !text.ok() ? "" : *text;
}

Result<std::vector<json::Value>> pods_of(Session& session, const std::string& ns,
                                         const std::string& selector) {
  ApiAsk ask;
  ask.path = "/api/v1/namespaces/" + ns + "/pods";
  ask.query.add("labelSelector", selector);
  TRY_ASSIGN(ApiClient * api, session.api());
  TRY_ASSIGN(json::Value list, api->list(ask));
  std::vector<json::Value> pods;
  for (json::Value& pod : list.member("items").elements()) pods.push_back(std::move(pod));
  std::stable_sort(pods.begin(), pods.end(), [](const json::Value& a, const json::Value& b) {
    if (rank(a) != rank(b)) return rank(a) > rank(b);
    return a["metadata"]["creationTimestamp"].as_string() <
           b["metadata"]["creationTimestamp"].as_string();
  });
  return pods;
}

Result<json::Value> find_pod(Session& session, const std::string& word, bool note) {
  TRY_ASSIGN(ApiClient * api, session.api());
  size_t slash = word.find('/');
  std::string type = slash == std::string::npos ? "pods" : word.substr(0, slash);
  std::string name = word.substr(slash == std::string::npos ? 0 : slash + 1);
  ApiAsk ask;
  if (type == "pods" || type == "pod" || type == "po") {
    ask.path = "/api/v1/namespaces/" + session.ns() + "/pods/" + net::percent_encode_path(name);
    return api->call(ask);
  }
  TRY_ASSIGN(const ApiResource* resource, session.resource(type));
  ask.path = resource->path(session.ns(), name);
  TRY_ASSIGN(json::Value object, api->call(ask));
  std::string selector = selector_of(object);
  if (selector.empty()) {
    return make_error(Code::kBadRequest,
                      fmt::format("cannot attach to *v1.{}: selector for *v1.{} not implemented",
                                  resource->kind, resource->kind));
  }
  TRY_ASSIGN(std::vector<json::Value> pods, pods_of(session, session.ns(), selector));
  if (pods.empty()) {
    return make_error(
        Code::kBadRequest,
        fmt::format("timed out waiting for the condition: no pod of {}/{}", type, name));
  }
  if (pods.size() > 1 && note) {
    std::fprintf(stderr, "Found %zu pods, using pod/%s\n", pods.size(),
                 pods[0]["metadata"]["name"].text().c_str());
  }
  return std::move(pods[0]);
}

Result<ContainerChoice> choose_container(const json::Value& pod, const std::string& wanted) {
  std::string pod_name = pod["metadata"]["name"].text();
  const json::Value& spec = pod["spec"];
  auto has = [&](std::string_view name) {
    for (const char* list : {"containers", "initContainers", "ephemeralContainers"}) {
      for (const json::Value& container : spec[list].elements()) {
        if (container["name"].as_string() == name) return true;
      }
    }
    return false;
  };
  if (!wanted.empty()) {
    if (has(wanted)) return ContainerChoice{wanted, ""};
    return make_error(Code::kBadRequest,
                      fmt::format("container {} not found in pod {}", wanted, pod_name));
  }
  std::string annotated =
      pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"].text();
  if (!annotated.empty() && has(annotated)) return ContainerChoice{annotated, ""};
  ContainerChoice choice{spec["containers"][0]["name"].text(), ""};
  std::vector<std::string> names = container_names(pod);
  if (names.size() > 1) {
    std::string list;
    for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
    choice.note = fmt::format("Defaulted container \"{}\" out of: {}\n", choice.name, list);
  }
  return choice;
}

}  // namespace knarr::kubectl
