#include "agent/remote/wire.h"

#include <charconv>

#include "api/object.h"
#include "api/status.h"
#include "base/format.h"
#include "net/url.h"

namespace knarr::agent {

namespace {

std::string collection_path(std::string_view group, std::string_view version,
                            std::string_view resource, std::string_view ns) {
  std::string path =
      group.empty() ? fmt::format("/api/{}", version) : fmt::format("/apis/{}/{}", group, version);
  if (!ns.empty()) path += "/namespaces/" + net::percent_encode_path(ns);
  return path.append("/").append(resource);
}

int64_t revision_of(const json::Value& object) {
  std::string_view text = object["metadata"]["resourceVersion"].as_string();
  int64_t revision = 0;
  std::from_chars(text.data(), text.data() + text.size(), revision);
  return revision;
}

// An answer of another kind than the resource's: a token, a scale, a Status of success.
ObjectRef other_object(const json::Value& value, std::string_view text) {
  auto object = std::make_shared<Object>();
  object->name = {value["metadata"]["namespace"].text(), value["metadata"]["name"].text()};
  object->uid = value["metadata"]["uid"].text();
  object->json = std::string(text);
  return object;
}

}  // namespace

std::string path_of(const client::Request& request) {
  const client::Target& t = request.target;
  std::string path = collection_path(t.group, t.version, t.resource, t.ns);
  bool named = request.verb != client::Verb::kCreate || !t.subresource.empty();
  if (named && !t.name.empty()) path += "/" + net::percent_encode_path(t.name);
  if (!t.subresource.empty()) path += "/" + t.subresource;
  if (!request.query.empty()) path += "?" + request.query;
  return path;
}

std::string_view method_of(client::Verb verb) {
  switch (verb) {
    case client::Verb::kGet: return "GET";
    case client::Verb::kCreate: return "POST";
    case client::Verb::kUpdate: return "PUT";
    case client::Verb::kPatch: return "PATCH";
    case client::Verb::kDelete: return "DELETE";
  }
  return "GET";
}

std::string_view content_type_of(const client::Request& request) {
  if (request.verb != client::Verb::kPatch) {
    return request.body.empty() ? std::string_view() : "application/json";
  }
  switch (request.patch_type) {
    case client::PatchType::kJson: return "application/json-patch+json";
    case client::PatchType::kMerge: return "application/merge-patch+json";
    case client::PatchType::kStrategicMerge: return "application/strategic-merge-patch+json";
    case client::PatchType::kApply: return "application/apply-patch+yaml";
  }
  return {};
}

Result<ObjectRef> read_answer(const client::Target& target, int http_status,
                              std::string_view body) {
  Result<json::Value> value = json::parse(body);
  if (http_status < 200 || http_status > 299) {
    return api::error_of_status(value.ok() ? *value : json::Value(), http_status);
  }
  if (!value.ok()) {
    return make_error(
        Code::kInternalError,
        fmt::format("the server answered with what is no JSON: {}", value.error().message));
  }
  const api::ResourceInfo* resource =
      api::find_resource(target.group, target.version, target.resource);
  if (resource == nullptr || (*value)["kind"].as_string() != resource->kind || !resource->stored) {
    return other_object(*value, body);
  }
  return api::make_object(*resource, *value, revision_of(*value));
}

std::string watch_path(const client::WatchTarget& target, int64_t revision) {
  net::Query query;
  query.add("watch", "true");
  query.add("allowWatchBookmarks", "true");
  if (revision != 0) {
    query.add("resourceVersion", std::to_string(revision));
  } else {
    query.add("sendInitialEvents", "true");
    query.add("resourceVersionMatch", "NotOlderThan");
  }
  if (!target.label_selector.empty()) query.add("labelSelector", target.label_selector);
  if (!target.field_selector.empty()) query.add("fieldSelector", target.field_selector);
  return collection_path(target.group, target.version, target.resource, target.ns) + "?" +
         query.text();
}

Result<WireEvent> read_event(const api::ResourceInfo& resource, std::string_view line) {
  TRY_ASSIGN(json::Value value, json::parse(line));
  std::string_view type = value["type"].as_string();
  const json::Value& object = value["object"];
  WireEvent event;
  event.revision = revision_of(object);
  if (type == "ADDED" || type == "MODIFIED" || type == "DELETED") {
    event.type = type == "DELETED" ? WireEvent::Type::kDelete : WireEvent::Type::kUpsert;
    event.object = api::make_object(resource, object, event.revision);
  } else if (type == "BOOKMARK") {
    event.type = WireEvent::Type::kBookmark;
    event.initial_end =
        object["metadata"]["annotations"]["k8s.io/initial-events-end"].as_string() == "true";
  } else if (type == "ERROR") {
    event.error = api::error_of_status(object, 0);
  } else {
    return make_error(Code::kInternalError, fmt::format("an event of type \"{}\"", type));
  }
  return event;
}

}  // namespace knarr::agent
