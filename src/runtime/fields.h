// Structs to JSON and back from one list of their fields: `fields(visitor, struct)` names each
// member once, and FieldWriter or FieldReader walks it.
#pragma once

#include <concepts>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/json.h"

namespace knarr::runtime {

// A T, const when it is written.
template <typename T, typename U>
concept Like = std::same_as<std::remove_const_t<T>, U>;

class FieldWriter {
 public:
  FieldWriter() : out_(json::Value::object()) {}

  template <typename T>
  void operator()(std::string_view name, const T& value) {
    out_.set(name, convert(value));
  }
  json::Value take() { return std::move(out_); }

  template <typename T>
  static json::Value convert(const T& value) {
    if constexpr (std::is_enum_v<T>) {
      return json::Value(static_cast<int64_t>(value));
    } else if constexpr (std::same_as<T, bool> || std::same_as<T, std::string>) {
      return json::Value(value);
    } else if constexpr (std::is_unsigned_v<T>) {
      return json::Value(static_cast<uint64_t>(value));
    } else if constexpr (std::is_integral_v<T>) {
      return json::Value(static_cast<int64_t>(value));
    } else {
      FieldWriter inner;
      fields(inner, value);
      return inner.take();
    }
  }
  template <typename T>
  static json::Value convert(const std::vector<T>& values) {
    json::Value out = json::Value::array();
    for (const T& value : values) out.push_back(convert(value));
    return out;
  }
  template <typename T>
  static json::Value convert(const std::pair<T, T>& pair) {
    return json::Value::array({convert(pair.first), convert(pair.second)});
  }
  static json::Value convert(const std::map<std::string, std::string>& map) {
    json::Value out = json::Value::object();
    for (const auto& [key, value] : map) out.set(key, value);
    return out;
  }

 private:
  json::Value out_;
};

class FieldReader {
 public:
  explicit FieldReader(const json::Value& in) : in_(in) {}

  template <typename T>
  void operator()(std::string_view name, T& value) {
    if (const json::Value* found = in_.find(name)) read(*found, value);
  }

  template <typename T>
  static void read(const json::Value& in, T& value) {
    if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(in.as_int(static_cast<int64_t>(value)));
    } else if constexpr (std::same_as<T, bool>) {
      value = in.as_bool(value);
    } else if constexpr (std::same_as<T, std::string>) {
      value = in.text();
    } else if constexpr (std::is_integral_v<T>) {
      value = static_cast<T>(in.as_int(static_cast<int64_t>(value)));
    } else {
      FieldReader inner(in);
      fields(inner, value);
    }
  }
  template <typename T>
  static void read(const json::Value& in, std::vector<T>& values) {
    values.clear();
    for (const json::Value& element : in.elements()) read(element, values.emplace_back());
  }
  template <typename T>
  static void read(const json::Value& in, std::pair<T, T>& pair) {
    read(in[0], pair.first);
    read(in[1], pair.second);
  }
  static void read(const json::Value& in, std::map<std::string, std::string>& map) {
    map.clear();
    for (auto member : in.members()) map[std::string(member.key)] = member.value.text();
  }

 private:
  const json::Value& in_;
};

}  // namespace knarr::runtime
