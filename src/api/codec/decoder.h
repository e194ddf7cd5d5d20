// The walk of decode_json: text that check_json accepted, a schema type, a json::Value out. It does
// what Go's decoder does: the first type error is kept and the walk goes on; the error of a type
// that parses its own text (Time, Quantity, IntOrString) ends it and wins; unknown and duplicate
// fields are noted. A duplicate struct or map merges into the earlier one, anything else replaces
// it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/codec/decode.h"
#include "api/schema/schema.h"
#include "base/json.h"
#include "knarr/result.h"

namespace knarr::api {

class Decoder {
 public:
  explicit Decoder(std::string_view text, ErrorWords words = ErrorWords::kJson)
      : text_(text), words_(words) {}

  // `into` is null, or an earlier value of the same field.
  void decode(const Type& type, json::Value& into);

  // Notes duplicate fields inside values of any shape, too.
  void note_any_duplicates() { any_duplicates_ = true; }

  // Empty when there was none.
  const std::string& error() const { return error_; }
  std::vector<std::string> take_strict_errors() { return std::move(strict_); }

 private:
  // A step on the way from the root: a field of a struct, a key of a map, or an index of a list.
  struct Step {
    const Type* owner;   // of a field
    const Field* field;  // null otherwise
    std::string_view key;
    size_t index;
    bool is_index;
  };

  char peek() const { return text_[at_]; }
  void skip_space();
  bool next(char close, bool first);  // at the start of the next element or key; false at the end
  std::string_view raw_string(bool& plain);  // inside of the literal at `at_`, consumed
  std::string string();
  json::Value string_value();
  std::string_view key(std::string& storage);

  bool is_null();
  void decode_struct(const Type& type, json::Value& into);
  void decode_field(const Type& type, const Field& field, bool repeated, json::Value& object);
  void add_missing(const Type& type, const std::vector<bool>& seen, json::Value& object);
  void decode_map(const Type& type, json::Value& into);
  void decode_list(const Type& type, json::Value& into);
  void decode_element(const Type& type, json::Value& into);
  void decode_int(const Type& type, json::Value& into);
  void decode_double(const Type& type, json::Value& into);
  void decode_bytes(const Type& type, json::Value& into);
  void decode_text(const Type& type, json::Value& into);  // Time, MicroTime, Duration
  void decode_quantity(json::Value& into);
  void decode_int_or_string(json::Value& into);
  void decode_schema_form(const Type& type, json::Value& into);
  void decode_any(json::Value& into);
  void decode_any_list(json::Value& into);
  void decode_any_object(json::Value& into);
  json::Value any_number(std::string_view literal);

  std::string_view literal();  // the scalar at `at_`, consumed
  void skip();
  // Keeps "cannot unmarshal <what> into ... of type <go_type>" and skips the value.
  void mismatch(const Type& type);
  void mismatch_inside(const char* go_type);  // in a type that parses its own text: fatal
  void type_error(const std::string& what, const char* go_type, bool fatal);
  void fail(std::string message);  // ends the walk
  void strict_error(const char* kind, std::string_view name);
  std::string field_path() const;

  std::string_view text_;
  ErrorWords words_;
  size_t at_ = 0;
  bool aborted_ = false;
  bool any_duplicates_ = false;
  int quiet_ = 0;  // inside types that decode themselves, unknown fields go unnoticed
  std::string error_;
  std::vector<Step> steps_;
  std::vector<std::string> strict_;
};

}  // namespace knarr::api
