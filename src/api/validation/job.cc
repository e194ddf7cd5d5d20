// Jobs: what their spec may be, and how it may change.
#include <algorithm>
#include <set>

#include "api/selector.h"
#include "api/validation/internal.h"
#include "api/validation/job_indexes.h"
#include "api/validation/workload.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

constexpr int64_t kMaxIndexedParallelism = 100000;
constexpr int64_t kMaxFailedIndexes = 100000;
constexpr int64_t kManyCompletions = 100000;
constexpr int64_t kParallelismOfMany = 10000;
constexpr int64_t kFailedIndexesOfMany = 10000;

bool is_indexed(const Value& spec) { return spec["completionMode"].as_string() == "Indexed"; }

// Required with the choices named, or unsupported.
void choice(const Value& value, const std::vector<std::string_view>& choices, const Path& path,
            ErrorList& errors) {
  std::string_view text = value.as_string();
  if (text.empty()) {
    std::string list;
    for (std::string_view one : choices) list += (list.empty() ? "" : " ") + go_quote(one);
    errors.required(path, "valid values: [" + list + "]");
  } else if (std::find(choices.begin(), choices.end(), text) == choices.end()) {
    errors.not_supported(path, text, choices);
  }
}

void exit_codes(const Value& rule, const std::set<std::string_view>& containers, const Path& path,
                ErrorList& errors) {
  std::string_view op = rule["operator"].as_string();
  choice(rule["operator"], {"In", "NotIn"}, path / "operator", errors);
  const Value& name = rule["containerName"];
  if (!name.is_null() && !containers.contains(name.as_string())) {
    errors.invalid(path / "containerName", name,
                   "must be one of the container or initContainer names in the pod template");
  }
  const Value& values = rule["values"];
  Path at = path / "values";
  if (values.empty()) {
    errors.invalid(at, values, "at least one value is required");
  } else if (values.size() > 255) {
    errors.too_many(at, static_cast<int64_t>(values.size()), 255);
  }
  std::set<int64_t> seen;
  bool ordered = true;
  for (size_t i = 0; i < values.size(); i++) {
    int64_t code = values[i].as_int();
    if (op == "In" && code == 0) errors.invalid(at[i], 0, "must not be 0 for the In operator");
    if (!seen.insert(code).second) errors.duplicate(at[i], code);
    if (i > 0 && values[i - 1].as_int() > code) ordered = false;
  }
  if (!ordered) errors.invalid(at, values, "must be ordered");
}

void pod_conditions(const Value& patterns, const Path& path, ErrorList& errors) {
  if (patterns.size() > 20) errors.too_many(path, static_cast<int64_t>(patterns.size()), 20);
  size_t i = 0;
  for (const Value& pattern : patterns.elements()) {
    Path at = path[i++];
    qualified_name(pattern["type"], at / "type", errors);
    choice(pattern["status"], {"False", "True", "Unknown"}, at / "status", errors);
  }
}

void failure_policy(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& rules = spec["podFailurePolicy"]["rules"];
  Path at = path / "rules";
  if (rules.size() > 20) errors.too_many(at, static_cast<int64_t>(rules.size()), 20);
  std::set<std::string_view> containers;
  for (const char* list : {"containers", "initContainers"}) {
    for (const Value& c : spec["template"]["spec"][list].elements()) {
      containers.insert(c["name"].as_string());
    }
  }
  size_t i = 0;
  for (const Value& rule : rules.elements()) {
    Path here = at[i++];
    if (rule["action"].as_string() == "FailIndex") {
      if (spec["backoffLimitPerIndex"].is_null()) {
        errors.invalid(here / "action", "FailIndex", "requires the backoffLimitPerIndex to be set");
      }
    } else {
      choice(rule["action"], {"Count", "FailIndex", "FailJob", "Ignore"}, here / "action", errors);
    }
    bool codes = !rule["onExitCodes"].is_null();
    bool conditions = !rule["onPodConditions"].empty();
    if (codes) exit_codes(rule["onExitCodes"], containers, here / "onExitCodes", errors);
    if (conditions) pod_conditions(rule["onPodConditions"], here / "onPodConditions", errors);
    if (codes && conditions) {
      errors.invalid(here, "specifying both OnExitCodes and OnPodConditions is not supported");
    } else if (!codes && !conditions) {
      errors.invalid(here, "specifying one of OnExitCodes and OnPodConditions is required");
    }
  }
}

void success_rule(const Value& rule, int64_t completions, const Path& path, ErrorList& errors) {
  const Value& count = rule["succeededCount"];
  const Value& indexes = rule["succeededIndexes"];
  if (count.is_null() && indexes.is_null()) {
    errors.required(path, "at least one of succeededCount or succeededIndexes must be specified");
  }
  int64_t total = 0;
  if (!indexes.is_null()) {
    Path at = path / "succeededIndexes";
    constexpr int64_t kMaxText = 64 * 1024;
    if (indexes.as_string().size() > kMaxText) errors.too_long(at, kMaxText);
    auto counted = count_indexes(indexes.as_string(), completions);
    if (counted.ok()) {
      total = *counted;
    } else {
      errors.invalid(at, indexes, "error parsing succeededIndexes: " + counted.error().message);
    }
  }
  if (count.is_null()) return;
  Path at = path / "succeededCount";
  not_negative(count, at, errors);
  if (count.as_int() > completions) {
    errors.invalid(at, count,
                   fmt::format("must be less than or equal to {} (the number of specified "
                               "completions)",
                               completions));
  }
  if (!indexes.is_null() && count.as_int() > total) {
    errors.invalid(at, count,
                   fmt::format("must be less than or equal to {} (the number of indexes in the "
                               "specified succeededIndexes field)",
                               total));
  }
}

void success_policy(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& policy = spec["successPolicy"];
  if (!is_indexed(spec)) {
    errors.invalid(path, internal_value("batch", "v1", "SuccessPolicy", policy),
                   "requires indexed completion mode");
    return;
  }
  const Value& rules = policy["rules"];
  if (rules.empty()) {
    errors.required(path / "rules",
                    "at least one rules must be specified when the successPolicy is specified");
  }
  if (rules.size() > 20) errors.too_many(path / "rules", static_cast<int64_t>(rules.size()), 20);
  size_t i = 0;
  for (const Value& rule : rules.elements()) {
    success_rule(rule, spec["completions"].as_int(), (path / "rules")[i++], errors);
  }
}

void indexed(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& completions = spec["completions"];
  const Value& parallelism = spec["parallelism"];
  const Value& failed = spec["maxFailedIndexes"];
  if (completions.is_null()) {
    errors.required(path / "completions", "when completion mode is Indexed");
  }
  auto at_most = [&](const char* member, int64_t most, std::string_view when) {
    if (spec[member].as_int() <= most) return;
    errors.invalid(path / member, spec[member],
                   fmt::format("must be less than or equal to {}{}", most, when));
  };
  at_most("parallelism", kMaxIndexedParallelism, " when completion mode is Indexed");
  if (!completions.is_null() && failed.as_int() > completions.as_int()) {
    errors.invalid(path / "maxFailedIndexes", failed, "must be less than or equal to completions");
  }
  at_most("maxFailedIndexes", kMaxFailedIndexes, "");
  if (completions.as_int() <= kManyCompletions || spec["backoffLimitPerIndex"].is_null()) return;
  if (failed.is_null()) {
    errors.required(
        path / "maxFailedIndexes",
        fmt::format("must be specified when completions is above {}", kManyCompletions));
  }
  std::string when = fmt::format(
      " when completions are above {} and used with backoff limit per index", kManyCompletions);
  if (!parallelism.is_null()) at_most("parallelism", kParallelismOfMany, when);
  at_most("maxFailedIndexes", kFailedIndexesOfMany, when);
}

void completion_mode(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& mode = spec["completionMode"];
  maybe_one_of(mode, {"NonIndexed", "Indexed"}, path / "completionMode", errors);
  if (is_indexed(spec)) indexed(spec, path, errors);
  if (!mode.is_null() && mode.as_string() != "NonIndexed") return;
  for (const char* member : {"backoffLimitPerIndex", "maxFailedIndexes"}) {
    if (!spec[member].is_null()) {
      errors.invalid(path / member, spec[member], "requires indexed completion mode");
    }
  }
}

void restart_policy(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& policy = spec["template"]["spec"]["restartPolicy"];
  std::string_view text = policy.as_string("Always");
  Path at = path / "template" / "spec" / "restartPolicy";
  if (text == "Always" || text.empty()) {
    errors.required(at, "valid values: \"OnFailure\", \"Never\"");
  } else if (text != "OnFailure" && text != "Never") {
    errors.not_supported(at, policy, {"OnFailure", "Never"});
  } else if (!spec["podFailurePolicy"].is_null() && text != "Never") {
    errors.invalid(at, policy, "only \"Never\" is supported when podFailurePolicy is specified");
  }
}

void selector_rules(const Value& spec, const Path& path, ErrorList& errors) {
  if (spec["selector"].is_null()) {
    errors.required(path / "selector");
  } else {
    label_selector(spec["selector"], path / "selector", errors);
  }
  auto selector = LabelSelector::from_object(spec["selector"]);
  const Value& labels = spec["template"]["metadata"]["labels"];
  if (selector.ok() && !selector->matches(labels)) {
    errors.invalid(path / "template" / "metadata" / "labels", labels,
                   "`selector` does not match template `labels`");
  }
}

void has_label(const Value& labels, std::string_view key, std::string_view expected,
               ErrorList& errors) {
  Path path = (Path("spec") / "template" / "metadata" / "labels").key(key);
  std::string detail = fmt::format("must be '{}'", expected);
  if (!labels.has(key)) {
    errors.required(path, detail);
  } else if (labels[key].as_string() != expected) {
    errors.invalid(path, labels, detail);
  }
}

// Without manualSelector, selector and labels are those that the server makes.
void generated_selector(const Value& object, bool prefixed, ErrorList& errors) {
  const Value& spec = object["spec"];
  if (spec["manualSelector"].as_bool() || spec["selector"].is_null()) return;
  const Value& labels = spec["template"]["metadata"]["labels"];
  std::string_view uid = object["metadata"]["uid"].as_string();
  std::string_view name = object["metadata"]["name"].as_string();
  Value expected = Value::object();
  for (std::string_view prefix : {"", "batch.kubernetes.io/"}) {
    if (!prefix.empty() && !prefixed) continue;
    std::string of_uid = std::string(prefix) + "controller-uid";
    std::string of_name = std::string(prefix) + "job-name";
    has_label(labels, of_uid, uid, errors);
    has_label(labels, of_name, name, errors);
    expected.set(of_uid, uid);
    expected.set(of_name, name);
  }
  auto selector = LabelSelector::from_object(spec["selector"]);
  if (selector.ok() && !selector->matches(expected)) {
    errors.invalid(Path("spec") / "selector", spec["selector"], "`selector` not auto-generated");
  }
}

void hostname_fits(const Value& object, ErrorList& errors) {
  int64_t completions = object["spec"]["completions"].as_int();
  if (!is_indexed(object["spec"]) || completions <= 0) return;
  std::string last = fmt::format("{}-{}", object["metadata"]["name"].as_string(), completions - 1);
  if (!check_dns1123_label(last).empty()) {
    errors.invalid(Path("metadata") / "name", object["metadata"]["name"],
                   "will not able to create pod with invalid DNS label: " + last);
  }
}

// What may differ while a job is suspended: where its pods go, and how much they ask for.
Value without_scheduling(const Value& pod_template) {
  Value out = pod_template;
  Value& spec = out.member("spec");
  for (const char* member : {"nodeSelector", "tolerations", "schedulingGates"}) spec.erase(member);
  if (Value* affinity = spec.find("affinity")) {
    affinity->erase("nodeAffinity");
    if (affinity->empty()) spec.erase("affinity");
  }
  Value& meta = out.member("metadata");
  meta.erase("labels");
  meta.erase("annotations");
  return out;
}

void forgive_resources(Value& spec, const Value& before) {
  for (const char* list : {"containers", "initContainers"}) {
    Value* now = spec.find(list);
    if (now == nullptr || now->size() != before[list].size()) continue;
    for (size_t i = 0; i < now->size(); i++) {
      if (now->at(i)["name"] == before[list][i]["name"]) {
        now->at(i).set("resources", before[list][i]["resources"]);
      }
    }
  }
}

void template_update(const Value& object, const Value& old, const Path& path, ErrorList& errors) {
  const Value& now = object["spec"]["template"];
  const Value& before = old["spec"]["template"];
  const Value& status = old["status"];
  bool suspended = old["spec"]["suspend"].as_bool();
  bool told = false;
  for (const Value& c : status["conditions"].elements()) {
    told |= c["type"].as_string() == "Suspended" && c["status"].as_string() == "True";
  }
  bool open =
      suspended && (status["startTime"].is_null() || told) && status["active"].as_int() == 0;
  Value a = open ? without_scheduling(now) : now;
  Value b = open ? without_scheduling(before) : before;
  if (suspended && open) {
    forgive_resources(a.member("spec"), b["spec"]);
    if (!(a["spec"] == b["spec"])) {
      errors.invalid(path / "template.spec", internal_value("", "v1", "PodSpec", now["spec"]),
                     kImmutable);
    }
  } else if (!(a == b)) {
    errors.invalid(path / "template", internal_value("", "v1", "PodTemplateSpec", now), kImmutable);
  }
}

void completions_update(const Value& spec, const Value& before, const Path& path,
                        ErrorList& errors) {
  const Value& now = spec["completions"];
  if (!is_indexed(spec)) return immutable(now, before["completions"], path, errors);
  if (now == before["completions"] || now.is_null()) return;
  if (now.as_int() != spec["parallelism"].as_int()) {
    errors.invalid(path, now, "can only be modified in tandem with spec.parallelism");
  }
}

}  // namespace

void job_spec(const Value& spec, const Path& path, ErrorList& errors) {
  for (const char* member :
       {"parallelism", "completions", "activeDeadlineSeconds", "backoffLimit",
        "ttlSecondsAfterFinished", "backoffLimitPerIndex", "maxFailedIndexes"}) {
    not_negative(spec[member], path / member, errors);
  }
  if (!spec["maxFailedIndexes"].is_null() && spec["backoffLimitPerIndex"].is_null()) {
    errors.required(path / "backoffLimitPerIndex", "when maxFailedIndexes is specified");
  }
  const Value& manager = spec["managedBy"];
  if (!manager.is_null()) {
    domain_prefixed_path(manager, path / "managedBy", errors);
    if (manager.as_string().size() > 63) errors.too_long(path / "managedBy", 63);
  }
  completion_mode(spec, path, errors);
  if (!spec["podFailurePolicy"].is_null()) {
    failure_policy(spec, path / "podFailurePolicy", errors);
  }
  if (!spec["successPolicy"].is_null()) success_policy(spec, path / "successPolicy", errors);
  const Value& replacement = spec["podReplacementPolicy"];
  if (spec["podFailurePolicy"].is_null()) {
    maybe_one_of(replacement, {"Failed", "TerminatingOrFailed"}, path / "podReplacementPolicy",
                 errors);
  } else {
    maybe_one_of(replacement, {"Failed"}, path / "podReplacementPolicy", errors);
  }
  pod_template(spec["template"], path / "template", errors);
  restart_policy(spec, path, errors);
}

void job(const Value& object, ErrorList& errors) {
  Path path("spec");
  generated_selector(object, true, errors);
  job_spec(object["spec"], path, errors);
  selector_rules(object["spec"], path, errors);
  hostname_fits(object, errors);
}

void job_update(const Value& object, const Value& old, ErrorList& errors) {
  const Value& spec = object["spec"];
  const Value& before = old["spec"];
  Path path("spec");
  job_spec(spec, path, errors);
  selector_rules(spec, path, errors);
  completions_update(spec, before, path / "completions", errors);
  immutable(spec["selector"], before["selector"], path / "selector", errors);
  template_update(object, old, path, errors);
  struct Member {
    const char* name;
    const char* type;
  };
  for (const Member& m :
       {Member{"completionMode", ""}, Member{"podFailurePolicy", "PodFailurePolicy"},
        Member{"backoffLimitPerIndex", ""}, Member{"managedBy", ""},
        Member{"successPolicy", "SuccessPolicy"}}) {
    if (spec[m.name] == before[m.name]) continue;
    errors.invalid(path / m.name, internal_value("batch", "v1", m.type, spec[m.name]), kImmutable);
  }
}

}  // namespace knarr::api::rules
