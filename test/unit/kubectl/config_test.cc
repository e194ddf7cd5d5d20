#include <catch2/catch.hpp>

#include "cli/kubectl/api_client.h"
#include "cli/kubectl/deletion.h"
#include "cli/kubectl/kubeconfig.h"
#include "unit/kubectl/value.h"

using namespace knarr;
using namespace knarr::kubectl;

namespace {

const char kConfig[] = R"(
current-context: one
clusters:
- name: c1
  cluster: {server: 'https://127.0.0.1:6443/', certificate-authority-data: Q0E=}
- name: c2
  cluster: {server: 'http://other:8080', insecure-skip-tls-verify: true}
contexts:
- name: one
  context: {cluster: c1, user: u1, namespace: prod}
- name: two
  context: {cluster: c2, user: u2}
users:
- name: u1
  user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}
- name: u2
  user: {token: secret}
)";

}  // namespace

TEST_CASE("the context says server, user and namespace") {
  auto config = client_config(yaml(kConfig), {});
  REQUIRE(config.ok());
  CHECK(config->server == "https://127.0.0.1:6443");
  CHECK(config->ca_pem == "CA");
  CHECK(config->cert_pem == "CERT");
  CHECK(config->key_pem == "KEY");
  CHECK(config->ns == "prod");
  CHECK_FALSE(config->insecure);

  ConfigOverrides overrides;
  overrides.context = "two";
  overrides.ns = "mine";
  config = client_config(yaml(kConfig), overrides);
  REQUIRE(config.ok());
  CHECK(config->server == "http://other:8080");
  CHECK(config->token == "secret");
  CHECK(config->insecure);
  CHECK(config->ns == "mine");

  overrides.context = "none";
  CHECK(client_config(yaml(kConfig), overrides).error().message ==
        "context \"none\" does not exist");
  CHECK(client_config(json::Value::object(), {})->server == "http://localhost:8080");
}

TEST_CASE("of several files the first that says a thing wins") {
  auto merged = merge_kubeconfigs(
      {yaml("{clusters: [{name: c1, cluster: {server: 'https://first'}}]}"), yaml(kConfig)});
  auto config = client_config(merged, {});
  REQUIRE(config.ok());
  CHECK(config->server == "https://first");
  CHECK(config->cert_pem == "CERT");
}

TEST_CASE("file names are relative to the kubeconfig") {
  auto config =
      with_absolute_paths(yaml("{clusters: [{name: c, cluster: {certificate-authority: ca.crt}}], "
                               "users: [{name: u, user: {client-key: /abs/key}}]}"),
                          "/etc/x");
  CHECK(config["clusters"][0]["cluster"]["certificate-authority"].as_string() == "/etc/x/ca.crt");
  CHECK(config["users"][0]["user"]["client-key"].as_string() == "/abs/key");
}

TEST_CASE("errors as kubectl prints them") {
  struct Case {
    int http;
    const char* body;
    const char* text;
  };
  const Case cases[] = {
      {404,
       R"({"kind":"Status","status":"Failure","message":"pods \"x\" not found","reason":"NotFound"})",
       "Error from server (NotFound): pods \"x\" not found\n"},
      {500, R"({"kind":"Status","status":"Failure","message":"oops"})",
       "Error from server: oops\n"},
      {401, R"({"kind":"Status","message":"Unauthorized","reason":"Unauthorized"})",
       "error: You must be logged in to the server (Unauthorized)\n"},
      {422,
       R"({"kind":"Status","message":"m","reason":"Invalid","details":{"kind":"Pod","name":"x","causes":[{"field":"spec.a","message":"Required value"}]}})",
       "The Pod \"x\" is invalid: spec.a: Required value\n"},
      {422,
       R"({"kind":"Status","message":"m","reason":"Invalid","details":{"kind":"Pod","name":"x","causes":[{"field":"a","message":"1"},{"field":"b","message":"2"},{"field":"b","message":"2"}]}})",
       "The Pod \"x\" is invalid: \n* a: 1\n* b: 2\n"},
      {404, "404 page not found",
       "Error from server (NotFound): the server could not find the requested resource\n"},
  };
  for (const Case& c : cases) CHECK(error_text(status_error(c.http, c.body)) == c.text);
  CHECK(error_text(make_error(Code::kBadRequest, "no")) == "error: no\n");
  CHECK(error_text(make_error(Code::kServiceUnavailable, "Unable to connect to the server: x")) ==
        "Unable to connect to the server: x\n");
  CHECK(error_text(with_source(status_error(404, cases[0].body), "error when creating \"f\"")) ==
        "Error from server (NotFound): error when creating \"f\": pods \"x\" not found\n");
}

TEST_CASE("delete options") {
  static constexpr FlagSpec kFlags[] = {text_flag("grace-period", 0, ""), bool_flag("force", 0, ""),
                                        bool_flag("now", 0, ""),
                                        bare_flag("cascade", 0, "background", "")};
  static constexpr std::span<const FlagSpec> kTables[] = {kFlags};
  auto options = [&](std::vector<std::string> args) {
    return delete_options(*Flags::parse(kTables, args));
  };
  CHECK((*options({}))["propagationPolicy"].as_string() == "Background");
  CHECK_FALSE((*options({})).has("gracePeriodSeconds"));
  CHECK((*options({"--force"}))["gracePeriodSeconds"].as_int(-1) == 0);
  CHECK((*options({"--grace-period=0"}))["gracePeriodSeconds"].as_int(-1) == 1);
  CHECK((*options({"--now"}))["gracePeriodSeconds"].as_int(-1) == 1);
  CHECK((*options({"--cascade=orphan"}))["propagationPolicy"].as_string() == "Orphan");
  CHECK_FALSE(options({"--cascade=x"}).ok());
}
