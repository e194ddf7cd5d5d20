#include "api/selector.h"

#include <algorithm>
#include <charconv>

#include "api/names.h"
#include "api/validation/errors.h"
#include "base/format.h"
#include "base/json.h"

namespace knarr::api {
namespace {

enum class Token {
  kEnd,
  kIdentifier,
  kComma,
  kOpen,
  kClose,
  kNot,
  kEquals,
  kDoubleEquals,
  kNotEquals,
  kGreater,
  kLess,
  kIn,
  kNotIn,
  kError,
};

struct Item {
  Token token = Token::kEnd;
  std::string literal;
};

Error bad(std::string message) { return make_error(Code::kBadRequest, std::move(message)); }

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_special(char c) { return std::string_view("=!(),><").find(c) != std::string_view::npos; }

Token symbol(std::string_view text) {
  static constexpr std::pair<std::string_view, Token> kSymbols[] = {
      {")", Token::kClose},         {",", Token::kComma},      {"!", Token::kNot},
      {"==", Token::kDoubleEquals}, {"=", Token::kEquals},     {">", Token::kGreater},
      {"<", Token::kLess},          {"!=", Token::kNotEquals}, {"(", Token::kOpen},
  };
  for (const auto& [name, token] : kSymbols) {
    if (name == text) return token;
  }
  return Token::kError;
}

std::vector<Item> lex(std::string_view text) {
  std::vector<Item> out;
  size_t at = 0;
  for (;;) {
    while (at < text.size() && is_space(text[at])) at++;
    if (at >= text.size() || text[at] == '\0') break;
    size_t begin = at;
    if (is_special(text[at])) {
      // The longest run of symbols that is one.
      Item item;
      size_t end = at;
      item.token = Token::kError;
      for (size_t n = 1; begin + n <= text.size() && is_special(text[begin + n - 1]); n++) {
        Token token = symbol(text.substr(begin, n));
        if (token != Token::kError) {
          item = {token, std::string(text.substr(begin, n))};
          end = begin + n;
        } else if (item.token != Token::kError) {
          break;
        }
      }
      at = std::max(end, begin + 1);
      out.push_back(std::move(item));
      continue;
    }
    while (at < text.size() && !is_space(text[at]) && !is_special(text[at]) && text[at] != '\0')
      at++;
    std::string literal(text.substr(begin, at - begin));
    Token token = literal == "in"      ? Token::kIn
                  : literal == "notin" ? Token::kNotIn
                                       : Token::kIdentifier;
    out.push_back({token, std::move(literal)});
  }
  out.push_back({Token::kEnd, ""});
  return out;
}

void insert_sorted(std::vector<std::string>& values, std::string value) {
  auto at = std::lower_bound(values.begin(), values.end(), value);
  if (at == values.end() || *at != value) values.insert(at, std::move(value));
}

std::string joined(const Problems& problems) {
  std::string out;
  for (const std::string& problem : problems) out += (out.empty() ? "" : "; ") + problem;
  return out;
}

std::string first_errors(const ErrorList& errors) {
  std::string out;
  for (const FieldError& error : errors.errors()) {
    out += (out.empty() ? "" : ", ") + error.field + ": " + error.body;
  }
  return errors.size() > 1 ? "[" + out + "]" : out;
}

bool parses_as_int(const std::string& text, int64_t& out) {
  const char* begin = text.data();
  if (!text.empty() && text[0] == '+') begin++;
  auto [end, error] = std::from_chars(begin, text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && begin != end;
}

// What labels.NewRequirement refuses.
Result<Requirement> make_requirement(Requirement r) {
  ErrorList errors;
  Path values("values");
  if (Problems problems = check_label_key(r.key); !problems.empty()) {
    errors.invalid(Path("key"), r.key, joined(problems));
  }
  auto all = json::Value::array();
  for (const std::string& value : r.values) all.push_back(value);
  switch (r.op) {
    case Operator::kIn:
    case Operator::kNotIn:
      if (r.values.empty()) {
        errors.invalid(values, all, "for 'in', 'notin' operators, values set can't be empty");
      }
      break;
    case Operator::kEquals:
    case Operator::kDoubleEquals:
    case Operator::kNotEquals:
      if (r.values.size() != 1) {
        errors.invalid(values, all, "exact-match compatibility requires one single value");
      }
      break;
    case Operator::kExists:
    case Operator::kNotExists:
      if (!r.values.empty()) {
        errors.invalid(values, all, "values set must be empty for exists and does not exist");
      }
      break;
    case Operator::kGreaterThan:
    case Operator::kLessThan:
      if (r.values.size() != 1) {
        errors.invalid(values, all, "for 'Gt', 'Lt' operators, exactly one value is required");
      }
      for (size_t i = 0; i < r.values.size(); i++) {
        int64_t number = 0;
        if (!parses_as_int(r.values[i], number)) {
          errors.invalid(values[i], r.values[i],
                         "for 'Gt', 'Lt' operators, the value must be an integer");
        }
      }
      break;
  }
  for (size_t i = 0; i < r.values.size(); i++) {
    if (Problems problems = check_label_value(r.values[i]); !problems.empty()) {
      errors.invalid(values[i].key(r.key), r.values[i], joined(problems));
    }
  }
  if (!errors.empty()) return bad(first_errors(errors));
  return r;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : items_(lex(text)) {}

  Result<std::vector<Requirement>> parse() {
    std::vector<Requirement> out;
    for (;;) {
      const Item& item = look();
      if (item.token == Token::kEnd) return out;
      if (value_token() != Token::kIdentifier && item.token != Token::kNot) {
        return bad(
            fmt::format("found '{}', expected: !, identifier, or 'end of string'", item.literal));
      }
      auto requirement = parse_requirement();
      if (!requirement.ok()) {
        return bad("unable to parse requirement: " + requirement.error().message);
      }
      out.push_back(std::move(*requirement));
      Item next = take();
      if (next.token == Token::kEnd) return out;
      if (next.token != Token::kComma) {
        return bad(fmt::format("found '{}', expected: ',' or 'end of string'", next.literal));
      }
      if (value_token() != Token::kIdentifier && look().token != Token::kNot) {
        return bad(fmt::format("found '{}', expected: identifier after ','", look().literal));
      }
    }
  }

 private:
  const Item& look() const { return items_[at_]; }
  // "in" and "notin" are words like any other where a value stands.
  Token value_token() const {
    Token token = look().token;
    return token == Token::kIn || token == Token::kNotIn ? Token::kIdentifier : token;
  }
  Item take() {
    Item item = items_[at_];
    if (at_ + 1 < items_.size()) at_++;
    return item;
  }

  Result<Requirement> parse_requirement() {
    Requirement out;
    bool negated = look().token == Token::kNot;
    if (negated) take();
    if (value_token() != Token::kIdentifier) {
      return bad(fmt::format("found '{}', expected: identifier", look().literal));
    }
    out.key = take().literal;
    if (Problems problems = check_label_key(out.key); !problems.empty()) {
      ErrorList errors;
      errors.invalid(Path(), out.key, joined(problems));
      return bad(first_errors(errors));
    }
    if (negated || look().token == Token::kEnd || look().token == Token::kComma) {
      out.op = negated ? Operator::kNotExists : Operator::kExists;
      return make_requirement(std::move(out));
    }
    TRY_ASSIGN(out.op, parse_operator());
    if (out.op == Operator::kIn || out.op == Operator::kNotIn) {
      TRY_ASSIGN(out.values, parse_values());
    } else if (look().token == Token::kEnd || look().token == Token::kComma) {
      out.values = {""};
    } else if (value_token() == Token::kIdentifier) {
      out.values = {take().literal};
    } else {
      return bad(fmt::format("found '{}', expected: identifier", look().literal));
    }
    return make_requirement(std::move(out));
  }

  Result<Operator> parse_operator() {
    Item item = take();
    switch (item.token) {
      case Token::kIn: return Operator::kIn;
      case Token::kNotIn: return Operator::kNotIn;
      case Token::kEquals: return Operator::kEquals;
      case Token::kDoubleEquals: return Operator::kDoubleEquals;
      case Token::kNotEquals: return Operator::kNotEquals;
      case Token::kGreater: return Operator::kGreaterThan;
      case Token::kLess: return Operator::kLessThan;
      default:
        return bad(fmt::format("found '{}', expected: in, notin, =, ==, !=, gt, lt", item.literal));
    }
  }

  Result<std::vector<std::string>> parse_values() {
    std::vector<std::string> out;
    Item open = take();
    if (open.token != Token::kOpen) {
      return bad(fmt::format("found '{}' expected: '('", open.literal));
    }
    if (look().token == Token::kClose) {
      take();
      return std::vector<std::string>{""};
    }
    if (value_token() != Token::kIdentifier && look().token != Token::kComma) {
      return bad(fmt::format("found '{}', expected: ',', ')' or identifier", look().literal));
    }
    for (;;) {
      Token token = value_token();
      Item item = take();
      if (token == Token::kIdentifier) {
        insert_sorted(out, item.literal);
        if (look().token == Token::kComma) continue;
        if (look().token == Token::kClose) break;
        return bad(fmt::format("found '{}', expected: ',' or ')'", look().literal));
      }
      if (token != Token::kComma) {
        return bad(fmt::format("found '{}', expected: ',', or identifier", item.literal));
      }
      if (out.empty()) insert_sorted(out, "");
      if (look().token == Token::kClose) {
        insert_sorted(out, "");
        break;
      }
      if (look().token == Token::kComma) {
        take();
        insert_sorted(out, "");
      }
    }
    take();
    return out;
  }

  std::vector<Item> items_;
  size_t at_ = 0;
};

void append_text(std::string& out, const Requirement& r) {
  static constexpr std::string_view kOperators[] = {"=", "==", "!=", " in ", " notin ",
                                                    "",  "",   ">",  "<"};
  if (r.op == Operator::kNotExists) out += '!';
  out += r.key;
  out += kOperators[static_cast<size_t>(r.op)];
  bool set = r.op == Operator::kIn || r.op == Operator::kNotIn;
  if (set) out += '(';
  for (size_t i = 0; i < r.values.size(); i++) {
    if (i > 0) out += ',';
    out += r.values[i];
  }
  if (set) out += ')';
}

}  // namespace

bool Requirement::matches(const std::string* value) const {
  auto among = [&] { return std::find(values.begin(), values.end(), *value) != values.end(); };
  switch (op) {
    case Operator::kIn:
    case Operator::kEquals:
    case Operator::kDoubleEquals: return value != nullptr && among();
    case Operator::kNotIn:
    case Operator::kNotEquals: return value == nullptr || !among();
    case Operator::kExists: return value != nullptr;
    case Operator::kNotExists: return value == nullptr;
    case Operator::kGreaterThan:
    case Operator::kLessThan: {
      int64_t have = 0;
      int64_t bound = 0;
      if (value == nullptr || values.size() != 1) return false;
      if (!parses_as_int(*value, have) || !parses_as_int(values[0], bound)) return false;
      return op == Operator::kGreaterThan ? have > bound : have < bound;
    }
  }
  return false;
}

LabelSelector LabelSelector::nothing() {
  LabelSelector out;
  out.nothing_ = true;
  return out;
}

void LabelSelector::add(Requirement requirement) {
  auto at =
      std::upper_bound(requirements_.begin(), requirements_.end(), requirement,
                       [](const Requirement& a, const Requirement& b) { return a.key < b.key; });
  requirements_.insert(at, std::move(requirement));
}

Result<LabelSelector> LabelSelector::parse(std::string_view text) {
  TRY_ASSIGN(auto requirements, Parser(text).parse());
  LabelSelector out;
  for (Requirement& requirement : requirements) out.add(std::move(requirement));
  return out;
}

Result<LabelSelector> LabelSelector::from_object(const json::Value& selector) {
  if (selector.is_null()) return nothing();
  LabelSelector out;
  for (auto [key, value] : selector["matchLabels"].members()) {
    TRY_ASSIGN(auto r, make_requirement({std::string(key), Operator::kEquals, {value.text()}}));
    out.add(std::move(r));
  }
  for (const json::Value& expression : selector["matchExpressions"].elements()) {
    Requirement r;
    r.key = expression["key"].text();
    std::string_view op = expression["operator"].as_string();
    if (op == "In") {
      r.op = Operator::kIn;
    } else if (op == "NotIn") {
      r.op = Operator::kNotIn;
    } else if (op == "Exists") {
      r.op = Operator::kExists;
    } else if (op == "DoesNotExist") {
      r.op = Operator::kNotExists;
    } else {
      return bad(go_quote(op) + " is not a valid label selector operator");
    }
    for (const json::Value& value : expression["values"].elements()) {
      insert_sorted(r.values, value.text());
    }
    TRY_ASSIGN(r, make_requirement(std::move(r)));
    out.add(std::move(r));
  }
  return out;
}

LabelSelector LabelSelector::from_map(const json::Value& labels) {
  LabelSelector out;
  for (auto [key, value] : labels.members()) {
    out.add({std::string(key), Operator::kEquals, {value.text()}});
  }
  return out;
}

bool LabelSelector::matches(const Object& object) const {
  return matches(std::span(object.labels));
}

bool LabelSelector::matches(std::span<const std::pair<std::string, std::string>> labels) const {
  if (nothing_) return false;
  for (const Requirement& r : requirements_) {
    auto at = std::lower_bound(
        labels.begin(), labels.end(), r.key,
        [](const auto& label, const std::string& key) { return label.first < key; });
    if (!r.matches(at != labels.end() && at->first == r.key ? &at->second : nullptr)) return false;
  }
  return true;
}

bool LabelSelector::matches(const json::Value& labels) const {
  if (nothing_) return false;
  for (const Requirement& r : requirements_) {
    const json::Value* found = labels.find(r.key);
    std::string value = found == nullptr ? "" : found->text();
    if (!r.matches(found == nullptr ? nullptr : &value)) return false;
  }
  return true;
}

std::string LabelSelector::text() const {
  std::string out;
  for (const Requirement& r : requirements_) {
    if (!out.empty()) out += ',';
    append_text(out, r);
  }
  return out;
}

Result<std::string> label_selector_text(const json::Value& selector) {
  TRY_ASSIGN(LabelSelector parsed, LabelSelector::from_object(selector));
  return parsed.text();
}

}  // namespace knarr::api
