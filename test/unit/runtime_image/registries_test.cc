#include "runtime/image/registries.h"

#include <catch2/catch.hpp>

using namespace knarr;
using namespace knarr::runtime;

namespace {

constexpr const char* kYaml = R"yaml(
mirrors:
  docker.io:
    endpoint: ["https://mirror.example:5000/v2", "http://second.example"]
    rewrite:
      "^library/(.*)": "hub/$1"
  "*":
    endpoint: ["https://all.example"]
configs:
  "mirror.example:5000":
    auth: {username: me, password: secret}
    tls: {ca_file: /ca.pem, insecure_skip_verify: true}
  "127.0.0.1:6000":
    tls: {ca_file: /other.pem}
)yaml";

std::string summary(const Registries& registries, const char* image) {
  std::string out;
  for (const Endpoint& e : endpoints_for(registries, parse_image(image).value())) {
    out += e.base_url + " " + e.repository + " " + e.mirrored + " " + e.config.auth.username + "\n";
  }
  return out;
}

}  // namespace

TEST_CASE("mirrors are asked before the registry they stand for") {
  Registries registries = parse_registries(kYaml).value();
  CHECK(summary(registries, "busybox") ==
        "https://mirror.example:5000 hub/busybox docker.io me\n"
        "http://second.example hub/busybox docker.io \n"
        "https://registry-1.docker.io library/busybox  \n");
  CHECK(summary(registries, "quay.io/a/b") ==
        "https://all.example a/b quay.io \nhttps://quay.io a/b  \n");
  CHECK(registries.configs["mirror.example:5000"].tls.insecure_skip_verify);
  CHECK(registries.configs["mirror.example:5000"].tls.ca_file == "/ca.pem");
}

TEST_CASE("loopback registries are plain HTTP unless configured") {
  Registries none;
  CHECK(summary(none, "127.0.0.1:5000/x") == "http://127.0.0.1:5000 x  \n");
  CHECK(summary(none, "localhost:5000/x") == "http://localhost:5000 x  \n");
  CHECK(summary(none, "[::1]:5000/x") == "http://[::1]:5000 x  \n");
  CHECK(summary(none, "10.0.0.1:5000/x") == "https://10.0.0.1:5000 x  \n");
  Registries registries = parse_registries(kYaml).value();
  CHECK(endpoints_for(registries, parse_image("127.0.0.1:6000/x").value()).back().base_url ==
        "https://127.0.0.1:6000");
}

TEST_CASE("what is no registries.yaml") {
  CHECK(parse_registries("").ok());
  CHECK(parse_registries("mirrors:\n").ok());
  CHECK(!parse_registries("- a\n").ok());
  CHECK(!parse_registries("a: [").ok());
  CHECK(!parse_registries("mirrors: {x: {rewrite: {'(': y}}}").ok());
  CHECK(load_registries("/nonexistent/registries.yaml").ok());
}
