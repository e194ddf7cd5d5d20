#include "base/json.h"

#include <catch2/catch.hpp>

#include "base/json_text.h"

using knarr::json::Kind;
using knarr::json::Value;

namespace {

template <typename V>
concept Lends = requires(V&& v) {
  std::forward<V>(v).members();
  std::forward<V>(v).elements();
  std::forward<V>(v).find("a");
  std::forward<V>(v)["a"].members();
};
static_assert(Lends<Value&> && Lends<const Value&>);
static_assert(!Lends<Value> && !Lends<const Value>);

template <typename V>
concept LendsPart = requires(V&& v) {
  std::forward<V>(v)["a"][0].elements();
};
static_assert(LendsPart<Value&> && !LendsPart<Value>);

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMBERS_MOVE 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define MEMBERS_MOVE 1
#endif

}  // namespace

TEST_CASE("what is parsed is written as it was") {
  auto check = [](const std::string& text) {
    auto value = knarr::json::parse(text);
    REQUIRE(value.ok());
    CHECK(knarr::json::write(*value) == text);
  };
  check("null");
  check("[1,-2,18446744073709551615,\"a\\nb\",true,{}]");
  check("{\"z\":1,\"a\":{\"b\":[]}}");
}

TEST_CASE("bad JSON is an error that says where") {
  for (const char* text : {"", "{", "{\"a\":}", "[1,]", "1 2", "nul", "\"\x01\""}) {
    auto value = knarr::json::parse(text);
    REQUIRE_FALSE(value.ok());
    CHECK(value.error().code == knarr::Code::kBadRequest);
  }
}

TEST_CASE("reading what is absent gives null") {
  Value v = Value::object({{"spec", Value::object({{"replicas", 3}})}});
  CHECK(v["spec"]["replicas"].as_int() == 3);
  CHECK(Value(uint64_t{7}).as_int() == 7);
  CHECK(Value(UINT64_MAX).as_int() == INT64_MAX);
  CHECK(v["spec"]["template"]["x"].is_null());
  CHECK(v["status"][3].as_string("none") == "none");
}

TEST_CASE("a null pointer literal is null, not a string") {
  CHECK(Value().set("a", nullptr)["a"].is_null());
  CHECK(knarr::json::write(Value().set("a", nullptr)) == "{\"a\":null}");
}

TEST_CASE("members keep their order through set and erase") {
  Value v;
  v.set("c", 1).set("a", 2).set("b", "x");
  v.set("c", 5);
  v.erase("a");
  std::string keys;
  for (auto [key, value] : v.members()) keys += std::string(key) + knarr::json::write(value);
  CHECK(keys == "c5b\"x\"");
}

TEST_CASE("elements can be walked, changed, inserted and erased") {
  Value v = Value::array({1, 2, 3});
  for (Value& e : v.elements()) e = Value(e.as_int() * 2);
  v.insert(0, "first");
  v.erase_at(1);
  CHECK(knarr::json::write(v) == "[\"first\",4,6]");
}

TEST_CASE("empty is what nothing is in") {
  for (const Value& v : {Value(), Value(""), Value::array(), Value::object()}) CHECK(v.empty());
  for (const Value& v : {Value("x"), Value(0), Value(0.0), Value(false), Value::array({Value()}),
                         Value::object({{"a", Value()}})}) {
    CHECK_FALSE(v.empty());
  }
}

TEST_CASE("what was added before is the same after") {
  Value v;
  for (int i = 0; i < 600; i++) {
    v.member("list").push_back(i);
    v.set("k" + std::to_string(i), Value::array({i, "text"}));
  }
  CHECK(v.size() == 601);
  CHECK(v["list"].size() == 600);
  for (int i = 0; i < 600; i++) {
    CHECK(v["list"][i].as_int() == i);
    CHECK(v["k" + std::to_string(i)][0].as_int() == i);
  }
}

#ifdef MEMBERS_MOVE
TEST_CASE("what an addition may move, a sanitizer build moves") {
  Value v = Value::object({{"a", 1}, {"list", Value::array({1})}});
  auto place = [&v](const char* key) { return reinterpret_cast<uintptr_t>(v.find(key)); };
  uintptr_t before = place("a");
  v.set("a", 2);
  CHECK(place("a") == before);
  v.set("b", 1);
  CHECK(place("a") != before);
  auto element = reinterpret_cast<uintptr_t>(&v["list"][0]);
  v.member("list").push_back(2);
  CHECK(reinterpret_cast<uintptr_t>(&v["list"][0]) != element);
}
#endif

TEST_CASE("a part of a value can be assigned to the whole") {
  Value v = Value::object({{"a", Value::array({"deep"})}});
  v = v["a"][0];
  CHECK(v.as_string() == "deep");
}

TEST_CASE("plain runs end at the first byte that is not plain, wherever it stands") {
  for (int byte = 0; byte < 256; byte++) {
    bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
    for (size_t place = 0; place < 20; place++) {
      std::string text(20, 'a');
      text[place] = static_cast<char>(byte);
      CHECK(knarr::json::end_of_plain(text, 0) == (plain ? text.size() : place));
      CHECK(knarr::json::end_of_plain(text, place + 1) == text.size());
    }
  }
}
