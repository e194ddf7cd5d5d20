#include "api/patch/go_text.h"

#include <algorithm>
#include <vector>

#include "api/codec/encode.h"

namespace knarr::api {

std::string go_text(const json::Value& value) {
  switch (value.kind()) {
    case json::Kind::kNull: return "<nil>";
    case json::Kind::kString: return value.text();
    case json::Kind::kArray: {
      std::string out = "[";
      for (const json::Value& element : value.elements()) {
        if (out.size() > 1) out += ' ';
        out += go_text(element);
      }
      return out + "]";
    }
    case json::Kind::kObject: {
      std::vector<std::pair<std::string_view, const json::Value*>> sorted;
      for (json::Member member : value.members()) sorted.emplace_back(member.key, &member.value);
      std::sort(sorted.begin(), sorted.end());
      std::string out = "map[";
      for (const auto& [key, member] : sorted) {
        if (out.size() > 4) out += ' ';
        out += std::string(key) + ":" + go_text(*member);
      }
      return out + "]";
    }
    default: {
      std::string out;
      append_any_json(out, value);
      return out;
    }
  }
}

const char* json_word(const json::Value& value) {
  switch (value.kind()) {
    case json::Kind::kObject: return "object";
    case json::Kind::kArray: return "array";
    case json::Kind::kString: return "string";
    case json::Kind::kBool: return "bool";
    default: return "number";
  }
}

std::string not_a_map_text(const json::Value& value) {
  return std::string("json: cannot unmarshal ") + json_word(value) +
         " into Go value of type map[string]interface {}";
}

}  // namespace knarr::api
