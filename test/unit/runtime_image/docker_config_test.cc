#include "runtime/image/docker_config.h"

#include <catch2/catch.hpp>

using namespace knarr;
using namespace knarr::runtime;

TEST_CASE("pull secrets fit images by host and path") {
  auto config = parse_docker_config(R"({"auths":{
    "https://index.docker.io/v1/":{"auth":"aHViOnB3"},
    "reg.example:5000":{"username":"host","password":"p"},
    "reg.example:5000/team":{"username":"team","password":"p"},
    "*.wild.example":{"username":"wild","identitytoken":"t"}}})");
  REQUIRE(config.ok());
  auto users = [&](std::string_view image) {
    std::string out;
    for (const RegistryAuth& auth : auths_for(*config, image)) out += auth.username + " ";
    return out;
  };
  CHECK(users("busybox") == "hub ");
  CHECK(users("reg.example:5000/team/app:1") == "team host ");
  CHECK(users("reg.example:5000/teamwork/app") == "host ");
  CHECK(users("a.wild.example/x") == "wild ");
  CHECK(users("a.b.wild.example/x") == "");
  CHECK(users("other.example/x") == "");
}

TEST_CASE("the older format has no auths around it") {
  auto config = parse_docker_config(R"({"quay.io":{"username":"u","password":"p","email":"e"}})");
  REQUIRE(config.ok());
  CHECK(auths_for(*config, "quay.io/a/b").size() == 1);
  CHECK(!parse_docker_config(R"({"auths":{"x":{"auth":"bm9jb2xvbg=="}}})").ok());
}
