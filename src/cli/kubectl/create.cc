// kubectl create, from files or from flags; and expose, which creates a Service.
#include "base/format.h"
#include "cli/kubectl/creation.h"
#include "cli/kubectl/generators.h"
#include "cli/kubectl/manifest.h"
#include "cli/kubectl/output.h"
#include "cli/kubectl/three_way.h"
#include "cli/kubectl/verbs.h"

namespace knarr::kubectl {

namespace {

constexpr FlagSpec kFlags[] = {
    list_flag("filename", 'f', "files, folders or URLs; - is standard input"),
    bool_flag("recursive", 'R', "folders in folders as well"),
    text_flag("output", 'o', "json, yaml, name, ..."),
    bare_flag("dry-run", 0, "unchanged", "none, client or server"),
    bool_flag("save-config", 0, "note the configuration for a later apply"),
    text_flag("field-manager", 0, "name of the owner of the fields"),
    bare_flag("validate", 0, "strict", "strict, warn, ignore"),
    text_flag("selector", 'l', "only objects with these labels"),
    bool_flag("show-managed-fields", 0, "keep metadata.managedFields"),
    list_flag("image", 0, "deployment, job, cronjob: the image"),
    text_flag("replicas", 'r', "deployment: how many pods"),
    text_flag("port", 0, "deployment: the port of the container"),
    text_flag("schedule", 0, "cronjob: when"),
    text_flag("restart", 0, "cronjob: OnFailure or Never"),
    list_flag("from-literal", 0, "configmap, secret: key=value"),
    list_flag("from-file", 0, "configmap, secret: [key=]path"),
    list_flag("from-env-file", 0, "configmap, secret: a file of key=value lines"),
    text_flag("type", 0, "secret: its type"),
    text_flag("cert", 0, "secret tls: file of the certificate"),
    text_flag("key", 0, "secret tls: file of the key"),
    text_flag("docker-server", 0, "secret docker-registry: the registry"),
    text_flag("docker-username", 0, "secret docker-registry: the user"),
    text_flag("docker-password", 0, "secret docker-registry: the password"),
    text_flag("docker-email", 0, "taken, without effect"),
    list_flag("tcp", 0, "service: port:targetPort"),
    text_flag("clusterip", 0, "service: its address, or None"),
    text_flag("external-name", 0, "service externalname: the name"),
};

constexpr FlagSpec kExpose[] = {
    text_flag("port", 0, "the port of the service"),
    text_flag("target-port", 0, "the port of the pods"),
    text_flag("protocol", 0, "TCP, UDP or SCTP"),
    text_flag("name", 0, "the name of the service"),
    text_flag("type", 0, "ClusterIP, NodePort or LoadBalancer"),
    text_flag("labels", 'l', "labels of the service"),
    text_flag("selector", 0, "which pods"),
    text_flag("cluster-ip", 0, "its address, or None"),
    text_flag("session-affinity", 0, "None or ClientIP"),
    text_flag("output", 'o', "json, yaml, name, ..."),
    bare_flag("dry-run", 0, "unchanged", "none, client or server"),
    text_flag("field-manager", 0, "name of the owner of the fields"),
};

// What a client-side dry run shows where no server is asked.
Target local_target(const json::Value& object, ApiResource& resource) {
  std::string api_version = object["apiVersion"].text();
  size_t slash = api_version.find('/');
  resource.group = slash == std::string::npos ? "" : api_version.substr(0, slash);
  resource.kind = object["kind"].text();
  return {&resource, "", object["metadata"]["name"].text(), {}, ""};
}

// Most generators hide the reason of the server's answer.
Error generator_error(const Error& error, const ApiResource& resource, const std::string& verb) {
  bool bare = verb == "exposed" || resource.kind == "Namespace" || resource.kind == "Pod";
  if (bare || error.details == nullptr) return error;
  return make_error(Code::kBadRequest, fmt::format("failed to create {}: {}",
                                                   lower_case(resource.kind), error.message));
}

}  // namespace

const std::span<const FlagSpec> kCreateFlags = kFlags;
const std::span<const FlagSpec> kExposeFlags = kExpose;

Result<json::Value> create_object(Session& session, const Flags& flags, Manifest manifest,
                                  const std::string& verb, bool silent) {
  TRY_ASSIGN(Output output, parse_output(flags));
  TRY_ASSIGN(DryRun mode, dry_run(flags));
  if (mode == DryRun::kClient && manifest.source.empty()) {
    ApiResource resource;
    if (session.ns_given()) manifest.object.member("metadata").set("namespace", session.ns());
    print_change(output, local_target(manifest.object, resource), manifest.object, verb, mode);
    return std::move(manifest.object);
  }
  TRY_ASSIGN(Target target, target_of(session, manifest));
  json::Value object = std::move(manifest.object);
  if (flags.yes("save-config")) object = with_last_applied(std::move(object));
  if (mode != DryRun::kClient) {
    TRY_ASSIGN(ApiClient * api, session.api());
    ApiAsk ask;
    ask.method = "POST";
    ask.path = target.resource->path(target.ns);
    ask.body = json::write(object);
    ask.query.add("fieldManager", flags.text("field-manager", "kubectl-create"));
    ask.query.add("fieldValidation", field_validation(flags));
    add_dry_run(ask.query, mode);
    auto answer = api->call(ask);
    if (!answer.ok()) {
      if (target.source.empty()) {
        return generator_error(answer.error(), *target.resource, verb);
      }
      return with_source(answer.error(), fmt::format("error when creating \"{}\"", target.source));
    }
    object = std::move(*answer);
    target.name = object["metadata"]["name"].text();
  }
  if (!silent) print_change(output, target, object, verb, mode);
  return object;
}

Result<int> create_verb(Session& session, const Flags& flags) {
  if (flags.has("filename")) {
    TRY_ASSIGN(std::vector<Manifest> manifests, read_manifests(session, flags));
    TRY(keep_selected(flags, manifests));
    if (manifests.empty()) return make_error(Code::kBadRequest, "no objects passed to create");
    int status = 0;
    for (Manifest& manifest : manifests) {
      auto made = create_object(session, flags, std::move(manifest), "created");
      if (!made.ok()) status = report(made.error());
    }
    return status;
  }
  size_t split_at = flags.dash_at < 0 ? flags.words.size() : static_cast<size_t>(flags.dash_at);
  std::vector<std::string> words(flags.words.begin(),
                                 flags.words.begin() + static_cast<ptrdiff_t>(split_at));
  std::vector<std::string> command(flags.words.begin() + static_cast<ptrdiff_t>(split_at),
                                   flags.words.end());
  if (words.empty()) {
    return usage_error("create", "must specify one of -f and -k");
  }
  TRY_ASSIGN(json::Value object, generate_object(words, command, flags));
  TRY(create_object(session, flags, {std::move(object), ""}, "created"));
  return 0;
}

Result<int> expose_verb(Session& session, const Flags& flags) {
  TRY_ASSIGN(Target target, select_one(session, flags, flags.words, "expose"));
  TRY_ASSIGN(json::Value object, generate_service(target.object, flags));
  TRY(create_object(session, flags, {std::move(object), ""}, "exposed"));
  return 0;
}

}  // namespace knarr::kubectl
