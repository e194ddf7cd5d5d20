#include "api/selector.h"

#include <catch2/catch.hpp>

#include "base/json.h"

using namespace knarr::api;
namespace json = knarr::json;

namespace {

std::string parsed(std::string_view text) {
  auto selector = LabelSelector::parse(text);
  return selector.ok() ? selector->text() : selector.error().message;
}

bool matches(std::string_view selector, std::string_view labels) {
  return LabelSelector::parse(selector)->matches(json::parse(labels).value());
}

std::string parsed_fields(std::string_view text) {
  auto selector = FieldSelector::parse(text);
  return selector.ok() ? selector->text() : selector.error().message;
}

}  // namespace

TEST_CASE("label selector: parse and print") {
  struct Case {
    const char* text;
    const char* printed;
  };
  const Case cases[] = {
      {"", ""},
      {"a", "a"},
      {"!a", "!a"},
      {"b=1,a==2", "a==2,b=1"},
      {"a!=1", "a!=1"},
      {"a in (y, x)", "a in (x,y)"},
      {"a notin (x)", "a notin (x)"},
      {"a in ()", "a in ()"},
      {"a in (,)", "a in ()"},
      {"a=", "a="},
      {"n>4", "n>4"},
      {"in in (in)", "in in (in)"},
      {"n>abc",
       "unable to parse requirement: values[0]: Invalid value: \"abc\": for 'Gt', 'Lt' "
       "operators, the value must be an integer"},
      {"n>=4", "unable to parse requirement: found '=', expected: identifier"},
      {"app in (x", "unable to parse requirement: found '', expected: ',' or ')'"},
      {"app in x", "unable to parse requirement: found 'x' expected: '('"},
      {"=x", "found '=', expected: !, identifier, or 'end of string'"},
      {"app=x=y", "found '=', expected: ',' or 'end of string'"},
      {",", "found ',', expected: !, identifier, or 'end of string'"},
      {"app,", "found '', expected: identifier after ','"},
      {"a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"},
      {"app!", "unable to parse requirement: found '!', expected: in, notin, =, ==, !=, gt, lt"},
      {"!", "unable to parse requirement: found '', expected: identifier"},
      {"(app)", "found '(', expected: !, identifier, or 'end of string'"},
  };
  for (const Case& c : cases) {
    INFO(c.text);
    CHECK(parsed(c.text) == c.printed);
  }
  CHECK(parsed("a/b/c").find("unable to parse requirement: <nil>: Invalid value: \"a/b/c\": ") ==
        0);
  CHECK(parsed("a=\"x\"").find("unable to parse requirement: values[0][a]: Invalid value: "
                               "\"\\\"x\\\"\": a valid label") == 0);
}

TEST_CASE("label selector: match") {
  const char* labels = R"({"app":"web","n":"5"})";
  CHECK(matches("app=web", labels));
  CHECK(matches("", labels));
  CHECK(matches("app in (db,web),n>4,n<6,!x,x!=1,x notin (1)", labels));
  CHECK_FALSE(matches("app!=web", labels));
  CHECK_FALSE(matches("x", labels));
  CHECK_FALSE(matches("!app", labels));
  CHECK_FALSE(matches("n>5", labels));

  auto object = json::parse(
      R"({"matchLabels":{"app":"web"},"matchExpressions":[{"key":"n","operator":"In","values":["5"]}]})");
  auto selector = LabelSelector::from_object(*object).value();
  CHECK(selector.matches(json::parse(labels).value()));
  CHECK(selector.text() == "app=web,n in (5)");
  CHECK(LabelSelector::from_object({})->is_nothing());
  CHECK_FALSE(LabelSelector::from_object({})->matches(json::Value::object()));
  CHECK(LabelSelector::from_object(json::Value::object())->empty());
  knarr::Object stored;
  stored.labels = {{"app", "web"}, {"n", "5"}};
  CHECK(selector.matches(stored));
}

TEST_CASE("field selector: parse, check, match") {
  CHECK(parsed_fields("metadata.name=a,,status.phase!=Running") ==
        "metadata.name=a,status.phase!=Running");
  CHECK(parsed_fields("a==b") == "a=b");
  CHECK(parsed_fields("a=b\\,c\\=d\\\\") == "a=b\\,c\\=d\\\\");
  CHECK(parsed_fields("abc") == "invalid selector: 'abc'; can't understand 'abc'");
  CHECK(parsed_fields("a=b=c") == "invalid field selector: unescaped character in value: 61");
  CHECK(parsed_fields("a=b\\x") == "invalid field selector: invalid escape sequence: \\x");

  auto selector = FieldSelector::parse("spec.bogus=1").value();
  std::string_view paths[] = {"spec.nodeName"};
  CHECK(selector.check("Pod", paths).error().message == "field label not supported: spec.bogus");
  CHECK(selector.check("Role", {}).error().message ==
        "\"spec.bogus\" is not a known field selector: only \"metadata.name\", "
        "\"metadata.namespace\"");
  CHECK(selector.check("Job", paths).error().message ==
        "field label \"spec.bogus\" not supported for Job");

  knarr::Object pod;
  pod.name = {"default", "p"};
  pod.fields = {{"spec.nodeName", "n1"}};
  CHECK(FieldSelector::parse("metadata.name=p,spec.nodeName=n1")->matches(pod));
  CHECK(FieldSelector::parse("spec.nodeName!=n2,status.phase=")->matches(pod));
  CHECK_FALSE(FieldSelector::parse("spec.nodeName=n2")->matches(pod));
  CHECK(*FieldSelector::parse("metadata.name=p")->required("metadata.name") == "p");
}
