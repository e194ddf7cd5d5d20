#include "api/view/meta.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "base/time.h"

namespace knarr::api {

json::Value decode(const Object& object) {
  auto value = json::parse(object.json);
  CHECK(value.ok());
  return std::move(value).value();
}

int64_t time_field(const json::Value& value, std::string_view key) {
  auto time = base::parse_time(value[key].as_string());
  return time.ok() ? *time : 0;
}

int64_t creation_time(const json::Value& object) {
  return time_field(object["metadata"], "creationTimestamp");
}

const json::Value& condition(const json::Value& conditions, std::string_view type) {
  for (const json::Value& c : conditions.elements()) {
    if (c["type"].as_string() == type) return c;
  }
  return conditions["absent"];
}

bool condition_is(const json::Value& conditions, std::string_view type, std::string_view status) {
  return condition(conditions, type)["status"].as_string() == status;
}

json::Value controller_reference(const json::Value& owner) {
  const json::Value& meta = owner["metadata"];
  return json::Value::object({{"apiVersion", owner["apiVersion"]},
                              {"kind", owner["kind"]},
                              {"name", meta["name"]},
                              {"uid", meta["uid"]},
                              {"controller", true},
                              {"blockOwnerDeletion", true}});
}

json::Value object_reference(const json::Value& object) {
  const json::Value& meta = object["metadata"];
  json::Value ref = json::Value::object({{"kind", object["kind"]}});
  for (const char* key : {"namespace", "name", "uid"}) {
    if (meta.has(key)) ref.set(key, meta[key]);
  }
  ref.set("apiVersion", object["apiVersion"]);
  if (meta.has("resourceVersion")) ref.set("resourceVersion", meta["resourceVersion"]);
  return ref;
}

int64_t scaled_value(const json::Value& value, int64_t total, bool round_up) {
  if (!value.is_string()) return value.as_int();
  std::string_view text = value.as_string();
  int64_t percent = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
  if (error != std::errc() || end != text.data() + text.size() - 1 || *end != '%') return 0;
  return (percent * total + (round_up ? 99 : 0)) / 100;
}

namespace {

void append_sorted(std::string& out, const json::Value& value) {
  if (value.is_array()) {
    out += '[';
    for (const json::Value& e : value.elements()) {
      if (&e != value.elements().begin()) out += ',';
      append_sorted(out, e);
    }
    out += ']';
  } else if (value.is_object()) {
    std::vector<std::pair<std::string_view, const json::Value*>> members;
    for (auto [key, member] : value.members()) members.emplace_back(key, &member);
    std::sort(members.begin(), members.end());
    out += '{';
    bool first = true;
    for (auto [key, member] : members) {
      if (!std::exchange(first, false)) out += ',';
      json::append_quoted(out, key);
      out += ':';
      append_sorted(out, *member);
    }
    out += '}';
  } else {
    json::append(out, value);
  }
}

}  // namespace

std::string sorted_text(const json::Value& value) {
  std::string out;
  append_sorted(out, value);
  return out;
}

void set_or_erase(json::Value& value, std::string_view key, int64_t number) {
  if (number == 0) {
    value.erase(key);
  } else {
    value.set(key, number);
  }
}

}  // namespace knarr::api
