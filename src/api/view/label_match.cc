#include "api/view/label_match.h"

#include <algorithm>
#include <charconv>

namespace knarr::api {

namespace {

bool parse_number(std::string_view text, int64_t& number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

const std::string* find_label(const Labels& labels, std::string_view key) {
  auto it = std::lower_bound(labels.begin(), labels.end(), key,
                             [](const auto& pair, std::string_view k) { return pair.first < k; });
  return it != labels.end() && it->first == key ? &it->second : nullptr;
}

Labels labels_of(const json::Value& map) {
  Labels labels;
  for (auto [key, value] : map.members()) labels.emplace_back(std::string(key), value.text());
  std::sort(labels.begin(), labels.end());
  return labels;
}

LabelMatch LabelMatch::nothing() {
  LabelMatch match;
  match.nothing_ = true;
  return match;
}

LabelMatch LabelMatch::of_selector(const json::Value& selector) {
  if (!selector.is_object()) return nothing();
  LabelMatch match = of_map(selector["matchLabels"]);
  for (const json::Value& e : selector["matchExpressions"].elements()) match.add_expression(e);
  return match;
}

LabelMatch LabelMatch::of_map(const json::Value& map) {
  LabelMatch match;
  for (auto [key, value] : map.members()) match.add_equals(std::string(key), value.text());
  return match;
}

LabelMatch LabelMatch::of_expressions(const json::Value& expressions) {
  LabelMatch match;
  for (const json::Value& e : expressions.elements()) match.add_expression(e);
  return match;
}

void LabelMatch::add_equals(std::string key, std::string value) {
  terms_.push_back({std::move(key), Op::kIn, {std::move(value)}, 0});
}

void LabelMatch::add_expression(const json::Value& expression) {
  Term term{expression["key"].text(), Op::kIn, {}, 0};
  std::string_view op = expression["operator"].as_string();
  for (const json::Value& v : expression["values"].elements()) term.values.push_back(v.text());
  if (op == "In") {
    term.op = Op::kIn;
  } else if (op == "NotIn") {
    term.op = Op::kNotIn;
  } else if (op == "Exists") {
    term.op = Op::kExists;
  } else if (op == "DoesNotExist") {
    term.op = Op::kAbsent;
  } else if ((op == "Gt" || op == "Lt") && term.values.size() == 1 &&
             parse_number(term.values[0], term.number)) {
    term.op = op == "Gt" ? Op::kGreater : Op::kLess;
  } else {
    nothing_ = true;
  }
  terms_.push_back(std::move(term));
}

bool LabelMatch::holds(const Term& term, const Labels& labels) {
  const std::string* value = find_label(labels, term.key);
  auto listed = [&] {
    return std::find(term.values.begin(), term.values.end(), *value) != term.values.end();
  };
  switch (term.op) {
    case Op::kIn: return value != nullptr && listed();
    case Op::kNotIn: return value == nullptr || !listed();
    case Op::kExists: return value != nullptr;
    case Op::kAbsent: return value == nullptr;
    case Op::kGreater:
    case Op::kLess: {
      int64_t number = 0;
      if (value == nullptr || !parse_number(*value, number)) return false;
      return term.op == Op::kGreater ? number > term.number : number < term.number;
    }
  }
  return false;
}

bool LabelMatch::matches(const Labels& labels) const {
  if (nothing_) return false;
  return std::all_of(terms_.begin(), terms_.end(),
                     [&](const Term& term) { return holds(term, labels); });
}

}  // namespace knarr::api
