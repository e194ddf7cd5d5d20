// Bytes from a client -> a json::Value in canonical form, checked against a schema type, with
// errors in the words of kube-apiserver. Canonical form: unknown fields gone, nulls
// dropped, zero values dropped where Go's omitempty drops them, required ones and structs there,
// times, durations and quantities in their canonical texts. Members keep the order they came in:
// encode_json writes them in schema order. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/schema/schema.h"
#include "base/json.h"
#include "knarr/result.h"

namespace knarr::api {

enum class Media { kJson, kYaml };

// What a client asks for with ?fieldValidation=.
enum class FieldValidation { kIgnore, kWarn, kStrict };

struct Decoded {
  json::Value value;
  // `unknown field "spec.foo"`, `duplicate field "data.k"`, in document order, each once, at most
  // 100. Collected always; the caller makes warnings or an error of them.
  std::vector<std::string> strict_errors;
};

// Decodes into a type. Errors are kBadRequest with Go's bare words: "json: cannot unmarshal number
// into Go struct field ObjectMeta.metadata.name of type string".
Result<Decoded> decode_json(const Type& type, std::string_view text);

// Whose words type errors are in: those of encoding/json, or of apimachinery's converter from
// unstructured content, which upstream uses for strategic merge patches ("cannot convert int64 to
// string").
enum class ErrorWords { kJson, kConverter };

// The same for a value that exists already, as the result of a patch.
Result<Decoded> decode_value(const Type& type, const json::Value& value,
                             ErrorWords words = ErrorWords::kJson);

// A patch: any JSON, with the duplicate fields in it. Errors are Go's bare words.
Result<Decoded> decode_any(std::string_view text);

struct DecodeOptions {
  // What the endpoint expects; fills in a body that does not say its kind.
  std::string_view group;
  std::string_view version;
  std::string_view kind;
  const Type* type = nullptr;  // null: looked up in the catalogue
  Media media = Media::kJson;
  FieldValidation validation = FieldValidation::kIgnore;
};

// The body of a request, whole: finds its version and kind, decodes it, checks that it is what the
// endpoint expects. apiVersion and kind are set in the value. Under kStrict the strict errors are
// an error; under kWarn they are returned for the Warning headers; under kIgnore dropped.
// Errors are kBadRequest with the whole message of the Status.
Result<Decoded> decode_body(const DecodeOptions& options, std::string_view body);

// "the object provided is unrecognized (must be of type ConfigMap): <why> (<start of the body>)".
Error unrecognized_body(std::string_view kind, std::string_view why, std::string_view body);

// The message of a strict decoding failure: `strict decoding error: unknown field "a", ...`.
std::string strict_error_text(const std::vector<std::string>& strict_errors);

// Puts a value into canonical form (see above) in place, after code has changed it. Members that
// the type does not know are removed. Texts are taken as they are.
void canonicalize(const Type& type, json::Value& value);

}  // namespace knarr::api
