#include "cli/kubectl/generators.h"

#include <catch2/catch.hpp>

#include "cli/kubectl/json_text.h"
#include "cli/kubectl/verbs.h"
#include "unit/kubectl/value.h"

using namespace knarr::kubectl;

namespace {

void check_made(const std::vector<std::string>& args, const char* expected) {
  std::span<const FlagSpec> tables[] = {kCreateFlags};
  auto flags = Flags::parse(tables, args);
  REQUIRE(flags.ok());
  size_t dash = flags->dash_at < 0 ? flags->words.size() : static_cast<size_t>(flags->dash_at);
  std::vector<std::string> words(flags->words.begin(),
                                 flags->words.begin() + static_cast<ptrdiff_t>(dash));
  std::vector<std::string> command(flags->words.begin() + static_cast<ptrdiff_t>(dash),
                                   flags->words.end());
  auto made = generate_object(words, command, *flags);
  REQUIRE(made.ok());
  CHECK(sorted_json(*made) == sorted_json(yaml(expected)));
}

}  // namespace

TEST_CASE("create makes objects from flags") {
  check_made({"deployment", "web", "--image=a/httpd:1", "--replicas=3", "--port=80"}, R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{image: 'a/httpd:1', name: httpd, ports: [{containerPort: 80}]}]
)");
  check_made({"ns", "x"}, "{apiVersion: v1, kind: Namespace, metadata: {name: x}}");
  check_made({"cm", "x", "--from-literal=a=b=c"},
             "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {a: b=c}}");
  check_made({"secret", "generic", "x", "--from-literal=a=b"},
             "{apiVersion: v1, kind: Secret, metadata: {name: x}, data: {a: Yg==}}");
  check_made({"job", "j", "--image=b", "--", "c", "d"}, R"(
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec: {template: {spec: {containers: [{command: [c, d], image: b, name: j}], restartPolicy: Never}}}
)");
  check_made({"service", "clusterip", "a", "--tcp=80:8080"}, R"(
apiVersion: v1
kind: Service
metadata: {name: a, labels: {app: a}}
spec:
  type: ClusterIP
  selector: {app: a}
  ports: [{name: 80-8080, port: 80, protocol: TCP, targetPort: 8080}]
)");
}

TEST_CASE("run makes a pod") {
  std::span<const FlagSpec> tables[] = {kRunFlags};
  auto flags = Flags::parse(tables, {"--image=a", "--restart=Never", "-it", "--env=A=b"});
  REQUIRE(flags.ok());
  CHECK(sorted_json(*generate_pod("x", {"ls"}, *flags)) == sorted_json(yaml(R"(
apiVersion: v1
kind: Pod
metadata: {name: x, labels: {run: x}}
spec:
  containers:
  - {image: a, name: x, args: [ls], env: [{name: A, value: b}], stdin: true, stdinOnce: true, tty: true}
  dnsPolicy: ClusterFirst
  restartPolicy: Never
)")));
}

TEST_CASE("expose makes a service of what is there") {
  std::span<const FlagSpec> tables[] = {kExposeFlags};
  auto deployment = yaml(R"(
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  selector: {matchLabels: {app: web}}
  template: {spec: {containers: [{ports: [{containerPort: 8080}]}]}}
)");
  auto flags = Flags::parse(tables, {"--port=80", "--target-port=http", "--type=NodePort"});
  CHECK(sorted_json(*generate_service(deployment, *flags)) == sorted_json(yaml(R"(
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec:
  ports: [{port: 80, protocol: TCP, targetPort: http}]
  selector: {app: web}
  type: NodePort
)")));
  auto none = Flags::parse(tables, {});
  CHECK((*generate_service(deployment, *none))["spec"]["ports"][0]["port"].as_int() == 8080);
}
