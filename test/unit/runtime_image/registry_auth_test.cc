#include "runtime/image/registry_auth.h"

#include <catch2/catch.hpp>

#include "runtime/image/http_client.h"

using namespace knarr;
using namespace knarr::runtime;

TEST_CASE("challenges are taken apart") {
  auto one = parse_challenges(
      R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push")");
  REQUIRE(one.size() == 1);
  CHECK(one[0].scheme == "bearer");
  CHECK(one[0].parameters["scope"] == "repository:a/b:pull,push");
  CHECK(token_url(one[0], "x") ==
        "https://auth.docker.io/"
        "token?scope=repository%3Aa%2Fb%3Apull%2Cpush&service=registry.docker.io");
  auto two = parse_challenges(R"(Basic realm="a \"b\"", bearer realm=x)");
  REQUIRE(two.size() == 2);
  CHECK(two[0].parameters["realm"] == "a \"b\"");
  CHECK(two[1].scheme == "bearer");
  CHECK(token_url(two[1], "repository:r:pull") == "x?scope=repository%3Ar%3Apull");
  CHECK(parse_challenges("").empty());
  CHECK(parse_challenges("\"\"=,;;").empty());
}

TEST_CASE("tokens have two names") {
  CHECK(token_from(R"({"token":"a"})").value() == "a");
  CHECK(token_from(R"({"access_token":"b"})").value() == "b");
  CHECK(!token_from("{}").ok());
  CHECK(!token_from("<html>").ok());
}

TEST_CASE("URLs and where a Location leads") {
  HttpUrl url = parse_url("https://r.example:5000/v2/a?x=1").value();
  CHECK((url.tls && url.host == "r.example" && url.port == 5000 && url.target == "/v2/a?x=1"));
  CHECK(parse_url("http://[::1]:5000")->authority() == "[::1]:5000");
  CHECK(parse_url("https://a.example")->text() == "https://a.example/");
  CHECK(!parse_url("ftp://x").ok());
  CHECK(!parse_url("http://x:99999/").ok());
  CHECK(!parse_url("http://x/a\r\nEvil: 1").ok());
  CHECK(!parse_url("http:///x").ok());
  CHECK(resolve_location(url, "/b")->text() == "https://r.example:5000/b");
  CHECK(resolve_location(url, "b")->text() == "https://r.example:5000/v2/b");
  CHECK(resolve_location(url, "//c.example/d")->text() == "https://c.example/d");
  CHECK(resolve_location(url, "http://e.example/f")->text() == "http://e.example/f");
}
