#include "api/openapi/describe.h"

#include <array>
#include <utility>

#include "base/format.h"

namespace knarr::api {
namespace {

bool upper(char c) { return c >= 'A' && c <= 'Z'; }
bool lower(char c) { return c >= 'a' && c <= 'z'; }

std::string sentence(std::string text) {
  if (!text.empty() && lower(text[0])) text[0] = static_cast<char>(text[0] - 32);
  if (!text.empty() && text.back() != '.') text += '.';
  return text;
}

std::string_view without_suffix(std::string_view name, std::string_view suffix) {
  return name.substr(0, name.size() - suffix.size());
}

bool is_kind(const Type& type) {
  const Field* kind = type.field("kind");
  return kind != nullptr && kind->is(Field::kTypeMeta);
}

// Names that every kind shares.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kShared = {{
    {"apiVersion", "Group and version of the schema this object is written in."},
    {"kind", "What kind of object this is."},
    {"metadata", "Name, labels, annotations and what the server keeps about the object."},
    {"spec", "The desired state."},
    {"status", "The observed state; written by the cluster."},
    {"items", "The objects of the list."},
    {"conditions", "What has been observed, one entry a type."},
    {"observedGeneration", "The generation of the object that the status speaks of."},
}};

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kTypeSuffixes = {{
    {"Spec", "The desired state of a {}"},
    {"Status", "The observed state of a {}"},
    {"Condition", "One observation about a {}"},
    {"VolumeSource", "Where a volume of the type {} comes from"},
    {"Template", "What new objects are made from: {}"},
    {"Reference", "A reference: {}"},
    {"Selector", "A choice: {}"},
}};

std::string values_text(const char* values) {
  std::string out;
  for (const char* c = values; *c != 0; c++) {
    if (*c == '|') {
      out += ", ";
    } else {
      out += *c;
    }
  }
  return out;
}

std::string base_text(const Field& field) {
  std::string_view name = field.name();
  std::string words = words_of(name);
  constexpr std::string_view kSeconds = " seconds";
  if (words.ends_with(kSeconds)) {
    return fmt::format("{}, in seconds", without_suffix(words, kSeconds));
  }
  switch (field.type->kind) {
    case TypeKind::kBool: return fmt::format("true or false: {}", words);
    case TypeKind::kTime:
    case TypeKind::kMicroTime: return fmt::format("moment: {}", words);
    case TypeKind::kBytes: return fmt::format("{}, in base64", words);
    case TypeKind::kMap: return fmt::format("{}, by name", words);
    default: return words;
  }
}

}  // namespace

std::string words_of(std::string_view name) {
  std::string out;
  for (size_t i = 0; i < name.size(); i++) {
    char c = name[i];
    bool next_lower = i + 1 < name.size() && lower(name[i + 1]);
    // "clusterIPs" is "cluster IPs": a lone s after capitals does not begin a word.
    bool plural = next_lower && name[i + 1] == 's' && i + 2 == name.size();
    bool starts = upper(c) && i > 0 &&
                  (!upper(name[i - 1]) || (next_lower && !plural && i + 1 < name.size()));
    if (starts) out += ' ';
    bool acronym = upper(c) && ((i + 1 < name.size() && (upper(name[i + 1]) || plural)) ||
                                (i > 0 && upper(name[i - 1]) && !starts));
    out += upper(c) && !acronym ? static_cast<char>(c + 32) : c;
  }
  return out;
}

std::string describe_type(const Type& type) {
  std::string_view name = type.name;
  if (is_kind(type) && name.ends_with("List") && type.field("items") != nullptr) {
    return fmt::format("A list of {} objects.", without_suffix(name, "List"));
  }
  if (is_kind(type)) return fmt::format("An object of kind {}.", name);
  for (const auto& [suffix, text] : kTypeSuffixes) {
    if (name.ends_with(suffix) && name.size() > suffix.size()) {
      return sentence(fmt::format(fmt::runtime(text), words_of(without_suffix(name, suffix))));
    }
  }
  return sentence(words_of(name));
}

std::string describe_field(const Type& owner, const Field& field) {
  std::string out;
  if (field.facts->description != nullptr) out = field.facts->description;
  bool shared =
      is_kind(owner) || field.name() == "conditions" || field.name() == "observedGeneration";
  for (const auto& [name, text] : kShared) {
    if (out.empty() && shared && field.name() == name) out = text;
  }
  if (out.empty()) out = sentence(base_text(field));
  const FieldFacts& facts = *field.facts;
  if (facts.enum_values != nullptr) {
    out += fmt::format(" One of: {}.", values_text(facts.enum_values));
  } else if (facts.known_values != nullptr && field.type->kind != TypeKind::kMap) {
    out += fmt::format(" For example: {}.", values_text(facts.known_values));
  }
  if (facts.fill_json != nullptr) out += fmt::format(" Default: {}.", facts.fill_json);
  if (field.is(Field::kGateOff) && facts.gate != nullptr) {
    out += fmt::format(" Needs the feature gate {}.", facts.gate);
  }
  return out;
}

}  // namespace knarr::api
