// Block style YAML as kubectl prints it: keys sorted, lists at the indent of their key, long or
// odd strings quoted, strings of several lines as literal blocks. Double quotes keep a string from
// reading as something else, single ones from breaking the syntax, as go-yaml chooses.
#include <algorithm>

#include "api/codec/encode.h"
#include "api/codec/yaml.h"
#include "api/codec/yaml_scalar.h"

namespace knarr::api {

namespace {

bool is_block(const json::Value& value) {
  return (value.is_object() || value.is_array()) && !value.empty();
}

void append_text(std::string& out, std::string_view text, size_t indent) {
  bool lines = text.find('\n') != std::string_view::npos;
  bool odd = std::any_of(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f;
  });
  if (lines && !odd && text.front() != ' ' && text.front() != '\n') {
    size_t breaks = text.size() - std::min(text.size(), text.find_last_not_of('\n') + 1);
    out += breaks == 0 ? "|-" : breaks == 1 ? "|" : "|+";
    size_t start = 0;
    std::string_view body = text.substr(0, text.size() - (breaks > 0 ? 1 : 0));
    while (true) {
      size_t end = body.find('\n', start);
      std::string_view line = body.substr(start, end == body.npos ? body.npos : end - start);
      out += '\n';
      if (!line.empty()) out.append(indent, ' ').append(line);
      if (end == body.npos) return;
      start = end + 1;
    }
  }
  if (yaml_reads_otherwise(text) || lines || odd) {
    json::append_quoted(out, text);
  } else if (!yaml_needs_quotes(text)) {
    out += text;
  } else {
    out += '\'';
    for (char c : text) out.append(c == '\'' ? 2 : 1, c);
    out += '\'';
  }
}

void append_value(std::string& out, const json::Value& value, size_t indent);

void append_map(std::string& out, const json::Value& value, size_t indent, bool inline_first) {
  std::vector<std::pair<std::string_view, const json::Value*>> sorted;
  for (json::Member member : value.members()) sorted.emplace_back(member.key, &member.value);
  std::sort(sorted.begin(), sorted.end());
  for (const auto& [key, member] : sorted) {
    if (!inline_first) out.append(indent, ' ');
    inline_first = false;
    append_text(out, key, indent + 2);
    out += ':';
    if (is_block(*member)) {
      out += '\n';
      append_value(out, *member, member->is_array() ? indent : indent + 2);
    } else {
      out += ' ';
      append_value(out, *member, indent + 2);
      out += '\n';
    }
  }
}

void append_list(std::string& out, const json::Value& value, size_t indent, bool inline_first) {
  for (const json::Value& element : value.elements()) {
    if (!inline_first) out.append(indent, ' ');
    inline_first = false;
    out += "- ";
    if (element.is_object() && !element.empty()) {
      append_map(out, element, indent + 2, true);
    } else if (is_block(element)) {
      append_list(out, element, indent + 2, true);
    } else {
      append_value(out, element, indent + 2);
      out += '\n';
    }
  }
}

void append_value(std::string& out, const json::Value& value, size_t indent) {
  if (value.is_string()) {
    append_text(out, value.as_string(), indent);
  } else if (!is_block(value)) {
    append_any_json(out, value);
  } else if (value.is_object()) {
    append_map(out, value, indent, false);
  } else {
    append_list(out, value, indent, false);
  }
}

}  // namespace

std::string write_yaml(const json::Value& value) {
  std::string out;
  append_value(out, value, 0);
  if (!is_block(value)) out += '\n';
  return out;
}

}  // namespace knarr::api
