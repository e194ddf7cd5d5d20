// kubectl apply -f: create what is not there, patch what differs from the file.
#include <cstdio>

#include "base/format.h"
#include "cli/kubectl/deletion.h"
#include "cli/kubectl/json_text.h"
#include "cli/kubectl/manifest.h"
#include "cli/kubectl/output.h"
#include "cli/kubectl/three_way.h"
#include "cli/kubectl/verbs.h"

namespace knarr::kubectl {

namespace {

constexpr int kMostConflicts = 5;

constexpr FlagSpec kFlags[] = {
    list_flag("filename", 'f', "files, folders or URLs; - is standard input"),
    bool_flag("recursive", 'R', "folders in folders as well"),
    text_flag("output", 'o', "json, yaml, name, ..."),
    bare_flag("dry-run", 0, "unchanged", "none, client or server"),
    bool_flag("server-side", 0, "let the server merge"),
    bool_flag("force-conflicts", 0, "with --server-side: take over fields of others"),
    bool_flag("force", 0, "delete and create anew what can't be patched"),
    text_flag("field-manager", 0, "name of the owner of the fields"),
    bare_flag("validate", 0, "strict", "strict, warn, ignore"),
    bool_flag("overwrite", 0, "taken, without effect"),
    bool_flag("show-managed-fields", 0, "keep metadata.managedFields"),
    text_flag("selector", 'l', "only objects with these labels"),
    text_flag("grace-period", 0, "of a deletion by --force, in seconds"),
    text_flag("timeout", 0, "of a deletion by --force"),
};

class Applier {
 public:
  Applier(Session& session, const Flags& flags) : session_(session), flags_(flags) {}

  Result<int> run();

 private:
  Result<void> apply(Manifest& manifest);
  Result<void> apply_on_server(const Target& target, const json::Value& object);
  Result<void> create(const Target& target, const json::Value& object);
  Result<void> patch(const Target& target, const json::Value& modified, json::Value current);
  Result<void> replace(const Target& target, const json::Value& modified);
  ApiAsk write_ask(const char* method, std::string path, std::string body) const;

  Session& session_;
  const Flags& flags_;
  ApiClient* api_ = nullptr;
  Output output_;
  DryRun dry_run_ = DryRun::kNone;
};

ApiAsk Applier::write_ask(const char* method, std::string path, std::string body) const {
  ApiAsk ask;
  ask.method = method;
  ask.path = std::move(path);
  ask.body = std::move(body);
  bool server_side = flags_.yes("server-side");
  ask.query.add("fieldManager", flags_.text("field-manager",
                                            server_side ? "kubectl" : "kubectl-client-side-apply"));
  ask.query.add("fieldValidation", field_validation(flags_));
  add_dry_run(ask.query, dry_run_);
  return ask;
}

Result<void> Applier::create(const Target& target, const json::Value& object) {
  json::Value made = with_last_applied(object);
  if (dry_run_ != DryRun::kClient) {
    ApiAsk ask = write_ask("POST", target.resource->path(target.ns), json::write(made));
    auto answer = api_->call(ask);
    if (!answer.ok()) {
      return with_source(answer.error(), fmt::format("error when creating \"{}\"", target.source));
    }
    made = std::move(*answer);
  }
  print_change(output_, target, made, "created", dry_run_);
  return {};
}

// Deletes the object and makes it anew.
Result<void> Applier::replace(const Target& target, const json::Value& modified) {
  TRY(delete_and_wait(*api_, target, flags_));
  ApiAsk ask =
      write_ask("POST", target.resource->path(target.ns), json::write(with_last_applied(modified)));
  TRY_ASSIGN(json::Value made, api_->call(ask));
  print_change(output_, target, made, "configured", dry_run_);
  return {};
}

Result<void> Applier::patch(const Target& target, const json::Value& object, json::Value current) {
  const ApiResource& resource = *target.resource;
  const api::Type* type = api::find_type(resource.group, resource.version, resource.kind);
  json::Value modified = with_last_applied(object);
  for (int attempt = 0;; attempt++) {
    const json::Value& last = current["metadata"]["annotations"][kLastApplied];
    if (last.is_null()) {
      std::fprintf(stderr,
                   "Warning: resource %s/%s is missing the %s annotation which is required by "
                   "kubectl apply. kubectl apply should only be used on resources created "
                   "declaratively by either kubectl create --save-config or kubectl apply. The "
                   "missing annotation will be patched automatically.\n",
                   resource.plural.c_str(), target.name.c_str(), kLastApplied);
    }
    auto original = json::parse(last.as_string("{}"));
    json::Value patch =
        three_way_patch(type, original.ok() ? *original : json::Value::object(), modified, current);
    if (patch.empty()) {
      print_change(output_, target, current, "unchanged", dry_run_);
      return {};
    }
    if (dry_run_ == DryRun::kClient) {
      print_change(output_, target, current, "configured", dry_run_);
      return {};
    }
    std::string body = sorted_json(patch);
    ApiAsk ask = write_ask("PATCH", target.path(), body);
    ask.content_type = type != nullptr ? kStrategicPatch : kMergePatch;
    auto answer = api_->call(ask);
    if (answer.ok()) {
      print_change(output_, target, *answer, "configured", dry_run_);
      return {};
    }
    Code code = answer.error().code;
    if (code == Code::kConflict && attempt < kMostConflicts) {
      ApiAsk again;
      again.path = target.path();
      TRY_ASSIGN(current, api_->call(again));
      continue;
    }
    if (flags_.yes("force") && (code == Code::kConflict || code == Code::kInvalid)) {
      return replace(target, object);
    }
    std::string group_version =
        resource.group.empty() ? resource.version : resource.group + "/" + resource.version;
    return with_source(
        answer.error(),
        fmt::format("error when applying patch:\n{}\nto:\nResource: \"{}, Resource={}\", "
                    "GroupVersionKind: \"{}, Kind={}\"\nName: \"{}\", Namespace: \"{}\"\nfor: "
                    "\"{}\": error when patching \"{}\"",
                    body, group_version, resource.plural, group_version, resource.kind, target.name,
                    target.ns, target.source, target.source));
  }
}

Result<void> Applier::apply_on_server(const Target& target, const json::Value& object) {
  ApiAsk ask = write_ask("PATCH", target.path(), json::write(object));
  ask.content_type = kApplyPatch;
  if (flags_.yes("force-conflicts")) ask.query.add("force", "true");
  TRY_ASSIGN(json::Value answer, api_->call(ask));
  print_change(output_, target, answer, "serverside-applied", dry_run_);
  return {};
}

Result<void> Applier::apply(Manifest& manifest) {
  auto found = target_of(session_, manifest);
  if (!found.ok()) return found.error();
  Target& target = *found;
  if (target.name.empty()) {
    return make_error(Code::kBadRequest,
                      manifest.object["metadata"]["generateName"].is_string()
                          ? fmt::format("from {}: cannot use generate name with apply",
                                        manifest.object["metadata"]["generateName"].as_string())
                          : "resource name may not be empty");
  }
  if (flags_.yes("server-side")) return apply_on_server(target, manifest.object);
  ApiAsk ask;
  ask.path = target.path();
  auto current = api_->call(ask);
  if (current.ok()) return patch(target, manifest.object, std::move(*current));
  if (current.error().code != Code::kNotFound) {
    return with_source(
        current.error(),
        fmt::format("error when retrieving current configuration of:\nfrom server for: \"{}\"",
                    target.source));
  }
  return create(target, manifest.object);
}

Result<int> Applier::run() {
  if (!flags_.words.empty()) {
    return make_error(Code::kBadRequest,
                      fmt::format("Unexpected args: [{}]\nSee 'kubectl apply -h' for help and "
                                  "examples",
                                  flags_.words[0]));
  }
  if (!flags_.has("filename")) {
    return make_error(Code::kBadRequest, "must specify one of -f and -k");
  }
  TRY_ASSIGN(output_, parse_output(flags_));
  TRY_ASSIGN(dry_run_, dry_run(flags_));
  TRY_ASSIGN(api_, session_.api());
  TRY_ASSIGN(std::vector<Manifest> manifests, read_manifests(session_, flags_));
  TRY(keep_selected(flags_, manifests));
  if (manifests.empty()) return make_error(Code::kBadRequest, "no objects passed to apply");
  int status = 0;
  for (Manifest& manifest : manifests) {
    auto applied = apply(manifest);
    if (!applied.ok()) status = report(applied.error());
  }
  return status;
}

}  // namespace

const std::span<const FlagSpec> kApplyFlags = kFlags;

Result<int> apply_verb(Session& session, const Flags& flags) {
  return Applier(session, flags).run();
}

}  // namespace knarr::kubectl
