#include "cli/kubectl/jsonpath.h"

#include <charconv>
#include <optional>

#include "base/format.h"
#include "cli/kubectl/bad.h"
#include "cli/kubectl/json_text.h"

namespace knarr::kubectl {

struct PathNode {
  enum class Kind { kText, kField, kWildcard, kRecursive, kSlice, kUnion, kFilter, kPath, kRange };
  Kind kind = Kind::kText;
  std::string text;                       // of kText, kField; the operator of a filter
  std::optional<int64_t> from, to, step;  // of kSlice; an index is from..from+1 with single
  bool single = false;
  std::vector<std::shared_ptr<const PathNode>> children;     // steps, branches, or a range's body
  std::vector<std::shared_ptr<const PathNode>> left, right;  // of a filter
  json::Value literal;                                       // of kText inside a filter
};

namespace {

using Node = std::shared_ptr<const PathNode>;
using Nodes = std::vector<Node>;
using Kind = PathNode::Kind;

bool ends_name(char c) {
  return c == '.' || c == '[' || c == ']' || c == ' ' || c == ')' || c == '=' || c == '!' ||
         c == '<' || c == '>' || c == '}' || c == ',';
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  // Text and expressions up to {end} or the end of the template.
  Result<Nodes> body(bool inside_range) {
    Nodes nodes;
    while (at_ < text_.size()) {
      size_t brace = std::min(text_.find('{', at_), text_.size());
      if (brace > at_) nodes.push_back(text_node(text_.substr(at_, brace - at_)));
      at_ = brace;
      if (at_ == text_.size()) break;
      at_++;
      skip_spaces();
      if (take_word("end")) {
        TRY(expect('}'));
        if (!inside_range) return bad("not in range, nothing to end");
        return nodes;
      }
      if (take_word("range")) {
        auto range = std::make_shared<PathNode>();
        range->kind = Kind::kRange;
        TRY_ASSIGN(range->left, path());
        TRY(expect('}'));
        TRY_ASSIGN(range->children, body(true));
        nodes.push_back(range);
        continue;
      }
      TRY(expression(nodes));
    }
    if (inside_range) return bad("unclosed action");
    return nodes;
  }

 private:
  static Node text_node(std::string_view text) {
    auto node = std::make_shared<PathNode>();
    node->text = std::string(text);
    node->literal = node->text;
    return node;
  }

  void skip_spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) at_++;
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take_word(std::string_view word) {
    std::string_view rest = text_.substr(at_);
    if (!rest.starts_with(word)) return false;
    char next = rest.size() > word.size() ? rest[word.size()] : '}';
    if (next != ' ' && next != '}') return false;
    at_ += word.size();
    return true;
  }
  Result<void> expect(char c) {
    skip_spaces();
    if (peek() != c) return bad("unclosed action");
    at_++;
    return {};
  }

  // What stands between braces: paths and quoted texts.
  Result<void> expression(Nodes& nodes) {
    while (true) {
      skip_spaces();
      char c = peek();
      if (c == '\0') return bad("unclosed action");
      if (c == '}') {
        at_++;
        return {};
      }
      if (c == '"' || c == '\'') {
        TRY_ASSIGN(std::string text, quoted());
        nodes.push_back(text_node(text));
        continue;
      }
      auto node = std::make_shared<PathNode>();
      node->kind = Kind::kPath;
      TRY_ASSIGN(node->children, path());
      nodes.push_back(node);
    }
  }

  Result<std::string> quoted() {
    char quote = text_[at_++];
    std::string out;
    while (peek() != quote) {
      char c = peek();
      if (c == '\0') return bad("unterminated quoted string");
      at_++;
      if (c == '\\' && at_ < text_.size()) {
        c = text_[at_++];
        c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
      }
      out += c;
    }
    at_++;
    return out;
  }

  std::string name() {
    std::string out;
    while (at_ < text_.size() && !ends_name(text_[at_])) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) at_++;
      out += text_[at_++];
    }
    return out;
  }

  static Node field(std::string name) {
    auto node = std::make_shared<PathNode>();
    node->kind = name == "*" ? Kind::kWildcard : Kind::kField;
    node->text = std::move(name);
    return node;
  }

  Result<Nodes> path() {
    Nodes steps;
    skip_spaces();
    if (peek() == '$' || peek() == '@') at_++;
    size_t begin = at_;
    while (true) {
      char c = peek();
      if (c == '.') {
        at_++;
        if (peek() == '.') {
          at_++;
          auto node = std::make_shared<PathNode>();
          node->kind = Kind::kRecursive;
          steps.push_back(node);
        }
        std::string key = name();
        if (!key.empty()) steps.push_back(field(std::move(key)));
      } else if (c == '[') {
        at_++;
        TRY_ASSIGN(Node node, bracket());
        steps.push_back(std::move(node));
      } else {
        break;
      }
    }
    if (at_ == begin && peek() != '}' && peek() != ')' && peek() != ' ') {
      std::string key = name();
      if (key.empty())
        return bad(fmt::format("unrecognized character in action: U+{:04X}", peek()));
      return bad("unrecognized identifier " + key);
    }
    return steps;
  }

  // After '['.
  Result<Node> bracket() {
    if (peek() == '?') return filter();
    auto all = std::make_shared<PathNode>();
    all->kind = Kind::kUnion;
    while (true) {
      skip_spaces();
      if (peek() == '\'' || peek() == '"') {
        TRY_ASSIGN(std::string key, quoted());
        auto node = std::make_shared<PathNode>();
        node->kind = Kind::kField;
        node->text = std::move(key);
        all->children.push_back(node);
      } else if (peek() == '*') {
        at_++;
        all->children.push_back(field("*"));
      } else {
        TRY_ASSIGN(Node node, slice());
        all->children.push_back(std::move(node));
      }
      skip_spaces();
      char c = peek();
      at_++;
      if (c == ']') break;
      if (c != ',') return bad("unterminated array");
    }
    return all->children.size() == 1 ? all->children[0] : Node(all);
  }

  Result<Node> slice() {
    auto node = std::make_shared<PathNode>();
    node->kind = Kind::kSlice;
    std::optional<int64_t>* parts[] = {&node->from, &node->to, &node->step};
    size_t part = 0;
    node->single = true;
    while (true) {
      int64_t number = 0;
      const char* begin = text_.data() + at_;
      auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), number);
      if (error == std::errc()) *parts[part] = number;
      at_ += static_cast<size_t>(end - begin);
      if (peek() != ':') break;
      node->single = false;
      at_++;
      if (++part == 3) return bad("invalid array index");
    }
    if (node->single && !node->from) return bad("invalid array index");
    return Node(node);
  }

  // After "[", at "?(...)]".
  Result<Node> filter() {
    at_++;
    TRY(expect('('));
    auto node = std::make_shared<PathNode>();
    node->kind = Kind::kFilter;
    TRY_ASSIGN(node->left, operand());
    skip_spaces();
    for (std::string_view op : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (!text_.substr(at_).starts_with(op)) continue;
      node->text = op;
      at_ += op.size();
      TRY_ASSIGN(node->right, operand());
      break;
    }
    TRY(expect(')'));
    TRY(expect(']'));
    return Node(node);
  }

  Result<Nodes> operand() {
    skip_spaces();
    char c = peek();
    if (c == '@' || c == '$' || c == '.') return path();
    auto node = std::make_shared<PathNode>();
    if (c == '"' || c == '\'') {
      TRY_ASSIGN(std::string text, quoted());
      node->literal = text;
    } else {
      size_t begin = at_;
      while (at_ < text_.size() && text_[at_] != ')' && text_[at_] != ' ' && text_[at_] != '=' &&
             text_[at_] != '<' && text_[at_] != '>' && text_[at_] != '!') {
        at_++;
      }
      auto value = json::parse(text_.substr(begin, at_ - begin));
      if (!value.ok()) return bad("unrecognized identifier in filter");
      node->literal = std::move(*value);
    }
    return Nodes{node};
  }

  std::string_view text_;
  size_t at_ = 0;
};

using Values = std::vector<const json::Value*>;

Values follow(const Nodes& steps, Values values);

void every_descendant(const json::Value& value, Values& out) {
  out.push_back(&value);
  for (auto [key, member] : value.members()) every_descendant(member, out);
  for (const json::Value& element : value.elements()) every_descendant(element, out);
}

void take_slice(const PathNode& node, const json::Value& value, Values& out) {
  if (!value.is_array()) return;
  int64_t size = static_cast<int64_t>(value.size());
  auto place = [size](int64_t i) { return i < 0 ? i + size : i; };
  if (node.single) {
    int64_t i = place(*node.from);
    if (i >= 0 && i < size) out.push_back(&value[static_cast<size_t>(i)]);
    return;
  }
  int64_t step = std::max<int64_t>(node.step.value_or(1), 1);
  int64_t end = std::min(place(node.to.value_or(size)), size);
  for (int64_t i = std::max<int64_t>(place(node.from.value_or(0)), 0); i < end; i += step) {
    out.push_back(&value[static_cast<size_t>(i)]);
  }
}

bool passes(const PathNode& filter, const json::Value& value) {
  Values root{&value};
  auto side = [&](const Nodes& nodes) -> Values {
    if (nodes.size() == 1 && nodes[0]->kind == Kind::kText) return {&nodes[0]->literal};
    return follow(nodes, root);
  };
  Values left = side(filter.left);
  if (filter.text.empty()) return !left.empty();
  Values right = side(filter.right);
  if (left.size() != 1 || right.size() != 1) return false;
  const json::Value& a = *left[0];
  const json::Value& b = *right[0];
  int order = 0;
  if (a.is_number() && b.is_number()) {
    order = a.as_double() < b.as_double() ? -1 : a.as_double() > b.as_double() ? 1 : 0;
  } else if (a.kind() == b.kind()) {
    order = a == b ? 0 : a.as_string() < b.as_string() ? -1 : 1;
  } else {
    return filter.text == "!=";
  }
  if (filter.text == "==") return order == 0;
  if (filter.text == "!=") return order != 0;
  if (filter.text == "<") return order < 0;
  if (filter.text == "<=") return order <= 0;
  return filter.text == ">" ? order > 0 : order >= 0;
}

void step(const PathNode& node, const json::Value& value, Values& out) {
  switch (node.kind) {
    case Kind::kField:
      if (const json::Value* member = value.find(node.text)) out.push_back(member);
      return;
    case Kind::kWildcard:
      for (auto [key, member] : value.members()) out.push_back(&member);
      for (const json::Value& element : value.elements()) out.push_back(&element);
      return;
    case Kind::kRecursive: every_descendant(value, out); return;
    case Kind::kSlice: take_slice(node, value, out); return;
    case Kind::kUnion:
      for (const Node& branch : node.children) step(*branch, value, out);
      return;
    case Kind::kFilter:
      for (const json::Value& element : value.elements()) {
        if (passes(node, element)) out.push_back(&element);
      }
      return;
    case Kind::kText:
    case Kind::kPath:
    case Kind::kRange: return;
  }
}

Values follow(const Nodes& steps, Values values) {
  for (const Node& node : steps) {
    Values next;
    for (const json::Value* value : values) step(*node, *value, next);
    values = std::move(next);
  }
  return values;
}

void render_nodes(const Nodes& nodes, const json::Value& root, std::string& out) {
  for (const Node& node : nodes) {
    if (node->kind == Kind::kText) {
      out += node->text;
    } else if (node->kind == Kind::kRange) {
      for (const json::Value* value : follow(node->left, {&root})) {
        render_nodes(node->children, *value, out);
      }
    } else {
      bool first = true;
      for (const json::Value* value : follow(node->children, {&root})) {
        if (!first) out += ' ';
        first = false;
        out += value_text(*value);
      }
    }
  }
}

}  // namespace

std::string value_text(const json::Value& value) {
  if (value.is_string()) return value.text();
  if (value.is_null()) return "";
  return sorted_json(value);
}

Result<JsonPath> JsonPath::parse(std::string_view text) {
  JsonPath path;
  TRY_ASSIGN(path.nodes_, Parser(text).body(false));
  return path;
}

Result<JsonPath> JsonPath::parse_relaxed(std::string_view text) {
  if (text.starts_with('{') && text.ends_with('}')) text = text.substr(1, text.size() - 2);
  if (text.starts_with('$')) text.remove_prefix(1);
  std::string whole = "{";
  if (!text.starts_with('.') && !text.starts_with('[')) whole += '.';
  whole += text;
  return parse(whole + "}");
}

std::string JsonPath::render(const json::Value& root) const {
  std::string out;
  render_nodes(nodes_, root, out);
  return out;
}

std::vector<json::Value> JsonPath::find(const json::Value& root) const {
  std::vector<json::Value> found;
  for (const Node& node : nodes_) {
    if (node->kind != Kind::kPath) continue;
    for (const json::Value* value : follow(node->children, {&root})) found.push_back(*value);
  }
  return found;
}

}  // namespace knarr::kubectl
