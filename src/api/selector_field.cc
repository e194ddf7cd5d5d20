#include <algorithm>

#include "api/selector.h"
#include "base/format.h"

namespace knarr::api {
namespace {

Error bad(std::string message) { return make_error(Code::kBadRequest, std::move(message)); }

// At commas that no backslash escapes.
std::vector<std::string_view> split_terms(std::string_view text) {
  std::vector<std::string_view> out;
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '\\') {
      i++;
    } else if (text[i] == ',') {
      out.push_back(text.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  out.push_back(text.substr(begin));
  return out;
}

Result<std::string> unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    char c = text[i];
    if (c == '\\') {
      if (++i == text.size()) return bad("invalid field selector: invalid escape sequence: \\");
      c = text[i];
      if (c != '\\' && c != ',' && c != '=') {
        return bad(fmt::format("invalid field selector: invalid escape sequence: \\{}", c));
      }
    } else if (c == ',' || c == '=') {
      return bad(fmt::format("invalid field selector: unescaped character in value: {}",
                             static_cast<int>(c)));
    }
    out += c;
  }
  return out;
}

void append_escaped(std::string& out, std::string_view text) {
  for (char c : text) {
    if (c == '\\' || c == ',' || c == '=') out += '\\';
    out += c;
  }
}

const std::string* value_of(const Object& object, std::string_view path) {
  if (path == "metadata.name") return &object.name.name;
  if (path == "metadata.namespace") return &object.name.ns;
  return object.field(path);
}

}  // namespace

Result<FieldSelector> FieldSelector::parse(std::string_view text) {
  FieldSelector out;
  for (std::string_view term : split_terms(text)) {
    if (term.empty()) continue;
    size_t at = 0;
    size_t length = 0;
    for (; at < term.size() && length == 0; at++) {
      std::string_view rest = term.substr(at);
      if (rest.substr(0, 2) == "!=" || rest.substr(0, 2) == "==") {
        length = 2;
      } else if (rest[0] == '=') {
        length = 1;
      }
    }
    if (length == 0) {
      return bad(fmt::format("invalid selector: '{}'; can't understand '{}'", text, term));
    }
    at--;
    TRY_ASSIGN(std::string value, unescape(term.substr(at + length)));
    out.terms_.push_back({std::string(term.substr(0, at)), std::move(value), term[at] != '!'});
  }
  return out;
}

// Kinds with fields of their own refuse in other words than the common rule; nearly all of them in
// the same ones.
Result<void> FieldSelector::check(std::string_view kind,
                                  std::span<const std::string_view> supported) const {
  for (const FieldTerm& term : terms_) {
    bool slice = kind == "ResourceSlice";
    bool bare =
        slice || kind == "CertificateSigningRequest" || kind == "Namespace" || kind == "Node";
    if (term.path == "metadata.name" || (term.path == "metadata.namespace" && !bare)) continue;
    if (std::find(supported.begin(), supported.end(), term.path) != supported.end()) continue;
    if (kind == "Job") {
      return bad(fmt::format("field label \"{}\" not supported for Job", term.path));
    }
    if (supported.empty() && !bare) {
      return bad(
          fmt::format("\"{}\" is not a known field selector: only \"metadata.name\", "
                      "\"metadata.namespace\"",
                      term.path));
    }
    return bad(fmt::format("field label not supported{}: {}",
                           slice ? " for resource.k8s.io/v1, Kind=ResourceSlice" : "", term.path));
  }
  return {};
}

bool FieldSelector::matches(const Object& object) const {
  for (const FieldTerm& term : terms_) {
    const std::string* value = value_of(object, term.path);
    bool same = value == nullptr ? term.value.empty() : *value == term.value;
    if (same != term.equals) return false;
  }
  return true;
}

const std::string* FieldSelector::required(std::string_view path) const {
  for (const FieldTerm& term : terms_) {
    if (term.equals && term.path == path) return &term.value;
  }
  return nullptr;
}

std::string FieldSelector::text() const {
  std::string out;
  for (const FieldTerm& term : terms_) {
    if (!out.empty()) out += ',';
    out += term.path;
    out += term.equals ? "=" : "!=";
    append_escaped(out, term.value);
  }
  return out;
}

}  // namespace knarr::api
