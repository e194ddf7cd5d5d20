// Whom the blocking client believes: the kubeconfig's authority and no other.

#include <stdlib.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <ctime>
#include <fstream>
#include <thread>

#include "base/loop.h"
#include "cli/kubectl/http_session.h"
#include "net/pki.h"
#include "net/server.h"

using namespace knarr;

namespace {

constexpr const char* kVariable = "SSL_CERT_FILE";

net::KeyPair authority(const char* name) {
  Result<net::KeyPair> ca = net::make_ca(name, std::time(nullptr));
  REQUIRE(ca.ok());
  return *std::move(ca);
}

}  // namespace

TEST_CASE("a session believes the kubeconfig's authority alone") {
  net::KeyPair mine = authority("mine");
  net::KeyPair other = authority("other");
  net::CertificateRequest request;
  request.common_name = "server";
  request.ip_addresses = {"127.0.0.1"};
  request.server = true;
  Result<net::KeyPair> leaf = net::make_leaf(mine, request, std::time(nullptr));
  REQUIRE(leaf.ok());

  base::Loop loop;
  net::Server server(loop);
  net::TlsConfig tls;
  tls.cert_pem = leaf->certificate;
  tls.key_pem = leaf->key;
  Result<void> listening = server.listen("127.0.0.1", 0, tls, [](const net::ExchangePtr& exchange) {
    exchange->respond(200, {}, "hello");
  });
  REQUIRE(listening.ok());

  // The machine believes the server's authority; a kubeconfig that names another one must not.
  char path[] = "/tmp/knarr-authorities-XXXXXX";
  close(mkstemp(path));
  std::ofstream(path) << mine.certificate;
  setenv(kVariable, path, 1);

  auto status_with = [&](const std::string& ca_pem) {
    kubectl::ClientConfig config;
    config.server = "https://127.0.0.1:" + std::to_string(server.port());
    config.ca_pem = ca_pem;
    std::atomic<int> status = -1;
    std::thread asking([&] {
      Result<std::unique_ptr<kubectl::HttpSession>> session = kubectl::HttpSession::open(config);
      int got = 0;
      if (session.ok()) {
        kubectl::HttpAsk ask;
        ask.target = "/";
        Result<kubectl::HttpAnswer> answer = (*session)->send(ask);
        got = answer.ok() ? answer->status : 0;
      }
      status = got;
    });
    loop.run_until([&] { return status != -1; }, 10000);
    asking.join();
    return status.load();
  };
  CHECK(status_with(mine.certificate) == 200);
  CHECK(status_with(other.certificate) == 0);
  unsetenv(kVariable);
  unlink(path);
}
