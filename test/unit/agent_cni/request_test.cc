#include "agent/cni/request.h"

#include <catch2/catch.hpp>

using namespace knarr;
using namespace knarr::agent;
using json::Value;

namespace {

PodRef make_pod(const std::string& ports, const std::string& annotations = "{}") {
  auto object = std::make_shared<Object>();
  object->name = {"default", "web"};
  object->uid = "u1";
  object->json = R"({"metadata":{"name":"web","namespace":"default","uid":"u1","annotations":)" +
                 annotations + R"(},"spec":{"containers":[{"name":"c","image":"i","ports":)" +
                 ports + "}]}}";
  return *Pod::parse(object);
}

CniConfig make_config(const std::string& version = "1.0.0") {
  return *parse_cni_config(R"({"cniVersion":")" + version + R"(","name":"net","plugins":[
      {"type":"bridge","name":"own"},
      {"type":"portmap","capabilities":{"portMappings":true,"bandwidth":false}}]})",
                           CniForm::kList);
}

std::vector<std::string> addresses(const std::string& result) {
  auto parsed = json::parse(result);
  REQUIRE(parsed.ok());
  auto found = cni_addresses(*parsed, "eth0");
  return found.ok() ? *found : std::vector<std::string>{found.error().message};
}

}  // namespace

TEST_CASE("cni: capabilities of a pod") {
  auto pod = make_pod(R"([{"containerPort":80,"hostPort":8080},{"containerPort":81},
      {"containerPort":53,"hostPort":5353,"protocol":"UDP","hostIP":"127.0.0.1"}])",
                      R"({"kubernetes.io/ingress-bandwidth":"10M"})");
  auto capabilities = cni_capabilities(*pod);
  REQUIRE(capabilities.ok());
  CHECK(json::write(*capabilities) ==
        R"({"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp","hostIP":""},)"
        R"({"hostPort":5353,"containerPort":53,"protocol":"udp","hostIP":"127.0.0.1"}],)"
        R"("bandwidth":{"ingressRate":10000000,"ingressBurst":4294967295}})");
  CHECK(json::write(*cni_capabilities(*make_pod("[]"))) == "{}");
  auto small = cni_capabilities(*make_pod("[]", R"({"kubernetes.io/egress-bandwidth":"10"})"));
  CHECK(small.error().message == "resource is unreasonably small (< 1kbit)");
  CHECK(!cni_capabilities(*make_pod("[]", R"({"kubernetes.io/egress-bandwidth":"fast"})")).ok());
}

TEST_CASE("cni: what a plug-in reads") {
  CniConfig config = make_config();
  CniAttachment attachment;
  attachment.capabilities =
      *json::parse(R"({"portMappings":[{"hostPort":1}],"bandwidth":{"a":1}})");
  Value previous = Value::object({{"cniVersion", "1.0.0"}});
  CHECK(cni_input(config, 0, CniCommand::kAdd, attachment, Value()) ==
        R"({"type":"bridge","name":"net","cniVersion":"1.0.0"})");
  CHECK(cni_input(config, 1, CniCommand::kAdd, attachment, previous) ==
        R"({"type":"portmap","capabilities":{"portMappings":true,"bandwidth":false},)"
        R"("name":"net","cniVersion":"1.0.0","prevResult":{"cniVersion":"1.0.0"},)"
        R"("runtimeConfig":{"portMappings":[{"hostPort":1}]}})");
  auto del = [&](const char* version) {
    return cni_input(make_config(version), 0, CniCommand::kDel, attachment, previous);
  };
  CHECK(del("0.4.0").find("prevResult") != std::string::npos);
  CHECK(del("0.3.1").find("prevResult") == std::string::npos);
}

TEST_CASE("cni: who the pod is") {
  CniAttachment attachment;
  attachment.sandbox_id = "s1";
  attachment.netns = "/proc/7/ns/net";
  attachment.args = cni_args(*make_pod("[]"), "s1");
  auto environment = cni_environment(CniCommand::kDel, attachment, {"/a", "/b"});
  std::string all;
  for (const auto& [name, value] : environment) all += name + "=" + value + "\n";
  CHECK(all ==
        "CNI_COMMAND=DEL\nCNI_CONTAINERID=s1\nCNI_NETNS=/proc/7/ns/net\nCNI_IFNAME=eth0\n"
        "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;"
        "K8S_POD_INFRA_CONTAINER_ID=s1;K8S_POD_UID=u1\nCNI_PATH=/a:/b\n");
}

TEST_CASE("cni: addresses of a result") {
  using List = std::vector<std::string>;
  CHECK(addresses(R"({"ips":[{"address":"10.1.0.2/24"}]})") == List{"10.1.0.2"});
  CHECK(addresses(R"({"ips":[{"address":"fd00::2/64"},{"address":"10.1.0.2/24"}]})") ==
        List{"10.1.0.2", "fd00::2"});
  CHECK(addresses(R"({"interfaces":[{"name":"cni0"},{"name":"eth0","sandbox":"/n"}],"ips":[
      {"interface":0,"address":"10.1.0.1/24"},{"interface":1,"address":"10.1.0.2/24"}]})") ==
        List{"10.1.0.2"});
  CHECK(addresses(R"({"ips":[{"interface":0,"address":"10.1.0.1/24"}]})") ==
        List{R"(invalid interface config: {"interface":0,"address":"10.1.0.1/24"})"});
  CHECK(addresses(R"({"ips":[{"address":"10.1.0.999/24"}]})") ==
        List{"invalid CIDR address: 10.1.0.999/24"});
  CHECK(addresses("{}") == List{"failed to find network info: no address for eth0"});
}

TEST_CASE("cni: why a plug-in failed") {
  struct {
    const char *output, *diagnostics, *message;
  } rows[] = {
      {"", "", "netplugin failed with no error message: exit status 1"},
      {"", "oh \"no\"", R"(netplugin failed: "oh \"no\"")"},
      {R"({"code":11,"msg":"no addresses"})", "", "no addresses"},
      {R"({"code":7,"msg":"bad","details":"very"})", "", "bad; very"},
      {"[]", "",
       R"(netplugin failed but error parsing its diagnostic message "[]": not an object)"},
  };
  for (const auto& row : rows) {
    CHECK(cni_failure(row.output, row.diagnostics, "exit status 1") == row.message);
  }
  CHECK(parse_cni_result("{}", make_config()).value()["cniVersion"].as_string() == "1.0.0");
  CHECK(!parse_cni_result("nothing", make_config()).ok());
}
