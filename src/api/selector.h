// Label and field selectors: parsed from a query or an object, printed, and matched against what an
// Object holds beside its JSON. Errors carry upstream's words, code kBadRequest.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/object.h"
#include "knarr/result.h"

namespace knarr::json {
class Value;
}

namespace knarr::api {

enum class Operator {
  kEquals,
  kDoubleEquals,
  kNotEquals,
  kIn,
  kNotIn,
  kExists,
  kNotExists,
  kGreaterThan,
  kLessThan,
};

struct Requirement {
  std::string key;
  Operator op = Operator::kEquals;
  std::vector<std::string> values;  // sorted

  bool matches(const std::string* value) const;  // null: the label is absent
  bool operator==(const Requirement&) const = default;
};

// A conjunction; without requirements it matches everything, and nothing() matches nothing.
class LabelSelector {
 public:
  LabelSelector() = default;
  static LabelSelector nothing();

  // "a=b,c in (d,e),!f": the labelSelector query parameter.
  static Result<LabelSelector> parse(std::string_view text);
  // meta/v1 LabelSelector; null gives nothing(), {} everything.
  static Result<LabelSelector> from_object(const json::Value& selector);
  // A plain map, as in Service.spec.selector.
  static LabelSelector from_map(const json::Value& labels);

  bool matches(const Object& object) const;
  bool matches(std::span<const std::pair<std::string, std::string>> labels) const;  // sorted by key
  bool matches(const json::Value& labels) const;  // metadata.labels; null is empty

  bool empty() const { return !nothing_ && requirements_.empty(); }
  bool is_nothing() const { return nothing_; }
  const std::vector<Requirement>& requirements() const { return requirements_; }
  void add(Requirement requirement);

  std::string text() const;

 private:
  std::vector<Requirement> requirements_;  // sorted by key
  bool nothing_ = false;
};

// meta/v1 LabelSelector as text, for tables; an error when it is malformed.
Result<std::string> label_selector_text(const json::Value& selector);

struct FieldTerm {
  std::string path;
  std::string value;
  bool equals = true;
};

class FieldSelector {
 public:
  // "metadata.name=a,status.phase!=Running", with \ before , = and \ in values.
  static Result<FieldSelector> parse(std::string_view text);

  // Refuses a path that is neither metadata.name, metadata.namespace nor among `supported`:
  // "field label not supported: x", or kBadRequest in the words of the kind.
  Result<void> check(std::string_view kind, std::span<const std::string_view> supported) const;

  // A path that the object does not hold reads as "".
  bool matches(const Object& object) const;

  bool empty() const { return terms_.empty(); }
  const std::vector<FieldTerm>& terms() const { return terms_; }
  // The one value asked for with "=", as of metadata.name; null when there is none.
  const std::string* required(std::string_view path) const;
  std::string text() const;

 private:
  std::vector<FieldTerm> terms_;
};

}  // namespace knarr::api
