// LabelSelector and NodeSelectorRequirement lists, compiled once and asked often, over an object's
// sorted labels. Validation is elsewhere: what can't be understood matches nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "knarr/object.h"

namespace knarr::api {

using Labels = std::vector<std::pair<std::string, std::string>>;  // sorted by key

// The value of a label; nullptr when absent.
const std::string* find_label(const Labels& labels, std::string_view key);

// metadata.labels and the like.
Labels labels_of(const json::Value& map);

class LabelMatch {
 public:
  LabelMatch() = default;  // matches everything
  static LabelMatch nothing();
  // A LabelSelector: null matches nothing, {} everything.
  static LabelMatch of_selector(const json::Value& selector);
  // A plain map (spec.selector of a Service or ReplicationController, nodeSelector).
  static LabelMatch of_map(const json::Value& map);
  // A list of {key, operator, values}, with Gt and Lt as node selectors have them.
  static LabelMatch of_expressions(const json::Value& expressions);

  void add_expression(const json::Value& expression);
  void add_equals(std::string key, std::string value);

  bool matches(const Labels& labels) const;
  bool matches(const Object& object) const { return matches(object.labels); }
  bool empty() const { return !nothing_ && terms_.empty(); }  // matches everything
  bool is_nothing() const { return nothing_; }

 private:
  enum class Op { kIn, kNotIn, kExists, kAbsent, kGreater, kLess };
  struct Term {
    std::string key;
    Op op;
    std::vector<std::string> values;
    int64_t number = 0;  // of kGreater and kLess
  };
  static bool holds(const Term& term, const Labels& labels);

  bool nothing_ = false;
  std::vector<Term> terms_;
};

}  // namespace knarr::api
