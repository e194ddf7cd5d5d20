#include "cli/kubectl/json_text.h"

#include <algorithm>

namespace knarr::kubectl {

namespace {

void append_string(std::string& out, std::string_view text) {
  std::string quoted;
  json::append_quoted(quoted, text);
  for (char c : quoted) {
    switch (c) {
      case '<': out += "\\u003c"; break;
      case '>': out += "\\u003e"; break;
      case '&': out += "\\u0026"; break;
      default: out += c;
    }
  }
}

// indent < 0: all in one line.
void append(std::string& out, const json::Value& value, int indent) {
  auto new_line = [&](int level) {
    if (indent < 0) return;
    out += '\n';
    out.append(static_cast<size_t>(level) * 4, ' ');
  };
  int inner = indent < 0 ? -1 : indent + 1;
  if (value.is_object() || value.is_array()) {
    bool object = value.is_object();
    out += object ? '{' : '[';
    bool first = true;
    auto separate = [&] {
      if (!first) out += ',';
      first = false;
      new_line(inner);
    };
    for (const json::Member& member : sorted_members(value)) {
      separate();
      append_string(out, member.key);
      out += indent < 0 ? ":" : ": ";
      append(out, member.value, inner);
    }
    for (const json::Value& element : value.elements()) {
      separate();
      append(out, element, inner);
    }
    if (!first) new_line(indent);
    out += object ? '}' : ']';
  } else if (value.is_string()) {
    append_string(out, value.as_string());
  } else {
    json::append(out, value);
  }
}

}  // namespace

std::vector<json::Member> sorted_members(const json::Value& object) {
  std::vector<json::Member> members;
  for (json::Member member : object.members()) members.push_back(member);
  std::vector<size_t> places(members.size());
  for (size_t i = 0; i < places.size(); i++) places[i] = i;
  std::sort(places.begin(), places.end(),
            [&](size_t a, size_t b) { return members[a].key < members[b].key; });
  std::vector<json::Member> sorted;
  sorted.reserve(members.size());
  for (size_t place : places) sorted.push_back(members[place]);
  return sorted;
}

std::string sorted_json(const json::Value& value) {
  std::string out;
  append(out, value, -1);
  return out;
}

std::string indented_json(const json::Value& value) {
  std::string out;
  append(out, value, 0);
  return out + "\n";
}

}  // namespace knarr::kubectl
