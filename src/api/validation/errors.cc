#include "api/validation/errors.h"

#include <algorithm>
#include <memory>

#include "base/format.h"

namespace knarr::api {
namespace {

// The text of a bad value.
std::string printed(const json::Value& value) {
  if (value.is_string()) return go_quote(value.as_string());
  std::string text = json::write(value);
  if (!value.is_array() && !value.is_object()) return text;
  std::string out;  // Go's encoder keeps markup out of JSON
  for (char c : text) {
    if (c == '<' || c == '>' || c == '&') {
      out += fmt::format("\\u{:04x}", static_cast<int>(c));
    } else {
      out += c;
    }
  }
  return out;
}

std::string with_value(std::string_view what, const json::Value& value, std::string_view detail) {
  std::string out = fmt::format("{}: {}", what, printed(value));
  if (!detail.empty()) out.append(": ").append(detail);
  return out;
}

std::string with_detail(std::string_view what, std::string_view detail) {
  std::string out(what);
  if (!detail.empty()) out.append(": ").append(detail);
  return out;
}

std::string_view reason_text(FieldReason reason) {
  switch (reason) {
    case FieldReason::kNotFound: return "FieldValueNotFound";
    case FieldReason::kRequired: return "FieldValueRequired";
    case FieldReason::kDuplicate: return "FieldValueDuplicate";
    case FieldReason::kInvalid: return "FieldValueInvalid";
    case FieldReason::kNotSupported: return "FieldValueNotSupported";
    case FieldReason::kForbidden: return "FieldValueForbidden";
    case FieldReason::kTooLong: return "FieldValueTooLong";
    case FieldReason::kTooMany: return "FieldValueTooMany";
    case FieldReason::kInternal: return "InternalError";
    case FieldReason::kTypeInvalid: return "FieldValueTypeInvalid";
    case FieldReason::kTooShort: return "FieldValueTooShort";
    case FieldReason::kTooFew: return "FieldValueTooFew";
  }
  return "";
}

std::string supported_text(const std::string_view* values, size_t n) {
  std::string out;
  for (size_t i = 0; i < n; i++) {
    out += i == 0 ? "supported values: " : ", ";
    out += go_quote(values[i]);
  }
  return out;
}

}  // namespace

std::string go_quote(std::string_view text) {
  std::string out = "\"";
  for (size_t i = 0; i < text.size(); i++) {
    auto c = static_cast<unsigned char>(text[i]);
    switch (c) {
      case '"':
      case '\\':
        out += '\\';
        out += text[i];
        break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      case '\r': out += "\\r"; break;
      case '\a': out += "\\a"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\v': out += "\\v"; break;
      default:
        if (c < 0x20 || c == 0x7f) {
          out += fmt::format("\\x{:02x}", c);
        } else {
          out += text[i];
        }
    }
  }
  return out + '"';
}

Path Path::operator/(std::string_view child) const {
  Path out;
  out.text_.reserve(text_.size() + child.size() + 1);
  out.text_ = text_;
  if (!text_.empty()) out.text_ += '.';
  out.text_ += child;
  return out;
}

Path Path::operator[](size_t index) const {
  Path out;
  out.text_ = fmt::format("{}[{}]", text_, index);
  return out;
}

Path Path::key(std::string_view key) const {
  Path out;
  out.text_ = fmt::format("{}[{}]", text_, key);
  return out;
}

void ErrorList::add(FieldReason reason, const Path& path, std::string body) {
  errors_.push_back({reason, path.text().empty() ? "<nil>" : path.text(), std::move(body)});
}

void ErrorList::required(const Path& path, std::string_view detail) {
  add(FieldReason::kRequired, path, with_detail("Required value", detail));
}

void ErrorList::invalid(const Path& path, const json::Value& value, std::string_view detail) {
  add(FieldReason::kInvalid, path, with_value("Invalid value", value, detail));
}

void ErrorList::invalid(const Path& path, std::string_view detail) {
  add(FieldReason::kInvalid, path, with_detail("Invalid value", detail));
}

void ErrorList::not_supported(const Path& path, const json::Value& value,
                              std::initializer_list<std::string_view> supported) {
  add(FieldReason::kNotSupported, path,
      with_value("Unsupported value", value, supported_text(supported.begin(), supported.size())));
}

void ErrorList::not_supported(const Path& path, const json::Value& value,
                              const std::vector<std::string_view>& supported) {
  add(FieldReason::kNotSupported, path,
      with_value("Unsupported value", value, supported_text(supported.data(), supported.size())));
}

void ErrorList::forbidden(const Path& path, std::string_view detail) {
  add(FieldReason::kForbidden, path, with_detail("Forbidden", detail));
}

void ErrorList::duplicate(const Path& path, const json::Value& value, std::string_view detail) {
  add(FieldReason::kDuplicate, path, with_value("Duplicate value", value, detail));
}

void ErrorList::not_found(const Path& path, const json::Value& value) {
  add(FieldReason::kNotFound, path, with_value("Not found", value, {}));
}

void ErrorList::too_long(const Path& path, int64_t max_bytes) {
  add(FieldReason::kTooLong, path,
      fmt::format("Too long: may not be more than {} bytes", max_bytes));
}

void ErrorList::too_many(const Path& path, int64_t actual, int64_t max) {
  add(FieldReason::kTooMany, path,
      fmt::format("Too many: {}: must have at most {} item{}", actual, max, max == 1 ? "" : "s"));
}

void ErrorList::too_few(const Path& path, int64_t actual, int64_t min) {
  add(FieldReason::kTooFew, path,
      fmt::format("Too few: {}: must have at least {} item{}", actual, min, min == 1 ? "" : "s"));
}

void ErrorList::internal(const Path& path, std::string_view detail) {
  add(FieldReason::kInternal, path, with_detail("Internal error", detail));
}

void ErrorList::type_invalid(const Path& path, const json::Value& value, std::string_view detail) {
  add(FieldReason::kTypeInvalid, path, with_value("Invalid value", value, detail));
}

void ErrorList::invalid_all(const Path& path, const json::Value& value,
                            const std::vector<std::string>& details) {
  for (const std::string& detail : details) invalid(path, value, detail);
}

void ErrorList::append(ErrorList other) {
  for (FieldError& error : other.errors_) errors_.push_back(std::move(error));
}

Error invalid_error(std::string_view group, std::string_view kind, std::string_view name,
                    const ErrorList& errors) {
  auto details = std::make_shared<ErrorDetails>();
  details->name = name;
  details->group = group;
  details->kind = kind;
  std::vector<std::string> sentences;  // each once, in order
  for (const FieldError& error : errors.errors()) {
    details->causes.push_back({std::string(reason_text(error.reason)), error.body, error.field});
    std::string sentence = error.field + ": " + error.body;
    if (std::find(sentences.begin(), sentences.end(), sentence) == sentences.end()) {
      sentences.push_back(std::move(sentence));
    }
  }
  std::string list;
  for (const std::string& sentence : sentences) list += (list.empty() ? "" : ", ") + sentence;
  if (sentences.size() > 1) list = "[" + list + "]";
  std::string full_kind(kind);
  if (!group.empty()) full_kind.append(".").append(group);
  std::string message = fmt::format("{} {} is invalid", full_kind, go_quote(name));
  if (!list.empty()) message += ": " + list;
  return Error{Code::kInvalid, std::move(message), std::move(details)};
}

}  // namespace knarr::api
