// Paths and headers, as tables.

#include <catch2/catch.hpp>

#include "server/http/media.h"
#include "server/http/request_info.h"
#include "server/http/write_options.h"
#include "server/registry/reset_fields.h"

using namespace knarr;
using namespace knarr::server;

TEST_CASE("what a URL asks for") {
  struct Row {
    const char* method;
    const char* path;
    const char* query;
    const char* expected;  // verb group/version ns resource name subresource
  };
  const Row rows[] = {
      {"GET", "/api/v1/pods", "", "list /v1 - pods - -"},
      {"GET", "/api/v1/pods", "watch=1", "watch /v1 - pods - -"},
      {"GET", "/api/v1/pods", "watch=maybe", "watch /v1 - pods - -"},
      {"GET", "/api/v1/pods", "watch=false", "list /v1 - pods - -"},
      {"GET", "/api/v1/watch/namespaces/a/pods", "", "watch /v1 a pods - -"},
      {"POST", "/apis/apps/v1/namespaces/a/deployments", "", "create apps/v1 a deployments - -"},
      {"PUT", "/apis/apps/v1/namespaces/a/deployments/d/scale", "",
       "update apps/v1 a deployments d scale"},
      {"GET", "/api/v1/namespaces/a", "", "get /v1 a namespaces a -"},
      {"PUT", "/api/v1/namespaces/a/finalize", "", "update /v1 a namespaces a finalize"},
      {"DELETE", "/api/v1/namespaces/a/configmaps", "", "deletecollection /v1 a configmaps - -"},
      {"DELETE", "/api/v1/namespaces/a/configmaps/", "", "deletecollection /v1 a configmaps - -"},
      {"GET", "/api/v1/namespaces/a/configmaps/x%2Dy", "", "get /v1 a configmaps x-y -"},
      {"PATCH", "/api/v1/nodes/n/status", "", "patch /v1 - nodes n status"},
      {"GET", "/api/v1", "", "path"},
      {"GET", "/healthz", "", "path"},
  };
  for (const Row& row : rows) {
    INFO(row.method << " " << row.path);
    Result<RequestInfo> info = parse_request(row.method, row.path, net::Query::parse(row.query));
    REQUIRE(info.ok());
    auto or_dash = [](const std::string& s) { return s.empty() ? "-" : s; };
    std::string got = "path";
    if (info->resource_request) {
      got = info->verb + " " + info->group + "/" + info->version + " " + or_dash(info->ns) + " " +
            info->resource + " " + or_dash(info->name) + " " + or_dash(info->subresource);
    }
    CHECK(got == row.expected);
  }
  CHECK(!parse_request("GET", "/api/v1/pods/%zz", {}).ok());
}

TEST_CASE("what is proxied keeps its path as it was sent") {
  struct Row {
    const char* path;
    const char* rest;
  };
  const Row rows[] = {
      {"/api/v1/nodes/n/proxy", ""},
      {"/api/v1/nodes/n/proxy/metrics", "/metrics"},
      {"/api/v1/nodes/n/proxy/a%2Fb/c%20d%0d%0aX/", "/a%2Fb/c%20d%0d%0aX/"},
      {"/api/v1/namespaces/x/pods/p%2Dq:80/proxy/a//%3Fb", "/a//%3Fb"},
      {"//api/v1/namespaces/x/services/s/proxy/a", "/a"},
  };
  for (const Row& row : rows) {
    Result<RequestInfo> info = parse_request("GET", row.path, {});
    REQUIRE(info.ok());
    CHECK(info->subresource == "proxy");
    CHECK(info->rest == row.rest);
  }
}

TEST_CASE("which form an Accept header asks for") {
  struct Row {
    const char* accept;
    const char* expected;
  };
  const Row rows[] = {
      {"", "json"},
      {"*/*", "json"},
      {"application/json;q=0", "json"},
      {"application/yaml", "yaml"},
      {"text/html,*/*;q=0.1", "json"},
      {"application/xml,application/json;q=0.5", "json"},
      {"application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "table"},
      {"application/json;as=Table;v=v9;g=meta.k8s.io,application/json", "json"},
      {"application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "partial"},
      {"application/vnd.kubernetes.protobuf,application/json", "protobuf"},
      {"application/json;as=Table;v=v9;g=meta.k8s.io", "406"},
      {"application/*", "406"},
      {"text/html", "406"},
      {"application/cbor", "406"},
  };
  for (const Row& row : rows) {
    INFO(row.accept);
    Result<Wanted> wanted = negotiate(row.accept, Accepts::kForms);
    std::string got = "406";
    if (wanted.ok()) {
      got = wanted->protobuf                     ? "protobuf"
            : wanted->form == Form::kTable       ? "table"
            : wanted->form == Form::kPartial     ? "partial"
            : wanted->media == api::Media::kYaml ? "yaml"
                                                 : "json";
    }
    CHECK(got == row.expected);
  }
  CHECK(negotiate("application/vnd.kubernetes.protobuf", Accepts::kStream)->protobuf);
  CHECK(!negotiate("application/yaml", Accepts::kStream).ok());
}

TEST_CASE("media types of bodies") {
  CHECK(media_of("") == api::Media::kJson);
  CHECK(media_of("application/JSON; charset=utf-8") == api::Media::kJson);
  CHECK(media_of("application/yaml") == api::Media::kYaml);
  CHECK(!media_of("application/x-yaml"));
  CHECK(patch_type_of("application/merge-patch+json;charset=utf-8") == client::PatchType::kMerge);
  CHECK(!patch_type_of("application/json"));
  CHECK(proxied_name("https:web:443") == "web");
  CHECK(proxied_name("web:443") == "web");
  CHECK(proxied_name("web") == "web");
}

TEST_CASE("what nobody comes to own through an endpoint") {
  struct Row {
    const char* group;
    const char* plural;
    const char* subresource;
    const char* expected;
  };
  const Row rows[] = {
      {"", "configmaps", "", "{}"},
      {"", "services", "", R"({"f:status":{}})"},
      {"", "services", "status", R"({"f:spec":{}})"},
      {"", "pods", "resize", R"({"f:status":{}})"},
      {"", "pods", "status", R"({"f:metadata":{"f:ownerReferences":{}},"f:spec":{}})"},
      {"apps", "deployments", "status", R"({"f:metadata":{"f:labels":{}},"f:spec":{}})"},
      {"apps", "deployments", "scale", "{}"},
      {"certificates.k8s.io", "certificatesigningrequests", "", R"({"f:spec":{},"f:status":{}})"},
      {"certificates.k8s.io", "certificatesigningrequests", "approval",
       R"({"f:spec":{},"f:status":{"f:certificate":{}}})"},
  };
  for (const Row& row : rows) {
    INFO(row.plural << "/" << row.subresource);
    const api::ResourceInfo* resource = api::find_resource_group(row.group, row.plural);
    REQUIRE(resource != nullptr);
    CHECK(json::write(reset_fields(*resource, row.subresource, {}).to_json()) == row.expected);
  }
}
