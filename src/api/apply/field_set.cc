#include "api/apply/field_set.h"

namespace knarr::api {

const FieldSet* FieldSet::child(std::string_view element) const {
  auto it = children.find(element);
  return it == children.end() ? nullptr : &it->second;
}

FieldSet& FieldSet::at(std::string_view element) {
  auto it = children.find(element);
  if (it == children.end()) it = children.emplace(std::string(element), FieldSet()).first;
  return it->second;
}

void FieldSet::add(const FieldSet& other) {
  member = member || other.member;
  for (const auto& [element, theirs] : other.children) at(element).add(theirs);
}

void FieldSet::remove(const FieldSet& other) {
  if (other.member) member = false;
  for (const auto& [element, theirs] : other.children) {
    auto it = children.find(element);
    if (it == children.end()) continue;
    it->second.remove(theirs);
    if (it->second.empty()) children.erase(it);
  }
}

FieldSet FieldSet::common(const FieldSet& other) const {
  FieldSet result;
  result.member = member && other.member;
  for (const auto& [element, mine] : children) {
    const FieldSet* theirs = other.child(element);
    if (theirs == nullptr) continue;
    FieldSet both = mine.common(*theirs);
    if (!both.empty()) result.children.emplace(element, std::move(both));
  }
  return result;
}

void FieldSet::prune() {
  for (auto it = children.begin(); it != children.end();) {
    it->second.prune();
    it = it->second.empty() ? children.erase(it) : std::next(it);
  }
}

json::Value FieldSet::to_json() const {
  json::Value result = json::Value::object();
  for (const auto& [element, set] : children) {
    json::Value inner = set.to_json();
    if (set.member && !set.children.empty()) {
      json::Value with_self = json::Value::object({{".", json::Value::object()}});
      for (json::Member m : inner.members()) with_self.set(m.key, std::move(m.value));
      inner = std::move(with_self);
    }
    result.set(element, std::move(inner));
  }
  return result;
}

FieldSet FieldSet::from_json(const json::Value& fields) {
  FieldSet result;
  for (json::Member m : fields.members()) {
    if (m.key == ".") {
      result.member = true;
      continue;
    }
    // Of elements that a later version may know nothing is kept.
    bool known = m.key.size() > 1 && m.key[1] == ':' &&
                 std::string_view("fkvi").find(m.key[0]) != std::string_view::npos;
    if (!known) continue;
    FieldSet inner = from_json(m.value);
    if (m.value.empty()) inner.member = true;
    result.children.emplace(std::string(m.key), std::move(inner));
  }
  return result;
}

std::string shown_element(std::string_view element) {
  std::string_view text = element.substr(2);
  switch (element[0]) {
    case 'f': return "." + std::string(text);
    case 'v': return "[=" + std::string(text) + "]";
    case 'k': {
      std::string out = "[";
      Result<json::Value> keys = json::parse(text);
      if (keys.ok()) {
        for (json::Member m : keys->members()) {
          if (out.size() > 1) out += ",";
          out += std::string(m.key) + "=" + json::write(m.value);
        }
      }
      return out + "]";
    }
    default: return "[" + std::string(text) + "]";
  }
}

namespace {

void collect(const FieldSet& set, const std::string& path, std::vector<std::string>& out) {
  if (set.member) out.push_back(path);
  for (const auto& [element, inner] : set.children)
    collect(inner, path + shown_element(element), out);
}

}  // namespace

std::vector<std::string> FieldSet::paths() const {
  std::vector<std::string> out;
  collect(*this, "", out);
  return out;
}

}  // namespace knarr::api
