#include "server/controllers/deployment_annotations.h"

#include <charconv>

#include "api/view/meta.h"

namespace knarr::server {

namespace {

constexpr size_t kHistoryBytes = 2000;

bool is_own_annotation(std::string_view key) {
  return key == "kubectl.kubernetes.io/last-applied-configuration" || key == kRevision ||
         key == kRevisionHistory || key == kDesiredReplicas || key == kMaxReplicas ||
         key == "deprecated.deployment.rollback.to";
}

bool set_annotation(json::Value& object, std::string_view key, const std::string& text) {
  json::Value& notes = object.member("metadata").member("annotations");
  if (notes[key].as_string() == text && notes.has(key)) return false;
  notes.set(key, text);
  return true;
}

}  // namespace

std::optional<int64_t> number_annotation(const json::Value& object, const char* key) {
  std::string_view text = object["metadata"]["annotations"][key].as_string();
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
  return number;
}

bool set_replicas_annotations(json::Value& set, const RolloutSpec& spec) {
  bool changed = set_annotation(set, kDesiredReplicas, std::to_string(spec.replicas));
  int64_t most = spec.replicas + spec.max_surge;
  return set_annotation(set, kMaxReplicas, std::to_string(most)) || changed;
}

bool set_revision_annotations(json::Value& set, const json::Value& deployment, int64_t revision) {
  bool changed = false;
  for (auto [key, value] : deployment["metadata"]["annotations"].members()) {
    if (!is_own_annotation(key)) changed |= set_annotation(set, key, value.text());
  }
  auto old = number_annotation(set, kRevision);
  if (old.value_or(0) >= revision) return changed;
  if (old) {
    std::string history = set["metadata"]["annotations"][kRevisionHistory].text();
    if (!history.empty()) history += ",";
    history += std::to_string(*old);
    while (history.size() > kHistoryBytes) {
      size_t comma = history.find(',');
      if (comma == std::string::npos) break;
      history.erase(0, comma + 1);
    }
    set_annotation(set, kRevisionHistory, history);
  }
  set_annotation(set, kRevision, std::to_string(revision));
  return true;
}

bool same_template(const json::Value& deployment_template, const json::Value& set_template) {
  auto bare = [](const json::Value& from) {
    json::Value t = from;
    json::Value& meta = t.member("metadata");
    if (json::Value* labels = meta.find("labels")) labels->erase(kTemplateHash);
    if (meta["labels"].empty()) meta.erase("labels");
    meta.erase("creationTimestamp");
    return t;
  };
  return bare(deployment_template) == bare(set_template);
}

bool has_progress_deadline(const json::Value& deployment) {
  const json::Value& deadline = deployment["spec"]["progressDeadlineSeconds"];
  return deadline.is_integer() && deadline.as_int() != 2147483647;
}

bool is_complete(const json::Value& deployment, const json::Value& status) {
  int64_t replicas = api::int_field(deployment["spec"], "replicas", 1);
  return status["updatedReplicas"].as_int() == replicas &&
         status["replicas"].as_int() == replicas &&
         status["availableReplicas"].as_int() == replicas &&
         status["observedGeneration"].as_int() >= deployment["metadata"]["generation"].as_int();
}

}  // namespace knarr::server
