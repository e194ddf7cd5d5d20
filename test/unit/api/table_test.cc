#include "api/table/table.h"

#include <catch2/catch.hpp>

using namespace knarr::api;
namespace json = knarr::json;

namespace {

constexpr int64_t kNow = 1'000'000'000'000'000;  // 2001-09-09T01:46:40Z

std::string cells(std::string_view group, std::string_view resource, std::string_view object) {
  std::vector<json::Value> objects{json::parse(object).value()};
  Table table = to_table(group, resource, objects, kNow);
  return json::write(table_row_json(table.rows.at(0))["cells"]);
}

}  // namespace

TEST_CASE("table: a pod's status") {
  struct Case {
    const char* pod;
    const char* cells;
  };
  const Case cases[] = {
      {R"~({"metadata":{"name":"p","creationTimestamp":"2001-09-09T01:45:40Z"},
           "spec":{"containers":[{"name":"c"}]},"status":{"phase":"Pending"}})~",
       R"~(["p","0/1","Pending","0","60s","<none>","<none>","<none>","<none>"])~"},
      {R"~({"metadata":{"name":"p"},"spec":{"nodeName":"n","containers":[{"name":"a"},{"name":"b"}]},
           "status":{"phase":"Running","podIPs":[{"ip":"10.0.0.1"}],"containerStatuses":[
             {"name":"a","ready":true,"restartCount":2,"state":{"running":{}},
              "lastState":{"terminated":{"finishedAt":"2001-09-09T01:41:40Z"}}},
             {"name":"b","state":{"waiting":{"reason":"CrashLoopBackOff"}},"restartCount":1}]}})~",
       R"~(["p","1/2","CrashLoopBackOff","3 (5m ago)","<unknown>","10.0.0.1","n","<none>","<none>"])~"},
      {R"~({"metadata":{"name":"p"},"spec":{"containers":[{"name":"a"}]},
           "status":{"phase":"Failed","containerStatuses":[
             {"name":"a","state":{"terminated":{"exitCode":3}}}]}})~",
       R"~(["p","0/1","ExitCode:3","0","<unknown>","<none>","<none>","<none>","<none>"])~"},
      {R"~({"metadata":{"name":"p"},"spec":{"containers":[{"name":"a"}],
           "initContainers":[{"name":"i"},{"name":"j"}]},
           "status":{"phase":"Pending","initContainerStatuses":[
             {"name":"i","state":{"terminated":{"exitCode":0}}},
             {"name":"j","restartCount":1,"state":{"running":{}}}]}})~",
       R"~(["p","0/1","Init:1/2","1","<unknown>","<none>","<none>","<none>","<none>"])~"},
      {R"~({"metadata":{"name":"p","deletionTimestamp":"2001-09-09T01:45:40Z"},
           "spec":{"containers":[{"name":"a"}],"readinessGates":[{"conditionType":"x"}]},
           "status":{"phase":"Running","conditions":[{"type":"x","status":"True"}]}})~",
       R"~(["p","0/1","Terminating","0","<unknown>","<none>","<none>","<none>","1/1"])~"},
  };
  for (const Case& c : cases) CHECK(cells("", "pods", c.pod) == c.cells);
}

TEST_CASE("table: other kinds") {
  struct Case {
    const char* group;
    const char* resource;
    const char* object;
    const char* cells;
  };
  const Case cases[] = {
      {"", "services",
       R"~({"metadata":{"name":"s"},"spec":{"type":"NodePort","clusterIPs":["10.0.0.1"],
           "ports":[{"port":80,"nodePort":30080,"protocol":"TCP"},{"port":53,"protocol":"UDP"}],
           "selector":{"b":"2","a":"1"}}})~",
       R"~(["s","NodePort","10.0.0.1","<none>","80:30080/TCP,53/UDP","<unknown>","a=1,b=2"])~"},
      {"", "services", R"~({"metadata":{"name":"s"},"spec":{"type":"LoadBalancer"}})~",
       R"~(["s","LoadBalancer","<none>","<pending>","<none>","<unknown>","<none>"])~"},
      {"apps", "deployments",
       R"~({"metadata":{"name":"d"},"spec":{"replicas":3,"selector":{"matchLabels":{"a":"b"}},
           "template":{"spec":{"containers":[{"name":"x","image":"i"},{"name":"y","image":"j"}]}}},
           "status":{"readyReplicas":1}})~",
       R"~(["d","1/3",0,0,"<unknown>","x,y","i,j","a=b"])~"},
      {"batch", "jobs",
       R"~({"metadata":{"name":"j"},"spec":{"completions":5,"template":{}},
           "status":{"succeeded":5,"startTime":"2001-09-09T01:45:40Z",
           "completionTime":"2001-09-09T01:46:00Z","conditions":[{"type":"Complete","status":"True"}]}})~",
       R"~(["j","Complete","5/5","20s","<unknown>","","","<none>"])~"},
      {"", "nodes",
       R"~({"metadata":{"name":"n","labels":{"node-role.kubernetes.io/control-plane":""}},
           "spec":{"unschedulable":true},"status":{"conditions":[{"type":"Ready","status":"True"}],
           "nodeInfo":{"kubeletVersion":"v1.36.0","kernelVersion":"6.1","architecture":"amd64"}}})~",
       R"~(["n","Ready,SchedulingDisabled","control-plane","<unknown>","v1.36.0","<none>","<none>","<unknown>","6.1 (amd64)","<unknown>"])~"},
      {"", "endpoints",
       R"~({"metadata":{"name":"e"},"subsets":[{"addresses":[{"ip":"1.1.1.1"},{"ip":"fd::1"}],
           "ports":[{"port":80},{"port":81}]}]})~",
       R"~(["e","1.1.1.1:80,[fd::1]:80,1.1.1.1:81 + 1 more...","<unknown>"])~"},
      {"autoscaling", "horizontalpodautoscalers",
       R"~({"metadata":{"name":"h"},"spec":{"scaleTargetRef":{"kind":"Deployment","name":"d"},
           "minReplicas":1,"maxReplicas":3,"metrics":[{"type":"Resource","resource":{"name":"cpu",
           "target":{"type":"Utilization","averageUtilization":80}}}]}})~",
       R"~(["h","Deployment/d","cpu: <unknown>/80%","1",3,0,"<unknown>"])~"},
      {"", "events",
       R"~({"metadata":{"name":"e.1"},"type":"Normal","reason":"R","message":" hello\n",
           "involvedObject":{"kind":"Pod","name":"p"},"count":3,"source":{"component":"c"},
           "firstTimestamp":"2001-09-09T01:44:40Z","lastTimestamp":"2001-09-09T01:45:40Z"})~",
       R"~(["60s","Normal","R","pod/p","","c","hello","2m",3,"e.1"])~"},
      {"x.example.com", "widgets",
       R"~({"metadata":{"name":"w","creationTimestamp":"2001-09-09T01:45:40Z"}})~",
       R"~(["w","2001-09-09T01:45:40Z"])~"},
  };
  for (const Case& c : cases) {
    INFO(c.resource);
    CHECK(cells(c.group, c.resource, c.object) == c.cells);
  }
}

TEST_CASE("table: column definitions") {
  Table table = to_table("", "configmaps", {}, kNow);
  CHECK(json::write(table_json(table)) ==
        R"({"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{},"columnDefinitions":[)"
        R"({"name":"Name","type":"string","format":"name","description":"","priority":0},)"
        R"({"name":"Data","type":"string","format":"","description":"","priority":0},)"
        R"({"name":"Age","type":"string","format":"","description":"","priority":0}],"rows":[]})");
}
