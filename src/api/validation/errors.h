// Errors of fields, as a 422 Status tells them: a path, a reason, the bad value and a sentence.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "knarr/result.h"

namespace knarr::api {

// A field's place: spec.containers[0].env[1].name, metadata.labels[app].
class Path {
 public:
  Path() = default;
  explicit Path(std::string_view root) : text_(root) {}
  Path operator/(std::string_view child) const;
  Path operator[](size_t index) const;
  Path key(std::string_view key) const;
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

enum class FieldReason : uint8_t {
  kNotFound,
  kRequired,
  kDuplicate,
  kInvalid,
  kNotSupported,
  kForbidden,
  kTooLong,
  kTooMany,
  kInternal,
  kTypeInvalid,
  kTooShort,
  kTooFew,
};

struct FieldError {
  FieldReason reason;
  std::string field;
  std::string body;  // the whole sentence after "<field>: "
};

// `value` is printed as upstream prints it: strings quoted as in Go, lists and structs as JSON
// (structs with Go's member names where the API server's internal type is shown).
class ErrorList {
 public:
  void required(const Path& path, std::string_view detail = {});
  void invalid(const Path& path, const json::Value& value, std::string_view detail);
  void invalid(const Path& path, std::string_view detail);  // the value is not shown
  void not_supported(const Path& path, const json::Value& value,
                     std::initializer_list<std::string_view> supported);
  void not_supported(const Path& path, const json::Value& value,
                     const std::vector<std::string_view>& supported);
  void forbidden(const Path& path, std::string_view detail);
  void duplicate(const Path& path, const json::Value& value, std::string_view detail = {});
  void not_found(const Path& path, const json::Value& value);
  void too_long(const Path& path, int64_t max_bytes);
  void too_many(const Path& path, int64_t actual, int64_t max);
  void too_few(const Path& path, int64_t actual, int64_t min);
  void internal(const Path& path, std::string_view detail);
  void type_invalid(const Path& path, const json::Value& value, std::string_view detail);
  void add(FieldReason reason, const Path& path, std::string body);
  // One error a message: what the checks of names.h return.
  void invalid_all(const Path& path, const json::Value& value,
                   const std::vector<std::string>& details);
  void append(ErrorList other);

  bool empty() const { return errors_.empty(); }
  size_t size() const { return errors_.size(); }
  const std::vector<FieldError>& errors() const { return errors_; }

 private:
  std::vector<FieldError> errors_;
};

// `<Kind>.<group> "<name>" is invalid: ...`, kInvalid, with a cause an error.
Error invalid_error(std::string_view group, std::string_view kind, std::string_view name,
                    const ErrorList& errors);

// Text in double quotes as Go's %q writes it.
std::string go_quote(std::string_view text);

}  // namespace knarr::api
