// Whose names and addresses a machine gets a certificate for.
#include <catch2/catch.hpp>

#include "api/view/meta.h"
#include "base/base64.h"
#include "cluster.h"
#include "net/pki.h"

using namespace knarr;          // NOLINT
using namespace knarr::server;  // NOLINT
using knarr::sim::Cluster;

namespace {

using Names = std::vector<std::string>;

struct Ordered : Cluster {
  Ordered() : Cluster(5) {
    set_server_names({"kubernetes.default.svc", "API.corp.example", "*.apps.example", "10.43.0.1"});
    start();
  }

  // A node asks for the certificate of its own port; the request's name.
  std::string ask(const std::string& node, const Names& dns_names, const Names& ips) {
    net::CertificateRequest wanted;
    wanted.common_name = "system:node:" + node;
    wanted.organizations = {"system:nodes"};
    wanted.dns_names = dns_names;
    wanted.ip_addresses = ips;
    auto pem = net::make_signing_request(key_, wanted);
    REQUIRE(pem.ok());
    json::Value usages = json::Value::array({"digital signature", "server auth"});
    std::string name = "r" + std::to_string(++asked_);
    json::Value request = json::Value::object(
        {{"apiVersion", "certificates.k8s.io/v1"},
         {"kind", "CertificateSigningRequest"},
         {"metadata", json::Value::object({{"name", name}})},
         {"spec", json::Value::object({{"request", base::base64_encode(*pem)},
                                       {"signerName", "kubernetes.io/kubelet-serving"},
                                       {"usages", std::move(usages)}})}});
    bool made = false;
    client_as(wanted.common_name)
        ->call({client::Verb::kCreate,
                {"certificates.k8s.io", "v1", "certificatesigningrequests", "", "", ""},
                json::write(request),
                {},
                {}},
               [&](const Result<ObjectRef>& answer) { made = answer.ok(); });
    REQUIRE(eventually([&] { return made; }));
    return name;
  }
  json::Value condition(const std::string& name, const char* type) {
    return api::condition(get(kSigningRequests, {"", name})["status"]["conditions"], type);
  }
  // "Approved", "Denied", or nothing where a person is left to decide.
  std::string outcome(const std::string& name) {
    eventually(
        [&] {
          return get(kSigningRequests, {"", name})["status"]["conditions"].size() > 0;
        },
        5000);
    return get(kSigningRequests, {"", name})["status"]["conditions"][0]["type"].text();
  }
  void approve(const std::string& name) {
    json::Value r = get(kSigningRequests, {"", name});
    r.member("status")
        .member("conditions")
        .push_back(json::Value::object(
            {{"type", "Approved"}, {"status", "True"}, {"reason", "ByHand"}, {"message", ""}}));
    REQUIRE(call(update_request(kSigningRequests, r, "approval")).ok());
  }

 private:
  std::string key_ = *net::generate_ec_key();
  int asked_ = 0;
};

}  // namespace

TEST_CASE("a node that is off keeps no other from its address") {
  Ordered c;
  c.add_node("n2");
  json::Value node = c.get(kNodes, {"", "n2"});
  node.member("status").set(
      "addresses",
      json::Value::array({json::Value::object({{"type", "InternalIP"}, {"address", "10.0.0.2"}})}));
  REQUIRE(c.call(update_request(kNodes, node, "status")).ok());
  std::string early = c.ask("n1", {"n1"}, {"10.0.0.2"});
  REQUIRE(c.outcome(early) == "Denied");
  CHECK(c.condition(early, "Denied")["message"].as_string() ==
        "10.0.0.2 is an address of node \"n2\"");
  c.silence("n2");
  REQUIRE(c.eventually(
      [&] {
        return !api::condition_is(c.get(kNodes, {"", "n2"})["status"]["conditions"], "Ready",
                                  "True");
      },
      120000));
  CHECK(c.outcome(c.ask("n1", {"n1"}, {"10.0.0.2"})) == "Approved");
}

TEST_CASE("no node has a certificate that a client takes for the API server's") {
  Ordered c;
  struct Row {
    const char* node;
    Names dns_names, ips;
    const char* outcome;
  };
  const Row rows[] = {
      {"n1", {"n1"}, {"10.0.0.2"}, "Approved"},
      {"n1", {"n2"}, {}, "Denied"},
      {"n1", {"N1"}, {}, "Denied"},
      {"n1", {"n1"}, {"10.43.0.1"}, "Denied"},
      {"n1", {"n1"}, {"::ffff:10.43.0.1"}, "Denied"},
      {"kubernetes.default.svc", {"kubernetes.default.svc"}, {}, "Denied"},
      {"KUBERNETES.DEFAULT.SVC", {"KUBERNETES.DEFAULT.SVC"}, {}, ""},
      {"*.default.svc", {"*.default.svc"}, {}, ""},
      {"", {""}, {}, ""},
      {"", {}, {"10.0.0.2"}, ""},
      {"api.corp.example", {"api.corp.example"}, {}, "Denied"},
      {"web.apps.example", {"web.apps.example"}, {}, "Denied"},
      {"a.b.apps.example", {"a.b.apps.example"}, {}, "Approved"},
      {"apps.example", {"apps.example"}, {}, "Approved"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.node, row.dns_names, row.ips);
    std::string name = c.ask(row.node, row.dns_names, row.ips);
    REQUIRE(c.outcome(name) == row.outcome);
    if (*row.outcome != '\0') continue;
    c.approve(name);
    CHECK(c.eventually([&] {
      return c.condition(name, "Failed")["message"].as_string() ==
             "subject common name has no name of a node after system:node:";
    }));
  }
}
