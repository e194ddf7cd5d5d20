#include "api/patch/json_patch.h"

#include <charconv>
#include <string>
#include <utility>
#include <vector>

#include "api/codec/json_scan.h"
#include "api/patch/go_text.h"

namespace knarr::api {

namespace {

constexpr size_t kMaxOperations = 10000;

Error rejected() {
  return make_error(Code::kInvalid,
                    "the server rejected our request due to an error in our request");
}

Error not_a_patch(const std::string& what) {
  return make_error(Code::kBadRequest, "error decoding patch: " + what);
}

// "a~1b" -> "a/b", "~0" -> "~".
std::string unescape(std::string_view token) {
  std::string out;
  for (size_t i = 0; i < token.size(); i++) {
    bool escape = token[i] == '~' && i + 1 < token.size();
    if (escape && (token[i + 1] == '0' || token[i + 1] == '1')) {
      out += token[++i] == '0' ? '~' : '/';
    } else {
      out += token[i];
    }
  }
  return out;
}

// Which place a pointer names: a container and the last token.
struct Place {
  json::Value* parent = nullptr;
  std::string token;
};

// An index of a list of `size` elements; negative ones count from the end. -1 when it is none.
int64_t parse_index(const std::string& token, size_t size, bool& valid) {
  int64_t index = 0;
  auto end = token.data() + token.size();
  auto parsed = std::from_chars(token.data(), end, index);
  valid = parsed.ec == std::errc() && parsed.ptr == end && !token.empty();
  if (valid && index < 0) index += static_cast<int64_t>(size);
  return index;
}

json::Value* child(json::Value& parent, const std::string& token) {
  if (parent.is_object()) return parent.find(token);
  if (!parent.is_array()) return nullptr;
  bool valid;
  int64_t index = parse_index(token, parent.size(), valid);
  if (!valid || index < 0 || index >= static_cast<int64_t>(parent.size())) return nullptr;
  return &parent.at(static_cast<size_t>(index));
}

// The container that holds the last token; null parent when the way there is missing.
Place find_place(json::Value& document, std::string_view pointer) {
  Place place;
  if (pointer.empty() || pointer[0] != '/') return place;
  json::Value* at = &document;
  pointer.remove_prefix(1);
  while (true) {
    size_t slash = pointer.find('/');
    std::string token = unescape(pointer.substr(0, slash));
    if (slash == std::string_view::npos) {
      if (!at->is_object() && !at->is_array()) return place;
      place.parent = at;
      place.token = std::move(token);
      return place;
    }
    at = child(*at, token);
    if (at == nullptr) return place;
    pointer.remove_prefix(slash + 1);
  }
}

bool add(const Place& place, json::Value value) {
  if (place.parent->is_object()) {
    place.parent->set(place.token, std::move(value));
    return true;
  }
  size_t size = place.parent->size();
  if (place.token == "-") {
    place.parent->push_back(std::move(value));
    return true;
  }
  bool valid;
  int64_t index = parse_index(place.token, size + 1, valid);
  if (!valid || index < 0 || index > static_cast<int64_t>(size)) return false;
  place.parent->insert(static_cast<size_t>(index), std::move(value));
  return true;
}

bool remove(const Place& place) {
  if (place.parent->is_object()) return place.parent->erase(place.token);
  bool valid;
  int64_t index = parse_index(place.token, place.parent->size(), valid);
  if (!valid || index < 0 || index >= static_cast<int64_t>(place.parent->size())) return false;
  place.parent->erase_at(static_cast<size_t>(index));
  return true;
}

class Patch {
 public:
  explicit Patch(json::Value document) : document_(std::move(document)) {}

  bool apply(const json::Value& operation) {
    std::string_view op = operation["op"].as_string();
    std::string_view path = operation["path"].as_string();
    if (!operation["path"].is_string()) return false;
    if (op == "test") return test(path, operation);
    if (op == "replace" && path.empty()) {
      document_ = operation["value"];
      return true;
    }
    Place place = find_place(document_, path);
    if (place.parent == nullptr) return false;
    if (op == "add") return add(place, operation["value"]);
    if (op == "remove") return remove(place);
    if (op == "replace") return replace(place, operation["value"]);
    if (op == "move") return move(operation["from"].as_string(), path);
    if (op == "copy") return copy(operation["from"].as_string(), path);
    return false;
  }

  json::Value take() { return std::move(document_); }

 private:
  static bool replace(const Place& place, const json::Value& value) {
    if (place.parent->is_object()) {
      place.parent->set(place.token, value);  // a missing key is added
      return true;
    }
    json::Value* old = child(*place.parent, place.token);
    if (old == nullptr) return false;
    *old = value;
    return true;
  }

  bool move(std::string_view from, std::string_view path) {
    Place source = find_place(document_, from);
    if (source.parent == nullptr) return false;
    json::Value* found = child(*source.parent, source.token);
    if (found == nullptr) return false;
    json::Value value = std::move(*found);
    if (!remove(source)) return false;
    Place target = find_place(document_, path);
    return target.parent != nullptr && add(target, std::move(value));
  }

  bool copy(std::string_view from, std::string_view path) {
    Place source = find_place(document_, from);
    if (source.parent == nullptr) return false;
    json::Value* found = child(*source.parent, source.token);
    if (found == nullptr && source.parent->is_array()) return false;
    json::Value value = found != nullptr ? *found : json::Value("");
    Place target = find_place(document_, path);
    return target.parent != nullptr && add(target, std::move(value));
  }

  // Against null a missing key passes.
  bool test(std::string_view path, const json::Value& operation) {
    const json::Value& wanted = operation["value"];
    if (path.empty()) return document_ == wanted;
    Place place = find_place(document_, path);
    if (place.parent == nullptr) return false;
    json::Value* found = child(*place.parent, place.token);
    if (found == nullptr) return place.parent->is_object() && wanted.is_null();
    return *found == wanted;
  }

  json::Value document_;
};

}  // namespace

Result<json::Value> apply_json_patch(json::Value document, std::string_view text) {
  if (auto valid = check_json(text); !valid.ok()) return not_a_patch(valid.error().message);
  TRY_ASSIGN(json::Value patch, json::parse(text));
  if (patch.is_null()) return document;
  if (!patch.is_array()) {
    return not_a_patch(std::string("json: cannot unmarshal ") + json_word(patch) +
                       " into Go value of type []handlers.jsonPatchOp");
  }
  if (patch.size() > kMaxOperations) {
    return make_error(Code::kRequestEntityTooLarge,
                      "The allowed maximum operations in a JSON patch is " +
                          std::to_string(kMaxOperations) + ", got " + std::to_string(patch.size()));
  }
  Patch run(std::move(document));
  for (const json::Value& operation : patch.elements()) {
    if (!operation.is_object()) {
      return not_a_patch(std::string("json: cannot unmarshal ") + json_word(operation) +
                         " into Go value of type handlers.jsonPatchOp");
    }
    if (!run.apply(operation)) return rejected();
  }
  return run.take();
}

}  // namespace knarr::api
