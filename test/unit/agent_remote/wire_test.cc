#include "agent/remote/wire.h"

#include <catch2/catch.hpp>

using namespace knarr;
using namespace knarr::agent;
using client::PatchType;
using client::Verb;

TEST_CASE("a request's path, method and type") {
  struct Row {
    Verb verb;
    client::Target target;
    const char* query;
    const char* line;
  };
  const Row rows[] = {
      {Verb::kGet,
       {"", "v1", "pods", "default", "web", ""},
       "",
       "GET /api/v1/namespaces/default/pods/web"},
      {Verb::kCreate,
       {"apps", "v1", "deployments", "a b", "web", ""},
       "dryRun=All",
       "POST /apis/apps/v1/namespaces/a%20b/deployments?dryRun=All"},
      {Verb::kCreate,
       {"", "v1", "pods", "default", "web", "binding"},
       "",
       "POST /api/v1/namespaces/default/pods/web/binding"},
      {Verb::kUpdate,
       {"", "v1", "nodes", "", "n/1", "status"},
       "",
       "PUT /api/v1/nodes/n%2F1/status"},
      {Verb::kDelete, {"", "v1", "nodes", "", "n1", ""}, "", "DELETE /api/v1/nodes/n1"},
  };
  for (const Row& row : rows) {
    client::Request request;
    request.verb = row.verb;
    request.target = row.target;
    request.query = row.query;
    CHECK(std::string(method_of(row.verb)) + " " + path_of(request) == row.line);
    CHECK(content_type_of(request).empty());
    request.body = "{}";
    CHECK(content_type_of(request) == "application/json");
  }
  client::Request patch;
  patch.verb = Verb::kPatch;
  patch.patch_type = PatchType::kApply;
  CHECK(content_type_of(patch) == "application/apply-patch+yaml");
}

TEST_CASE("a watch begins with all there is, or where it was") {
  client::WatchTarget target{"", "v1", "pods", "", "a=b", "spec.nodeName=n1"};
  CHECK(watch_path(target, 0) ==
        "/api/v1/pods?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&"
        "resourceVersionMatch=NotOlderThan&labelSelector=a%3Db&fieldSelector=spec.nodeName%3Dn1");
  CHECK(watch_path({"apps", "v1", "daemonsets", "ns", "", ""}, 7) ==
        "/apis/apps/v1/namespaces/ns/daemonsets?watch=true&allowWatchBookmarks=true&"
        "resourceVersion=7");
}

TEST_CASE("answers become objects or errors") {
  client::Target pod{"", "v1", "pods", "default", "web", ""};
  auto object = read_answer(
      pod, 201,
      R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"default",)"
      R"("uid":"u","resourceVersion":"12","labels":{"a":"b"}},"spec":{"nodeName":"n1"}})");
  REQUIRE(object.ok());
  CHECK((*object)->name.text() == "default/web");
  CHECK((*object)->revision == 12);
  CHECK(*(*object)->label("a") == "b");
  CHECK(*(*object)->field("spec.nodeName") == "n1");

  auto token = read_answer(
      {"", "v1", "serviceaccounts", "default", "x", "token"}, 201,
      R"({"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","status":{"token":"t"}})");
  REQUIRE(token.ok());
  CHECK((*token)->revision == 0);
  CHECK((*token)->json.find("\"token\":\"t\"") != std::string::npos);

  auto invalid = read_answer(
      pod, 422,
      R"({"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","reason":"Invalid",)"
      R"("details":{"name":"web","kind":"Pod","causes":[{"reason":"FieldValueRequired",)"
      R"("message":"m","field":"spec"}],"retryAfterSeconds":3},"code":422})");
  REQUIRE_FALSE(invalid.ok());
  CHECK(invalid.error().code == Code::kInvalid);
  CHECK(invalid.error().message == "no");
  REQUIRE(invalid.error().details != nullptr);
  CHECK(invalid.error().details->causes.at(0).field == "spec");
  CHECK(invalid.error().details->retry_after_seconds == 3);

  struct Row {
    int status;
    const char* body;
    Code code;
  };
  const Row rows[] = {
      {409, R"({"kind":"Status","reason":"AlreadyExists","code":409})", Code::kAlreadyExists},
      {409, R"({"kind":"Status","reason":"Conflict","code":409})", Code::kConflict},
      {503, "busy", Code::kServiceUnavailable},
      {418, "", Code::kUnknown},
      {200, "no json", Code::kInternalError},
  };
  for (const Row& row : rows) {
    auto answer = read_answer(pod, row.status, row.body);
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.error().code == row.code);
  }
}

TEST_CASE("lines of a watch") {
  const api::ResourceInfo* pods = api::find_resource("", "v1", "pods");
  auto deleted =
      read_event(*pods, R"({"type":"DELETED","object":{"kind":"Pod","apiVersion":"v1","metadata":)"
                        R"({"name":"a","resourceVersion":"9"}}})");
  REQUIRE(deleted.ok());
  CHECK(deleted->type == WireEvent::Type::kDelete);
  CHECK(deleted->revision == 9);
  auto end = read_event(
      *pods, R"({"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"10",)"
             R"("annotations":{"k8s.io/initial-events-end":"true"}}}})");
  REQUIRE(end.ok());
  CHECK(end->initial_end);
  CHECK(end->revision == 10);
  auto expired = read_event(
      *pods, R"({"type":"ERROR","object":{"kind":"Status","reason":"Expired","code":410}})");
  REQUIRE(expired.ok());
  CHECK(expired->error.code == Code::kExpired);
  CHECK_FALSE(read_event(*pods, R"({"type":"X","object":{}})").ok());
  CHECK_FALSE(read_event(*pods, "{").ok());
}
