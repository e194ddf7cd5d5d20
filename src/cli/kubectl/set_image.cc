// kubectl set image TYPE/NAME CONTAINER=IMAGE...: new images for the containers of a template.
#include "base/format.h"
#include "cli/kubectl/bad.h"
#include "cli/kubectl/output.h"
#include "cli/kubectl/verbs.h"

namespace knarr::kubectl {

namespace {

constexpr FlagSpec kFlags[] = {
    list_flag("filename", 'f', "files that name the objects"),
    bool_flag("recursive", 'R', "folders in folders as well"),
    text_flag("selector", 'l', "label selector"),
    bool_flag("all", 0, "every object of the types"),
    text_flag("output", 'o', "json, yaml, name, ..."),
    bare_flag("dry-run", 0, "unchanged", "none, client or server"),
    text_flag("field-manager", 0, "name of the owner of the fields"),
};

using Images = std::vector<std::pair<std::string, std::string>>;

// The containers of `list` that get another image, as a strategic merge patch's list.
json::Value changed_containers(const json::Value& list, const Images& images,
                               std::vector<bool>& used) {
  json::Value patch = json::Value::array();
  for (const json::Value& container : list.elements()) {
    for (size_t i = 0; i < images.size(); i++) {
      const auto& [name, image] = images[i];
      if (name != "*" && container["name"].as_string() != name) continue;
      used[i] = true;
      if (container["image"].as_string() == image) continue;
      patch.push_back(json::Value::object({{"name", container["name"]}, {"image", image}}));
    }
  }
  return patch;
}

Result<void> set_images(ApiClient& api, const Target& target, const Images& images,
                        const Flags& flags, DryRun mode, const Output& output) {
  bool pod = target.resource->kind == "Pod";
  bool cron = target.resource->kind == "CronJob";
  const json::Value& spec = target.object["spec"];
  const json::Value& pod_spec = pod    ? spec
                                : cron ? spec["jobTemplate"]["spec"]["template"]["spec"]
                                       : spec["template"]["spec"];
  std::vector<bool> used(images.size(), false);
  json::Value change = json::Value::object();
  for (const char* list : {"containers", "initContainers"}) {
    json::Value containers = changed_containers(pod_spec[list], images, used);
    if (!containers.empty()) change.set(list, std::move(containers));
  }
  for (size_t i = 0; i < images.size(); i++) {
    if (!used[i]) return bad(fmt::format("unable to find container named \"{}\"", images[i].first));
  }
  if (change.empty()) return {};
  auto wrap = [&change](const char* key) {
    change = json::Value::object({{key, std::move(change)}});
  };
  wrap("spec");
  if (!pod) {
    wrap("template");
    wrap("spec");
  }
  if (cron) {
    wrap("jobTemplate");
    wrap("spec");
  }
  json::Value object = target.object;
  if (mode != DryRun::kClient) {
    ApiAsk ask;
    ask.method = "PATCH";
    ask.path = target.path();
    ask.content_type = kStrategicPatch;
    ask.body = json::write(change);
    ask.query.add("fieldManager", flags.text("field-manager", "kubectl-set"));
    add_dry_run(ask.query, mode);
    TRY_ASSIGN(object, api.call(ask));
  }
  print_change(output, target, object, "image updated", mode);
  return {};
}

}  // namespace

const std::span<const FlagSpec> kSetFlags = kFlags;

Result<int> set_verb(Session& session, const Flags& flags) {
  if (flags.words.empty() || flags.words[0] != "image") {
    return usage_error(
        "set", fmt::format("unknown command \"{}\"", flags.words.empty() ? "" : flags.words[0]));
  }
  std::vector<std::string> resources;
  Images images;
  for (size_t i = 1; i < flags.words.size(); i++) {
    size_t equals = flags.words[i].find('=');
    if (equals == std::string::npos) {
      resources.push_back(flags.words[i]);
    } else {
      images.emplace_back(flags.words[i].substr(0, equals), flags.words[i].substr(equals + 1));
    }
  }
  if (images.empty()) return bad("at least one image update is required");
  TRY_ASSIGN(Output output, parse_output(flags));
  TRY_ASSIGN(DryRun mode, dry_run(flags));
  SelectOptions how;
  how.need_names = true;
  how.verb = "set image";
  TRY_ASSIGN(Selection selection, select_targets(session, flags, resources, how));
  TRY_ASSIGN(ApiClient * api, session.api());
  for (const Target& target : selection.targets) {
    auto set = set_images(*api, target, images, flags, mode, output);
    if (!set.ok()) selection.status = report(set.error());
  }
  return selection.status;
}

}  // namespace knarr::kubectl
