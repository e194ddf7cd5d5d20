#include <catch2/catch.hpp>

#include "api/view/meta.h"
#include "server/controllers/index_set.h"
#include "server/controllers/job_core.h"

using namespace knarr;          // NOLINT
using namespace knarr::server;  // NOLINT

namespace {

constexpr int64_t kNow = 1767225600LL * 1000000;

json::Value parse(const std::string& text) { return *json::parse(text); }

json::Value job(const std::string& spec, const std::string& status = "{}") {
  return parse(R"({"metadata": {"name": "j", "namespace": "ns", "uid": "job"}, "spec": )" + spec +
               R"(, "status": )" + status + "}");
}

api::PodView pod(const std::string& uid, const char* phase, bool finalizer = true,
                 const char* index = nullptr) {
  auto object = std::make_shared<Object>();
  object->uid = uid;
  object->name = {"ns", "j-" + uid};
  json::Value value = parse(R"({"metadata": {"namespace": "ns"}})");
  value.member("metadata").set("name", "j-" + uid);
  if (finalizer) value.member("metadata").set("finalizers", json::Value::array({kJobFinalizer}));
  if (index != nullptr) value.member("metadata").member("annotations").set(kJobIndexKey, index);
  value.member("status").set("phase", phase);
  object->json = json::write(value);
  return api::PodView(object);
}

bool has(const JobPlan& plan, const char* type) {
  return api::condition_is(plan.status["conditions"], type, "True");
}

}  // namespace

TEST_CASE("index sets read and write as statuses have them") {
  auto check = [](const char* text, const char* written) {
    CHECK(format_indexes(parse_indexes(text, 100)) == written);
  };
  check("", "");
  check("3", "3");
  check("1,2", "1,2");
  check("0-2", "0-2");
  check("0,1,2,5,7-9", "0-2,5,7-9");
  CHECK(format_indexes(parse_indexes("0-200", 4)) == "0-3");
}

TEST_CASE("a job makes pods up to parallelism and what is missing") {
  auto created = [](const char* spec, const std::vector<api::PodView>& pods) {
    return plan_job(job(spec), pods, kNow).create;
  };
  CHECK(created(R"({"completions": 5, "parallelism": 2})", {}) == 2);
  CHECK(created(R"({"completions": 5, "parallelism": 2})", {pod("a", "Running")}) == 1);
  CHECK(created(R"({"completions": 1, "parallelism": 4})", {}) == 1);
  CHECK(created(R"({"parallelism": 3})", {}) == 3);
  CHECK(created(R"({"parallelism": 3, "suspend": true})", {}) == 0);
}

TEST_CASE("a finished pod is named, let go and counted, in three passes") {
  const char* spec = R"({"completions": 1, "parallelism": 1})";
  std::vector<api::PodView> pods{pod("a", "Succeeded")};
  JobPlan first = plan_job(job(spec), pods, kNow);
  CHECK(first.status["uncountedTerminatedPods"]["succeeded"][0].as_string() == "a");
  CHECK(first.release.size() == 1);
  CHECK(first.status["succeeded"].as_int() == 0);
  CHECK(has(first, "SuccessCriteriaMet"));
  CHECK_FALSE(has(first, "Complete"));

  pods = {pod("a", "Succeeded", false)};
  JobPlan second = plan_job(job(spec, json::write(first.status)), pods, kNow);
  CHECK(second.status["succeeded"].as_int() == 1);
  CHECK(second.status["uncountedTerminatedPods"].empty());
  CHECK(has(second, "Complete"));
  REQUIRE(second.events.size() == 1);
  CHECK(second.events[0].reason == "Completed");
}

TEST_CASE("a job fails beyond its backoff limit") {
  const char* spec = R"({"completions": 1, "parallelism": 1, "backoffLimit": 0})";
  JobPlan first = plan_job(job(spec), {pod("a", "Failed")}, kNow);
  CHECK(has(first, "FailureTarget"));
  CHECK(first.create == 0);
  JobPlan last = plan_job(job(spec, json::write(first.status)), {pod("a", "Failed", false)}, kNow);
  CHECK(has(last, "Failed"));
  CHECK(last.status["failed"].as_int() == 1);
  CHECK(last.events[0].message == "Job has reached the specified backoff limit");
}

TEST_CASE("indexed jobs make what is missing") {
  const char* spec = R"({"completions": 4, "parallelism": 4, "completionMode": "Indexed"})";
  JobPlan plan =
      plan_job(job(spec, R"({"completedIndexes": "1"})"), {pod("a", "Running", true, "0")}, kNow);
  CHECK(plan.indexes == std::vector<int64_t>{2, 3});
  CHECK(plan.status["succeeded"].as_int() == 1);
}

TEST_CASE("the deadline ends a job") {
  const char* spec = R"({"completions": 1, "parallelism": 1, "activeDeadlineSeconds": 1})";
  json::Value late = job(spec, R"({"startTime": "2025-12-31T23:59:58Z"})");
  JobPlan plan = plan_job(late, {pod("a", "Running")}, kNow);
  CHECK(has(plan, "FailureTarget"));
  CHECK(plan.remove.size() == 1);
}

TEST_CASE("the failure policy names the container and the rule") {
  json::Value j = job(R"({"podFailurePolicy": {"rules": [{"action": "FailJob",
    "onExitCodes": {"operator": "In", "values": [42]}}]}})");
  json::Value p = parse(R"({"metadata": {"namespace": "ns", "name": "p"}, "status":
    {"containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 42}}}]}})");
  std::string message;
  CHECK(failure_action(j, p, message) == "FailJob");
  CHECK(message ==
        "Container c for pod ns/p failed with exit code 42 matching FailJob rule at index 0");
}
