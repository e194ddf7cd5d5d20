#include "agent/container_config.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "agent/pod_resources.h"
#include "base/file.h"
#include "temp_dir.h"

using namespace knarr;
using namespace knarr::agent;
using json::Value;

namespace {

PodRef pod_from(const char* text) {
  auto object = std::make_shared<Object>();
  object->name = {"ns1", "p"};
  object->uid = "u1";
  object->json = text;
  auto pod = Pod::parse(object);
  REQUIRE(pod.ok());
  return *pod;
}

NodeFacts node_facts() {
  NodeFacts node;
  node.name = "n1";
  node.hostname = "n1";
  node.host_ips = {"192.0.2.1"};
  node.allocatable = Value::object({{"cpu", "2"}, {"memory", "1Gi"}});
  node.memory_bytes = 1 << 30;
  return node;
}

}  // namespace

TEST_CASE("$(NAME) is expanded, $$ escapes, unknown names stay") {
  std::map<std::string, std::string> values = {{"A", "1"}, {"B", ""}};
  for (auto [text, want] :
       std::vector<std::pair<std::string, std::string>>{{"$(A)-$(NOPE)-$$(A)", "1-$(NOPE)-$(A)"},
                                                        {"$(B)", ""},
                                                        {"$", "$"},
                                                        {"$(A", "$(A"},
                                                        {"a$b", "a$b"},
                                                        {"$$$(A)", "$1"}}) {
    CHECK(expand(text, values) == want);
  }
}

TEST_CASE("the environment of a container, in order, with its sources") {
  PodRef pod = pod_from(R"pod({"metadata":{"name":"p","namespace":"ns1","labels":{"a":"b"}},"spec":{
    "nodeName":"n1","containers":[{"name":"c","env":[{"name":"A","value":"1"},
    {"name":"B","value":"$(A)$(P_x)$(WEB_SERVICE_HOST)"},
    {"name":"L","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['a']"}}},
    {"name":"C","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":"1m"}}},
    {"name":"M","valueFrom":{"resourceFieldRef":{"resource":"limits.memory"}}},
    {"name":"D","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}},
    {"name":"E","valueFrom":{"configMapKeyRef":{"name":"m","key":"zz","optional":true}}}],
    "envFrom":[{"prefix":"P_","configMapRef":{"name":"m"}}],
    "resources":{"limits":{"cpu":"250m"}}}]}})pod");
  CHECK(referenced_objects(*pod->containers()[0].spec) ==
        std::vector<ObjectName>{{false, "m"}, {true, "s"}});
  ObjectData objects = {{{false, "m"}, {{"x", "y"}}},
                        {{true, "s"}, object_data(*json::parse(R"({"data":{"k":"dg=="}})"), true)}};
  std::vector<Value> services = {*json::parse(
      R"({"metadata":{"name":"web"},"spec":{"clusterIP":"10.43.0.7","ports":[{"port":80}]}})")};
  NodeFacts node = node_facts();
  std::vector<std::string> ips = {"10.42.0.5"};
  auto env = make_environment({*pod, pod->containers()[0], node, ips, objects, services});
  REQUIRE(env.ok());
  std::string text;
  for (auto& [name, value] : *env) text += name + "=" + value + ";";
  CHECK(text.find("P_x=y;A=1;B=1y10.43.0.7;L=b;C=250;M=1073741824;D=v;") == 0);
  CHECK(text.find("WEB_SERVICE_PORT=80;") != std::string::npos);
  CHECK(text.find("WEB_PORT_80_TCP_ADDR=10.43.0.7;") != std::string::npos);
  CHECK(text.find("E=") == std::string::npos);

  objects.erase({false, "m"});
  auto missing = make_environment({*pod, pod->containers()[0], node, ips, objects, services});
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().message == "configmap \"m\" not found");
}

TEST_CASE("a file that containers share stays the same file") {
  test::TempDir folder;
  std::string path = folder.path() + "/hosts";
  auto inode = [&] {
    struct stat info {};
    REQUIRE(stat(path.c_str(), &info) == 0);
    return info.st_ino;
  };
  REQUIRE(write_shared_file(path, "long text").ok());
  auto first = inode();
  for (const char* text : {"long text", "short", ""}) {
    REQUIRE(write_shared_file(path, text).ok());
    CHECK(*base::read_file(path) == text);
    CHECK(inode() == first);
  }
}

TEST_CASE("hosts and resolv.conf") {
  PodRef pod = pod_from(R"({"metadata":{"name":"p"},"spec":{"hostname":"hh","subdomain":"sub",
    "hostAliases":[{"ip":"1.2.3.4","hostnames":["foo","bar"]}],"containers":[]}})");
  DnsSettings dns{{"10.43.0.10"}, "cluster.local"};
  HostName host = host_name_of(*pod, dns, "n1");
  CHECK(host.domain == "sub.ns1.svc.cluster.local");
  std::string hosts = hosts_file(*pod, host, {"10.42.0.5"}, "");
  CHECK(hosts.find("10.42.0.5\thh.sub.ns1.svc.cluster.local\thh\n\n# Entries added by "
                   "HostAliases.\n1.2.3.4\tfoo\tbar\n") != std::string::npos);
  CHECK(resolv_conf(*pod, dns, "search home\nnameserver 9.9.9.9\n") ==
        "search ns1.svc.cluster.local svc.cluster.local cluster.local home\n"
        "nameserver 10.43.0.10\noptions ndots:5\n");
  PodRef own = pod_from(R"({"metadata":{"name":"p"},"spec":{"dnsPolicy":"None","dnsConfig":{
    "nameservers":["9.9.9.9"],"searches":["a.b"],"options":[{"name":"ndots","value":"3"}]},
    "containers":[]}})");
  CHECK(resolv_conf(*own, dns, "search home\n") ==
        "search a.b\nnameserver 9.9.9.9\noptions ndots:3\n");
  std::string wide(1024, 'a');
  CHECK(
      resolv_conf(
          *pod_from(R"({"metadata":{"name":"p"},"spec":{"dnsPolicy":"Default","containers":[]}})"),
          dns, "search " + wide + " " + wide + " c\n") == "search " + wide + "\n");
  std::vector<std::string> omitted;
  CHECK(resolv_conf(*own, dns, "", &omitted).size() > 0);
  CHECK(omitted.empty());
  PodRef many = pod_from(R"({"metadata":{"name":"p"},"spec":{"dnsPolicy":"None","dnsConfig":{
    "nameservers":["9.9.9.1","9.9.9.2","9.9.9.3","9.9.9.4"]},"containers":[]}})");
  resolv_conf(*many, dns, "", &omitted);
  CHECK(omitted == std::vector<std::string>{
                       "Nameserver limits were exceeded, some nameservers have been omitted, the "
                       "applied nameserver line is: 9.9.9.1 9.9.9.2 9.9.9.3"});
  PodRef node_net = pod_from(
      R"({"metadata":{"name":"p"},"spec":{"hostNetwork":true,"dnsPolicy":"ClusterFirst",
      "containers":[]}})");
  CHECK(resolv_conf(*node_net, dns, "nameserver 9.9.9.9\n") == "nameserver 9.9.9.9\n");
  PodRef renamed = pod_from(
      R"({"spec":{"hostname":"hh","subdomain":"sub","hostnameOverride":"db.example","containers":[]}})");
  HostName name = host_name_of(*renamed, dns, "n1");
  CHECK(name.name == "db.example");
  CHECK(name.domain.empty());
}

TEST_CASE("runAsNonRoot") {
  auto check = [](const char* context, const char* image_user, const char* message) {
    std::string text = std::string(R"({"metadata":{"name":"p"},"spec":{"securityContext":)") +
                       context + R"(,"containers":[{"name":"c"}]}})";
    PodRef pod = pod_from(text.c_str());
    runtime::ImageSpec image;
    image.user = image_user;
    auto result = check_non_root(*pod, pod->containers()[0], image);
    CHECK((result.ok() ? "" : result.error().message) == std::string(message));
  };
  check("{}", "", "");
  check("{\"runAsNonRoot\":true,\"runAsUser\":5}", "", "");
  check("{\"runAsNonRoot\":true}", "1000:1000", "");
  check("{\"runAsNonRoot\":true}", "",
        "container has runAsNonRoot and image will run as root (pod: \"p_ns1(u1)\", container: c)");
  check("{\"runAsNonRoot\":true}", "00:5",
        "container has runAsNonRoot and image will run as root (pod: \"p_ns1(u1)\", container: c)");
  check("{\"runAsNonRoot\":true,\"runAsUser\":0}", "1000",
        "container's runAsUser breaks non-root policy (pod: \"p_ns1(u1)\", container: c)");
  check("{\"runAsNonRoot\":true}", "web",
        "container has runAsNonRoot and image has non-numeric user (web), cannot verify user is "
        "non-root (pod: \"p_ns1(u1)\", container: c)");
}

TEST_CASE("resources for the kernel") {
  auto check = [](const char* resources, const char* qos, int64_t shares, int64_t quota, int adj) {
    std::string text = std::string(R"({"metadata":{"name":"p"},"status":{"qosClass":")") + qos +
                       R"("},"spec":{"containers":[{"name":"c","resources":)" + resources + "}]}}";
    PodRef pod = pod_from(text.c_str());
    runtime::Resources r = container_resources(*pod, pod->containers()[0], 1 << 30);
    CHECK(r.cpu_shares == shares);
    CHECK(r.cpu_quota_us == quota);
    CHECK(r.oom_score_adj == adj);
  };
  check("{}", "BestEffort", 2, 0, 1000);
  check(R"({"requests":{"cpu":"100m","memory":"512Mi"}})", "Burstable", 102, 0, 500);
  check(R"({"limits":{"cpu":"250m"},"requests":{"cpu":"250m"}})", "Guaranteed", 256, 25000, -997);
}

TEST_CASE("a pod asks for its containers' sum, or its largest init container") {
  PodRef pod = pod_from(R"({"metadata":{"name":"p"},"spec":{
    "initContainers":[{"name":"i","resources":{"requests":{"cpu":"1","memory":"8Mi"}}}],
    "containers":[{"name":"a","resources":{"requests":{"cpu":"100m","memory":"16Mi"}}},
                  {"name":"b","resources":{"requests":{"cpu":"200m"}}}]}})");
  Value requests = pod_requests(*pod);
  CHECK(requests["cpu"].as_string() == "1");
  CHECK(requests["memory"].as_string() == "16Mi");
}
