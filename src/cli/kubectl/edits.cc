// The verbs that change fields of what is there: label, annotate, patch, scale.
#include "api/codec/yaml.h"
#include "base/file.h"
#include "base/format.h"
#include "cli/kubectl/bad.h"
#include "cli/kubectl/output.h"
#include "cli/kubectl/verbs.h"

namespace knarr::kubectl {

namespace {

constexpr FlagSpec kLabelOnly[] = {
    bool_flag("overwrite", 0, "change what is there already"),
    bool_flag("list", 0, "print what is there"),
    text_flag("resource-version", 0, "only if the object is of this version"),
    text_flag("output", 'o', "json, yaml, name, ..."),
    bare_flag("dry-run", 0, "unchanged", "none, client or server"),
    text_flag("field-manager", 0, "name of the owner of the fields"),
};
constexpr auto kLabel = joined(kSelectionFlags, kLabelOnly);

constexpr FlagSpec kPatch[] = {
    text_flag("patch", 'p', "the patch, as JSON or YAML"),
    text_flag("patch-file", 0, "a file with the patch"),
    text_flag("type", 0, "strategic, merge or json"),
    list_flag("filename", 'f', "files that name the objects"),
    bool_flag("recursive", 'R', "folders in folders as well"),
    text_flag("subresource", 0, "status or scale instead of the object"),
    text_flag("output", 'o', "json, yaml, name, ..."),
    bare_flag("dry-run", 0, "unchanged", "none, client or server"),
    text_flag("field-manager", 0, "name of the owner of the fields"),
};

constexpr FlagSpec kScale[] = {
    text_flag("replicas", 0, "how many"),
    text_flag("current-replicas", 0, "only if there are this many now"),
    text_flag("resource-version", 0, "only if the object is of this version"),
    list_flag("filename", 'f', "files that name the objects"),
    bool_flag("recursive", 'R', "folders in folders as well"),
    text_flag("selector", 'l', "label selector"),
    bool_flag("all", 0, "every object of the types"),
    text_flag("output", 'o', "json, yaml, name, ..."),
    text_flag("timeout", 0, "how long to wait"),
    bare_flag("dry-run", 0, "unchanged", "none, client or server"),
};

// "a=b" and "a-" at the end of the words, as a merge patch of labels or annotations: null removes.
struct PairEdits {
  std::vector<std::string> resources;
  json::Value set = json::Value::object();
  bool adds = false;
};

Result<PairEdits> split_pairs(const std::vector<std::string>& words) {
  PairEdits edits;
  for (const std::string& word : words) {
    size_t equals = word.find('=');
    bool resource = edits.set.empty() && equals == std::string::npos && !word.ends_with('-');
    if (resource) {
      edits.resources.push_back(word);
    } else if (equals != std::string::npos && equals > 0) {
      edits.set.set(word.substr(0, equals), word.substr(equals + 1));
      edits.adds = true;
    } else if (word.ends_with('-') && equals == std::string::npos) {
      edits.set.set(word.substr(0, word.size() - 1), nullptr);
    } else {
      return bad("unknown command \"" + word + "\"");
    }
  }
  return edits;
}

struct PairWords {
  const char* field;      // "labels"
  const char* one;        // "label"
  const char* changed;    // "labeled"
  const char* removed;    // "unlabeled"
  const char* unchanged;  // "not labeled"
};

Result<void> edit_pairs(Session& session, const Flags& flags, const PairWords& words,
                        const PairEdits& edits, const Target& target, DryRun mode,
                        const Output& output) {
  const json::Value& there = target.object["metadata"][words.field];
  bool changes = false;
  for (auto [key, value] : edits.set.members()) {
    const json::Value& old = there[key];
    if (value.is_null()) {
      if (old.is_null()) {
        print(fmt::format("{} \"{}\" not found.\n", words.one, key));
      } else {
        changes = true;
      }
      continue;
    }
    if (old == value) continue;
    if (!old.is_null() && !flags.yes("overwrite")) {
      return bad(fmt::format("'{}' already has a value ({}), and --overwrite is false", key,
                             old.as_string()));
    }
    changes = true;
  }
  json::Value object = target.object;
  if (changes && mode != DryRun::kClient) {
    json::Value metadata = json::Value::object({{words.field, edits.set}});
    if (flags.has("resource-version")) {
      metadata.set("resourceVersion", flags.text("resource-version"));
    }
    ApiAsk ask;
    ask.method = "PATCH";
    ask.path = target.path();
    ask.content_type = kMergePatch;
    ask.body = json::write(json::Value::object({{"metadata", metadata}}));
    ask.query.add("fieldManager",
                  flags.text("field-manager", std::string("kubectl-") +
                                                  (words.one[0] == 'l' ? "label" : "annotate")));
    add_dry_run(ask.query, mode);
    TRY_ASSIGN(ApiClient * api, session.api());
    TRY_ASSIGN(object, api->call(ask));
  }
  const char* verb = edits.adds && !changes   ? words.unchanged
                     : edits.adds || !changes ? words.changed
                                              : words.removed;
  print_change(output, target, object, verb, mode);
  return {};
}

Result<int> edit_all_pairs(Session& session, const Flags& flags, const PairWords& words) {
  TRY_ASSIGN(PairEdits edits, split_pairs(flags.words));
  if (edits.resources.empty() && !flags.has("filename")) {
    return bad("one or more resources must be specified as <resource> <name> or <resource>/<name>");
  }
  if (edits.set.empty() && !flags.yes("list")) {
    return bad(fmt::format("at least one {} update is required", words.one));
  }
  TRY_ASSIGN(Output output, parse_output(flags));
  TRY_ASSIGN(DryRun mode, dry_run(flags));
  SelectOptions how;
  how.need_names = true;
  how.verb = words.one;
  TRY_ASSIGN(Selection selection, select_targets(session, flags, edits.resources, how));
  for (const Target& target : selection.targets) {
    if (flags.yes("list")) {
      for (auto [key, value] : target.object["metadata"][words.field].members()) {
        print(fmt::format("{}={}\n", key, value.as_string()));
      }
      if (edits.set.empty()) continue;
    }
    auto edited = edit_pairs(session, flags, words, edits, target, mode, output);
    if (!edited.ok()) selection.status = report(edited.error());
  }
  return selection.status;
}

}  // namespace

const std::span<const FlagSpec> kLabelFlags = kLabel;
const std::span<const FlagSpec> kPatchFlags = kPatch;
const std::span<const FlagSpec> kScaleFlags = kScale;

Result<int> label_verb(Session& session, const Flags& flags) {
  return edit_all_pairs(session, flags, {"labels", "label", "labeled", "unlabeled", "not labeled"});
}

Result<int> annotate_verb(Session& session, const Flags& flags) {
  return edit_all_pairs(session, flags,
                        {"annotations", "annotation", "annotated", "annotated", "annotated"});
}

Result<int> patch_verb(Session& session, const Flags& flags) {
  std::string text = flags.text("patch");
  if (flags.has("patch-file")) {
    TRY_ASSIGN(text, base::read_file(flags.text("patch-file")));
  }
  if (text.empty())
    return bad("must specify --patch or --patch-file containing the contents of the patch");
  auto patch = api::parse_yaml(text);
  if (!patch.ok())
    return bad(fmt::format("unable to parse \"{}\": {}", text, patch.error().message));
  TRY_ASSIGN(Output output, parse_output(flags));
  TRY_ASSIGN(DryRun mode, dry_run(flags));
  std::string type = flags.text("type", "strategic");
  const char* media = type == "strategic" ? kStrategicPatch
                      : type == "merge"   ? kMergePatch
                      : type == "json"    ? kJsonPatch
                                          : nullptr;
  if (media == nullptr) {
    return bad(fmt::format("--type must be one of [json merge strategic], not \"{}\"", type));
  }
  SelectOptions how;
  how.need_names = true;
  how.verb = "patch";
  TRY_ASSIGN(Selection selection, select_targets(session, flags, flags.words, how));
  TRY_ASSIGN(ApiClient * api, session.api());
  for (const Target& target : selection.targets) {
    ApiAsk ask;
    ask.method = "PATCH";
    ask.path = target.path(flags.text("subresource"));
    ask.content_type = media;
    ask.body = json::write(patch->value);
    ask.query.add("fieldManager", flags.text("field-manager", "kubectl-patch"));
    add_dry_run(ask.query, mode == DryRun::kClient ? DryRun::kServer : mode);
    auto answer = api->call(ask);
    if (!answer.ok()) {
      selection.status = report(answer.error());
      continue;
    }
    bool same =
        (*answer)["metadata"]["resourceVersion"] == target.object["metadata"]["resourceVersion"];
    print_change(output, target, *answer,
                 same && mode == DryRun::kNone ? "patched (no change)" : "patched", mode);
  }
  return selection.status;
}

Result<int> scale_verb(Session& session, const Flags& flags) {
  if (!flags.has("replicas")) return bad("required flag(s) \"replicas\" not set");
  TRY_ASSIGN(int64_t replicas, flags.number("replicas", -1));
  TRY_ASSIGN(int64_t current, flags.number("current-replicas", -1));
  if (replicas < 0)
    return bad(
        "The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
  TRY_ASSIGN(Output output, parse_output(flags));
  TRY_ASSIGN(DryRun mode, dry_run(flags));
  SelectOptions how;
  how.need_names = true;
  how.verb = "scale";
  how.fail_early = true;
  auto selected = select_targets(session, flags, flags.words, how);
  if (!selected.ok()) {
    if (selected.error().details == nullptr) return selected.error();
    return bad("no objects passed to scale " + selected.error().message);
  }
  Selection selection = std::move(*selected);
  if (selection.targets.empty() && selection.status == 0) return bad("no objects passed to scale");
  TRY_ASSIGN(ApiClient * api, session.api());
  for (const Target& target : selection.targets) {
    if (!target.resource->has_subresource("scale")) {
      selection.status =
          report(bad(fmt::format("could not find scale subresource for {} in discovery information",
                                 target.resource->plural)));
      continue;
    }
    int64_t now = target.object["spec"]["replicas"].as_int(1);
    if (current >= 0 && now != current) {
      selection.status =
          report(bad(fmt::format("Expected replicas to be {}, was {}", current, now)));
      continue;
    }
    json::Value object = target.object;
    if (mode != DryRun::kClient) {
      ApiAsk ask;
      ask.method = "PATCH";
      ask.path = target.path("scale");
      ask.content_type = kMergePatch;
      json::Value patch =
          json::Value::object({{"spec", json::Value::object({{"replicas", replicas}})}});
      if (flags.has("resource-version")) {
        patch.set("metadata",
                  json::Value::object({{"resourceVersion", flags.text("resource-version")}}));
      }
      ask.body = json::write(patch);
      add_dry_run(ask.query, mode);
      auto answer = api->call(ask);
      if (!answer.ok()) {
        selection.status = report(answer.error());
        continue;
      }
      object.member("spec").set("replicas", replicas);
    }
    print_change(output, target, object, "scaled", mode);
  }
  return selection.status;
}

}  // namespace knarr::kubectl
