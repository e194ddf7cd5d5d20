#include "api/object.h"

#include <algorithm>

#include "api/codec/encode.h"

namespace knarr::api {

namespace {

using Paths = std::span<const std::string_view>;

struct Selectable {
  std::string_view group;
  std::string_view plural;
  Paths paths;  // sorted
};

constexpr std::string_view kPod[] = {"spec.hostNetwork",
                                     "spec.nodeName",
                                     "spec.restartPolicy",
                                     "spec.schedulerName",
                                     "spec.serviceAccountName",
                                     "status.nominatedNodeName",
                                     "status.phase",
                                     "status.podIP"};
constexpr std::string_view kEvent[] = {"involvedObject.apiVersion",
                                       "involvedObject.fieldPath",
                                       "involvedObject.kind",
                                       "involvedObject.name",
                                       "involvedObject.namespace",
                                       "involvedObject.resourceVersion",
                                       "involvedObject.uid",
                                       "reason",
                                       "reportingComponent",
                                       "source",
                                       "type"};
constexpr std::string_view kEventsGroupEvent[] = {"reason",
                                                  "regarding.apiVersion",
                                                  "regarding.fieldPath",
                                                  "regarding.kind",
                                                  "regarding.name",
                                                  "regarding.namespace",
                                                  "regarding.resourceVersion",
                                                  "regarding.uid",
                                                  "reportingController",
                                                  "type"};
constexpr std::string_view kSecret[] = {"type"};
constexpr std::string_view kNamespace[] = {"name", "status.phase"};
constexpr std::string_view kNode[] = {"spec.unschedulable"};
constexpr std::string_view kJob[] = {"status.successful"};
constexpr std::string_view kReplicas[] = {"status.replicas"};
constexpr std::string_view kCsr[] = {"spec.signerName"};
constexpr std::string_view kService[] = {"spec.clusterIP", "spec.type"};
constexpr std::string_view kResourceSlice[] = {"spec.driver", "spec.nodeName"};

constexpr Selectable kSelectable[] = {
    {"", "pods", kPod},
    {"", "events", kEvent},
    {"events.k8s.io", "events", kEventsGroupEvent},
    {"", "secrets", kSecret},
    {"", "namespaces", kNamespace},
    {"", "nodes", kNode},
    {"", "replicationcontrollers", kReplicas},
    {"", "services", kService},
    {"batch", "jobs", kJob},
    {"certificates.k8s.io", "certificatesigningrequests", kCsr},
    {"resource.k8s.io", "resourceslices", kResourceSlice},
};

std::string scalar_text(const json::Value& value) {
  if (value.is_string()) return value.text();
  if (value.is_bool()) return value.as_bool() ? "true" : "false";
  if (value.is_integer()) return std::to_string(value.as_int());
  return "";
}

const json::Value& at_path(const json::Value& value, std::string_view path) {
  const json::Value* at = &value;
  while (true) {
    size_t dot = path.find('.');
    at = &(*at)[path.substr(0, dot)];
    if (dot == std::string_view::npos) return *at;
    path.remove_prefix(dot + 1);
  }
}

// The value of a selectable path. Most are members; the rest upstream computes.
std::string field_text(const json::Value& value, std::string_view path) {
  if (path == "name") return value["metadata"]["name"].text();
  if (path == "source" || path == "reportingComponent") {
    std::string_view component = value["source"]["component"].as_string();
    std::string_view reporting = value["reportingComponent"].as_string();
    if (path == "reportingComponent") return std::string(reporting);
    return std::string(component.empty() ? reporting : component);
  }
  if (path == "status.successful") {
    return std::to_string(value["status"]["succeeded"].as_int());
  }
  if (path == "spec.unschedulable" || path == "spec.hostNetwork") {
    return at_path(value, path).as_bool() ? "true" : "false";
  }
  if (path == "status.replicas") return std::to_string(value["status"]["replicas"].as_int());
  if (path == "status.podIP") {
    const json::Value& ip = value["status"]["podIP"];
    return ip.is_string() ? ip.text() : value["status"]["podIPs"][0]["ip"].text();
  }
  return scalar_text(at_path(value, path));
}

void read_metadata(const json::Value& metadata, Object& out) {
  out.name.ns = metadata["namespace"].text();
  out.name.name = metadata["name"].text();
  out.uid = metadata["uid"].text();
  out.deleting = metadata["deletionTimestamp"].is_string();
  for (json::Member label : metadata["labels"].members()) {
    out.labels.emplace_back(std::string(label.key), label.value.text());
  }
  std::sort(out.labels.begin(), out.labels.end());
  for (const json::Value& owner : metadata["ownerReferences"].elements()) {
    out.owners.push_back({owner["apiVersion"].text(), owner["kind"].text(), owner["name"].text(),
                          owner["uid"].text(), owner["controller"].as_bool(),
                          owner["blockOwnerDeletion"].as_bool()});
  }
}

std::shared_ptr<Object> indexed(const ResourceInfo& resource, const json::Value& value) {
  auto object = std::make_shared<Object>();
  read_metadata(value["metadata"], *object);
  for (std::string_view path : selectable_fields(resource)) {
    object->fields.emplace_back(std::string(path), field_text(value, path));
  }
  return object;
}

}  // namespace

std::span<const std::string_view> selectable_fields(const ResourceInfo& resource) {
  for (const Selectable& s : kSelectable) {
    if (s.plural == resource.plural && s.group == resource.group) return s.paths;
  }
  return {};
}

ObjectRef make_object(const ResourceInfo& resource, const json::Value& value, int64_t revision) {
  auto object = indexed(resource, value);
  object->revision = revision;
  std::string json = encode_json(resource.type != nullptr ? *resource.type : any_type(), value);
  bool same =
      revision != 0 && value["metadata"]["resourceVersion"].as_string() == std::to_string(revision);
  object->json = same ? std::move(json) : with_resource_version(json, revision);
  return object;
}

Result<ObjectRef> make_object_from_json(const ResourceInfo& resource, std::string_view json,
                                        int64_t revision) {
  TRY_ASSIGN(json::Value value, json::parse(json));
  auto object = indexed(resource, value);
  object->revision = revision;
  object->json = with_resource_version(json, revision);
  return ObjectRef(std::move(object));
}

ObjectRef with_revision(const Object& object, int64_t revision) {
  auto copy = std::make_shared<Object>(object);
  copy->revision = revision;
  copy->json = with_resource_version(object.json, revision);
  return copy;
}

}  // namespace knarr::api
