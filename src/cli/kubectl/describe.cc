// kubectl describe: a page for each object, with the events that tell of it.
#include <cstdio>

#include "base/format.h"
#include "cli/kubectl/describe_text.h"
#include "cli/kubectl/pod_choice.h"
#include "cli/kubectl/resources.h"
#include "cli/kubectl/tab_writer.h"
#include "cli/kubectl/verbs.h"

namespace knarr::kubectl {

namespace {

constexpr FlagSpec kFlags[] = {
    bool_flag("all-namespaces", 'A', "objects of every namespace"),
    text_flag("selector", 'l', "label selector"),
    list_flag("filename", 'f', "files that name the objects"),
    bool_flag("recursive", 'R', "folders in folders as well"),
    bool_flag("show-events", 0, "the events of the object (true)"),
    text_flag("chunk-size", 0, "taken, without effect"),
};

Result<json::Value> items(ApiClient& api, std::string path, const char* parameter,
                          const std::string& value) {
  ApiAsk ask;
  ask.path = std::move(path);
  ask.query.add(parameter, value);
  TRY_ASSIGN(json::Value list, api.list(ask));
  return list["items"];
}

Result<json::Value> events_of(ApiClient& api, const Target& target) {
  const json::Value& metadata = target.object["metadata"];
  std::string uid = metadata["uid"].text();
  // Events of a node name it by its name, not its uid.
  if (target.resource->kind == "Node") uid.clear();
  std::string selector =
      "involvedObject.kind=" + target.resource->kind + ",involvedObject.name=" + target.name;
  if (!uid.empty()) selector += ",involvedObject.uid=" + uid;
  std::string path =
      target.ns.empty() ? "/api/v1/events" : "/api/v1/namespaces/" + target.ns + "/events";
  return items(api, path, "fieldSelector", selector);
}

Result<std::string> page(ApiClient& api, const Target& target) {
  const ApiResource& resource = *target.resource;
  const json::Value& object = target.object;
  std::string base = "/namespaces/" + target.ns;
  if (resource.group.empty() && resource.kind == "Pod") return describe_pod(object);
  if (resource.group.empty() && resource.kind == "Node") {
    TRY_ASSIGN(json::Value pods,
               items(api, "/api/v1/pods", "fieldSelector", "spec.nodeName=" + target.name));
    ApiAsk ask;
    ask.path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/" + target.name;
    auto lease = api.call(ask);
    return describe_node(object, pods, lease.ok() ? *lease : json::Value(), now_us());
  }
  if (resource.group.empty() && resource.kind == "Service") {
    TRY_ASSIGN(json::Value slices,
               items(api, "/apis/discovery.k8s.io/v1" + base + "/endpointslices", "labelSelector",
                     "kubernetes.io/service-name=" + target.name));
    return describe_service(object, slices);
  }
  if (resource.group == "apps" && resource.kind == "Deployment") {
    TRY_ASSIGN(json::Value sets, items(api, "/apis/apps/v1" + base + "/replicasets",
                                       "labelSelector", selector_of(object)));
    json::Value owned = json::Value::array();
    for (const json::Value& set : sets.elements()) {
      for (const json::Value& owner : set["metadata"]["ownerReferences"].elements()) {
        if (owner["uid"] == object["metadata"]["uid"]) owned.push_back(set);
      }
    }
    return describe_deployment(object, owned);
  }
  return describe_any(object);
}

}  // namespace

const std::span<const FlagSpec> kDescribeFlags = kFlags;

Result<int> describe_verb(Session& session, const Flags& flags) {
  if (flags.words.empty() && !flags.has("filename")) {
    return make_error(Code::kBadRequest,
                      "You must specify the type of resource to describe. Use \"kubectl "
                      "api-resources\" for a complete list of supported resources.");
  }
  SelectOptions how;
  how.verb = "describe";
  TRY_ASSIGN(Selection selection, select_targets(session, flags, flags.words, how));
  TRY_ASSIGN(ApiClient * api, session.api());
  bool first = true;
  for (const Target& target : selection.targets) {
    auto text = page(*api, target);
    if (!text.ok()) {
      selection.status = report(text.error());
      continue;
    }
    if (flags.yes("show-events", true)) {
      auto events = events_of(*api, target);
      if (events.ok()) *text += describe_events(*events, now_us());
    }
    print((first ? "" : "\n\n") + set_in_columns(*text));
    first = false;
  }
  if (selection.targets.empty() && selection.status == 0) {
    std::string where = flags.yes("all-namespaces")
                            ? std::string()
                            : fmt::format(" in {} namespace.", session.ns());
    std::fprintf(stderr, "No resources found%s\n", where.c_str());
  }
  return selection.status;
}

}  // namespace knarr::kubectl
