#include "api/validation/metadata.h"

#include <algorithm>

#include "base/format.h"

namespace knarr::api {
namespace {

constexpr size_t kMaxAnnotationsBytes = 256 * 1024;

// The code point of the UTF-8 sequence at `at`, which moves past it; U+FFFD for what is none.
uint32_t next_rune(std::string_view text, size_t& at) {
  auto first = static_cast<unsigned char>(text[at++]);
  if (first < 0x80) return first;
  int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc2 ? 1 : 0;
  if (more == 0 || at + more > text.size()) return 0xfffd;
  uint32_t rune = first & (0x3f >> more);
  for (int i = 0; i < more; i++) {
    auto c = static_cast<unsigned char>(text[at + i]);
    if ((c & 0xc0) != 0x80) return 0xfffd;
    rune = rune << 6 | (c & 0x3f);
  }
  at += more;
  return rune;
}

// Neither control, nor format character, nor space but the plain one.
bool is_print(uint32_t rune) {
  auto within = [rune](uint32_t low, uint32_t high) { return rune >= low && rune <= high; };
  return !(rune < 0x20 || within(0x7f, 0xa0) || rune == 0xad || within(0x2000, 0x200f) ||
           within(0x2028, 0x202f) || within(0x205f, 0x206f) || rune == 0x3000 ||
           within(0xd800, 0xf8ff) || rune == 0xfeff || within(0xf0000, 0x10ffff));
}

// A generated name continues what ends in '-': judge it as if it did.
std::string unmasked(std::string_view name, bool prefix) {
  std::string out(name);
  if (prefix && out.size() > 1 && out.back() == '-') {
    out.back() = 'a';
  }
  return out;
}

void validate_owner_references(const json::Value& owners, const Path& path, ErrorList& errors) {
  std::string controller;
  for (const json::Value& owner : owners.elements()) {
    std::string_view api_version = owner["apiVersion"].as_string();
    size_t slash = api_version.find('/');
    std::string_view version =
        slash == std::string_view::npos ? api_version : api_version.substr(slash + 1);
    if (version.empty()) {
      errors.invalid(path / "apiVersion", api_version, "version must not be empty");
    }
    for (const char* member : {"kind", "name", "uid"}) {
      if (owner[member].as_string().empty()) errors.invalid(path / member, "", "must not be empty");
    }
    if (api_version == "v1" && owner["kind"].as_string() == "Event") {
      errors.invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner");
    }
    if (!owner["controller"].as_bool()) continue;
    std::string name = owner["kind"].text() + "/" + owner["name"].text();
    if (controller.empty()) {
      controller = std::move(name);
    } else {
      errors.invalid(path, owners,
                     fmt::format("Only one reference can have Controller set to true. Found "
                                 "\"true\" in references for {} and {}",
                                 controller, name));
    }
  }
}

void validate_finalizers(const json::Value& finalizers, const Path& path, ErrorList& errors) {
  bool orphan = false;
  bool foreground = false;
  for (const json::Value& finalizer : finalizers.elements()) {
    errors.invalid_all(path, finalizer, check_qualified_name(finalizer.as_string()));
    orphan |= finalizer.as_string() == "orphan";
    foreground |= finalizer.as_string() == "foregroundDeletion";
  }
  if (orphan && foreground) {
    errors.invalid(path, finalizers, "finalizer orphan and foregroundDeletion cannot be both set");
  }
}

void validate_managed_fields(const json::Value& entries, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const json::Value& entry : entries.elements()) {
    Path at = path[i++];
    std::string_view operation = entry["operation"].as_string();
    if (operation != "Apply" && operation != "Update") {
      errors.invalid(at / "operation", operation, "must be `Apply` or `Update`");
    }
    std::string_view type = entry["fieldsType"].as_string();
    if (!type.empty() && type != "FieldsV1") {
      errors.invalid(at / "fieldsType", type, "must be `FieldsV1`");
    }
    validate_field_manager(entry["manager"].as_string(), at / "manager", errors);
    if (entry["subresource"].as_string().size() > 256) errors.too_long(at / "subresource", 256);
  }
}

void immutable(const json::Value& metadata, const json::Value& old, const char* field,
               const Path& path, ErrorList& errors) {
  const json::Value& now = metadata[field];
  if (now == old[field]) return;
  if (now.is_null() && old[field].as_string("x").empty()) return;
  errors.invalid(path / field, now.is_null() && old[field].is_string() ? json::Value("") : now,
                 "field is immutable");
}

// A metadata value that upstream holds as text.
std::string_view text_of(const json::Value& metadata, const char* field) {
  return metadata[field].as_string();
}

void immutable_text(const json::Value& metadata, const json::Value& old, const char* field,
                    const Path& path, ErrorList& errors) {
  if (text_of(metadata, field) == text_of(old, field)) return;
  errors.invalid(path / field, text_of(metadata, field), "field is immutable");
}

void no_new_finalizers(const json::Value& metadata, const json::Value& old, const Path& path,
                       ErrorList& errors) {
  if (old["deletionTimestamp"].is_null()) return;
  std::vector<std::string_view> added;
  for (const json::Value& finalizer : metadata["finalizers"].elements()) {
    bool known = false;
    for (const json::Value& had : old["finalizers"].elements()) known |= had == finalizer;
    if (!known) added.push_back(finalizer.as_string());
  }
  if (added.empty()) return;
  std::sort(added.begin(), added.end());
  std::string list;
  for (std::string_view name : added) list += (list.empty() ? "" : ", ") + go_quote(name);
  errors.forbidden(
      path / "finalizers",
      fmt::format("no new finalizers can be added if the object is being deleted, found "
                  "new finalizers []string{{{}}}",
                  list));
}

}  // namespace

void validate_field_manager(std::string_view manager, const Path& path, ErrorList& errors) {
  constexpr size_t kMaxManager = 128;
  if (manager.size() > kMaxManager) errors.too_long(path, kMaxManager);
  size_t at = 0;
  while (at < manager.size()) {
    size_t begin = at;
    uint32_t rune = next_rune(manager, at);
    if (is_print(rune)) continue;
    errors.invalid(path, manager,
                   fmt::format("invalid character U+{:04X} (at position {})", rune, begin));
  }
}

Problems name_is_dns_subdomain(std::string_view name, bool prefix) {
  return check_dns1123_subdomain(unmasked(name, prefix));
}

Problems name_is_dns_label(std::string_view name, bool prefix) {
  return check_dns1123_label(unmasked(name, prefix));
}

Problems name_is_dns1035_label(std::string_view name, bool prefix) {
  return check_dns1035_label(unmasked(name, prefix));
}

Problems name_is_path_segment(std::string_view name, bool prefix) {
  if (!prefix) return check_path_segment(name);
  Problems out;
  for (char c : {'/', '%'}) {
    if (name.find(c) != std::string_view::npos)
      out.push_back(fmt::format("may not contain '{}'", c));
  }
  return out;
}

Problems name_is_anything(std::string_view, bool) { return {}; }

void validate_kube_finalizers(const json::Value& finalizers, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const json::Value& finalizer : finalizers.elements()) {
    Path at = path[i++];
    std::string_view name = finalizer.as_string();
    bool standard = name == "kubernetes" || name == "orphan" || name == "foregroundDeletion";
    if (name.find('/') == std::string_view::npos && !standard) {
      errors.invalid(at, name,
                     "name is neither a standard finalizer name nor is it fully qualified");
    }
  }
}

void validate_labels(const json::Value& labels, const Path& path, ErrorList& errors) {
  std::vector<std::pair<std::string_view, const json::Value*>> sorted;
  for (auto [key, value] : labels.members()) sorted.emplace_back(key, &value);
  std::sort(sorted.begin(), sorted.end());
  for (const auto& [key, value] : sorted) {
    errors.invalid_all(path, key, check_label_key(key));
    errors.invalid_all(path, *value, check_label_value(value->as_string()));
  }
}

void validate_annotations(const json::Value& annotations, const Path& path, ErrorList& errors) {
  size_t total = 0;
  for (auto [key, value] : annotations.members()) {
    std::string lower(key);
    for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    errors.invalid_all(path, key, check_qualified_name(lower));
    total += key.size() + value.as_string().size();
  }
  if (total > kMaxAnnotationsBytes) errors.too_long(path, kMaxAnnotationsBytes);
}

void validate_metadata(const json::Value& metadata, bool namespaced, NameCheck check,
                       const ErrorList& more_of_name, const Path& path, ErrorList& errors) {
  std::string_view generate = text_of(metadata, "generateName");
  if (!generate.empty() && check != nullptr) {
    errors.invalid_all(path / "generateName", generate, check(generate, true));
  }
  std::string_view name = text_of(metadata, "name");
  if (name.empty()) {
    errors.required(path / "name", "name or generateName is required");
  } else {
    if (check != nullptr) errors.invalid_all(path / "name", name, check(name, false));
    errors.append(more_of_name);
  }
  std::string_view ns = text_of(metadata, "namespace");
  if (namespaced) {
    if (ns.empty()) {
      errors.required(path / "namespace");
    } else {
      errors.invalid_all(path / "namespace", ns, check_dns1123_label(ns));
    }
  } else if (!ns.empty()) {
    errors.forbidden(path / "namespace", "not allowed on this type");
  }
  if (metadata["generation"].as_int() < 0) {
    errors.invalid(path / "generation", metadata["generation"],
                   "must be greater than or equal to 0");
  }
  validate_labels(metadata["labels"], path / "labels", errors);
  validate_annotations(metadata["annotations"], path / "annotations", errors);
  validate_owner_references(metadata["ownerReferences"], path / "ownerReferences", errors);
  validate_finalizers(metadata["finalizers"], path / "finalizers", errors);
  validate_managed_fields(metadata["managedFields"], path / "managedFields", errors);
}

void validate_metadata_update(const json::Value& metadata, const json::Value& old, const Path& path,
                              ErrorList& errors) {
  no_new_finalizers(metadata, old, path, errors);
  if (text_of(metadata, "resourceVersion").empty()) {
    errors.invalid(path / "resourceVersion", "", "must be specified for an update");
  }
  if (metadata["generation"].as_int() < old["generation"].as_int()) {
    errors.invalid(path / "generation", metadata["generation"].as_int(), "must not be decremented");
  }
  immutable_text(metadata, old, "name", path, errors);
  immutable_text(metadata, old, "namespace", path, errors);
  immutable_text(metadata, old, "uid", path, errors);
  immutable(metadata, old, "creationTimestamp", path, errors);
  immutable(metadata, old, "deletionTimestamp", path, errors);
  immutable(metadata, old, "deletionGracePeriodSeconds", path, errors);
  validate_labels(metadata["labels"], path / "labels", errors);
  validate_annotations(metadata["annotations"], path / "annotations", errors);
  validate_owner_references(metadata["ownerReferences"], path / "ownerReferences", errors);
  validate_managed_fields(metadata["managedFields"], path / "managedFields", errors);
}

}  // namespace knarr::api
