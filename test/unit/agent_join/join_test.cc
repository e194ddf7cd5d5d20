#include "agent/join/join.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <optional>

#include "base/base64.h"
#include "base/file.h"
#include "base/format.h"
#include "base/random.h"
#include "base/time.h"
#include "net/pki.h"
#include "net/server.h"
#include "server/auth/signing_request.h"
#include "temp_dir.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

constexpr int64_t kPatienceMs = 20000;
const std::string kHash(64, 'a');
// A list without objects, whole.
const std::string kNothing =
    R"({"type":"BOOKMARK","object":{"kind":"CertificateSigningRequest",)"
    R"("apiVersion":"certificates.k8s.io/v1","metadata":{"resourceVersion":"9",)"
    R"("annotations":{"k8s.io/initial-events-end":"true"}}}})";

}  // namespace

TEST_CASE("join tokens") {
  struct Case {
    std::string text, hash, secret;  // no secret: an error
  };
  const Case cases[] = {
      {"K10" + kHash + "::server:s3cret", kHash, "s3cret"},
      {"K10" + kHash + "::server:s3cret\n", kHash, "s3cret"},
      {"K10" + kHash + "::abcdef.0123456789abcdef", kHash, "abcdef.0123456789abcdef"},
      {"abcdef.0123456789abcdef", "", "abcdef.0123456789abcdef"},
      {"just-a-secret", "", "just-a-secret"},
      {"K10nonsense", "", "K10nonsense"},
      {"K10abc::server:s3cret", "", ""},
      {"K10" + kHash + "::", "", ""},
      {"", "", ""},
      {"two words", "", ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    auto token = parse_join_token(c.text);
    REQUIRE(token.ok() == !c.secret.empty());
    if (!token.ok()) continue;
    CHECK(token->ca_hash == c.hash);
    CHECK(token->secret == c.secret);
    CHECK(parse_join_token(format_join_token(*token))->secret == c.secret);
  }
  CHECK(format_join_token({kHash, "s3cret"}) == "K10" + kHash + "::server:s3cret");
}

namespace {

// What an authority gave the machine `from` this time on, for a year.
std::string certificate_of(const NodeIdentity& identity, const net::KeyPair& ca, int64_t from,
                           const std::vector<std::string>& addresses) {
  net::CertificateRequest request;
  request.common_name = "system:node:n1";
  request.organizations = {"system:nodes"};
  request.ip_addresses = addresses;
  auto pem = net::make_signing_request(identity.key, request);
  REQUIRE(pem.ok());
  auto made = server::sign_request(ca, *pem,
                                   {{"client auth"}, from, from + net::kLeafLifetimeDays * 86400});
  REQUIRE(made.ok());
  return *made;
}

}  // namespace

TEST_CASE("an identity is good for its name, its addresses and its time") {
  test::TempDir dir;
  NodeIdentity identity = *load_identity(dir.path() + "/tls");
  CHECK(load_identity(dir.path() + "/tls")->key == identity.key);
  int64_t now = 1800000000;
  net::KeyPair ca = *net::make_ca("c", now);
  identity.client = certificate_of(identity, ca, now, {"10.0.0.2"});
  identity.serving = identity.client;
  CHECK_FALSE(client_is_good(identity, "n1", now));  // of no authority that is known
  identity.ca = ca.certificate;
  CHECK(client_is_good(identity, "n1", now));
  CHECK_FALSE(client_is_good(identity, "n2", now));
  CHECK_FALSE(client_is_good(identity, "n1", now + 400 * 86400));
  CHECK(serving_is_good(identity, "n1", {"10.0.0.2"}, now));
  CHECK_FALSE(serving_is_good(identity, "n1", {"10.0.0.3"}, now));
  CHECK(renew_at(identity.client) > now + 280 * 86400);
  CHECK(renew_at(identity.client) < now + 300 * 86400);
  NodeIdentity replaced = identity;
  replaced.key = *net::generate_ec_key();
  CHECK_FALSE(client_is_good(replaced, "n1", now));
  CHECK_FALSE(serving_is_good(replaced, "n1", {}, now));
  identity.ca = net::make_ca("c", now)->certificate;
  CHECK_FALSE(client_is_good(identity, "n1", now));
}

namespace {

// A server that has an authority, and signs what is asked for when it likes the token.
struct FakeServer {
  FakeServer(base::Loop& loop, const net::KeyPair& authority, std::string token)
      : loop_(loop), ca(authority), token_(std::move(token)), server(loop) {
    net::CertificateRequest names;
    names.common_name = "knarr";
    names.ip_addresses = {"127.0.0.1"};
    names.server = true;
    net::KeyPair leaf = *net::make_leaf(ca, names, loop.now_us() / 1000000);
    net::TlsConfig tls{leaf.certificate, leaf.key, ca.certificate, "", false, true};
    REQUIRE(server.listen("127.0.0.1", 0, tls, [this](net::ExchangePtr e) { serve(e); }).ok());
  }
  std::string url() const { return "https://127.0.0.1:" + std::to_string(server.port()); }

  void serve(const net::ExchangePtr& e) {
    const net::Request& r = e->request;
    asked.push_back(r.method + " " + r.path);
    if (r.path == "/cacerts") return e->respond(200, {}, ca.certificate);
    if (absent) {
      return e->respond(503, {}, R"({"kind":"Status","code":503,"reason":"ServiceUnavailable",
                                     "message":"starting"})");
    }
    bool by_token = r.headers.get("authorization") == "Bearer " + token_;
    bool by_certificate = r.connection->certificate && r.connection->certificate->verified;
    if (!by_token && !by_certificate) {
      return e->respond(401, {}, R"({"kind":"Status","code":401,"reason":"Unauthorized",
                                     "message":"Unauthorized"})");
    }
    if (r.method == "POST") {
      json::Value csr = *json::parse(r.body);
      csr.member("metadata").set("name", "csr-1");
      csr.member("metadata").set("resourceVersion", "5");
      request_ = csr;
      return e->respond(201, {}, json::write(csr));
    }
    e->start(200, {});
    e->write((lost-- > 0 ? kNothing : answer()) + "\n");
    watches_.push_back(e);
  }

  // The request with the certificate it asks for, or the refusal.
  std::string answer() {
    json::Value& status = request_.member("status");
    auto pem = base::base64_decode(request_["spec"]["request"].as_string());
    bool taken = server::read_signing_request(*pem)->ip_addresses == taken_addresses;
    if (!denial.empty() || taken) {
      status.set("conditions", json::Value::array({json::Value::object(
                                   {{"type", "Denied"},
                                    {"status", "True"},
                                    {"message", taken ? "another node's" : denial}})}));
    } else {
      int64_t now = loop_.now_us() / 1000000;
      std::string purpose = request_["spec"]["usages"][1].text();
      auto made = server::sign_request(ca, *pem,
                                       {{"digital signature", purpose},
                                        now - 60,
                                        now + (expired-- > 0 ? -30 : lifetime_seconds)});
      status.set("certificate", base::base64_encode(*made));
    }
    return R"({"type":"ADDED","object":)" + json::write(request_) + "}";
  }

  base::Loop& loop_;
  net::KeyPair ca;
  std::string token_, denial;
  std::vector<std::string> taken_addresses{"by no one"};
  int lost = 0;     // requests that are cleaned before they are seen
  int expired = 0;  // certificates that are no good
  bool absent = false;
  int64_t lifetime_seconds = 86400;
  net::Server server;
  json::Value request_;
  std::vector<std::string> asked;
  std::vector<net::ExchangePtr> watches_;
};

struct Machine {
  base::Loop loop;
  base::SeededRandom random{7};
  test::TempDir dir;
  net::KeyPair ca = *net::make_ca("knarr-ca", loop.now_us() / 1000000);
  FakeServer server{loop, ca, "s3cret"};

  Result<void> join(const std::string& token) {
    JoinOptions options;
    std::vector<std::string> servers = others;
    if (!unreachable) servers.push_back(server.url());
    options.servers = servers;
    if (!token.empty()) options.token = *parse_join_token(token);
    options.tls_dir = dir.path() + "/tls";
    options.node_name = "n1";
    options.addresses = addresses;
    join_ = std::make_unique<Join>(loop, random, std::move(options));
    std::optional<Result<void>> in;
    join_->start([&in](Result<void> result) { in = std::move(result); });
    REQUIRE(loop.run_until([&in] { return in.has_value(); }, kPatienceMs));
    return *in;
  }
  std::vector<std::string> others;  // before the server in the list
  bool unreachable = false;         // only they are in it
  std::vector<std::string> addresses{"10.0.0.2"};
  std::unique_ptr<Join> join_;
};

}  // namespace

TEST_CASE("a machine learns whom to believe and is given its certificates, once") {
  Machine m;
  std::string token = "K10" + net::fingerprint(m.ca.certificate) + "::server:s3cret";
  auto in = m.join(token);
  CAPTURE(in.ok() ? "" : in.error().message);
  REQUIRE(in.ok());
  CHECK(m.server.asked.size() == 5);  // the authority, and twice a request and its watch
  CHECK(m.join_->identity().ca == m.ca.certificate);
  m.server.asked.clear();
  REQUIRE(m.join(token).ok());
  CHECK(m.server.asked.empty());  // all of it is on the disk
}

TEST_CASE("what keeps a machine out is said in words") {
  Machine m;
  std::string hash = net::fingerprint(m.ca.certificate);
  auto said = [&m](const std::string& token) {
    auto in = m.join(token);
    return in.ok() ? std::string() : in.error().message;
  };
  CHECK(said("K10" + kHash + "::server:s3cret") ==
        fmt::format("the authority of {} (sha256 {}) is not the one that the token names: another "
                    "server, or another token",
                    m.server.url(), hash));
  CHECK(said("K10" + hash + "::server:wrong") ==
        "Unauthorized: this machine has not joined yet, and the server does not know the token, or "
        "that has run out: `knarr token create` on a server makes another");
  m.server.denial = "there is a node \"n1\" already";
  CHECK(said("K10" + hash + "::server:s3cret") == m.server.denial);
  // It believes the first cluster from now on.
  CHECK(said("K10" + kHash + "::server:s3cret").find("of another cluster") != std::string::npos);
}

TEST_CASE("a node that was off for longer than its certificate joins again by its token") {
  Machine m;
  REQUIRE(m.join("s3cret").ok());
  NodeIdentity identity = m.join_->identity();
  int64_t then = m.loop.now_us() / 1000000 - 800 * 86400;
  identity.client = certificate_of(identity, m.ca, then, {});
  int64_t end = net::read_certificate(identity.client)->not_after_seconds;
  const std::string ran_out =
      "the certificate of this node ran out at " + base::format_time(end * 1000000);
  REQUIRE(save_identity(m.dir.path() + "/tls", identity).ok());
  auto in = m.join("");
  REQUIRE_FALSE(in.ok());
  CHECK(in.error().message ==
        ran_out + ", so it must join again: --token is wanted (`knarr token create` on a server)");
  in = m.join("stale");
  REQUIRE_FALSE(in.ok());
  CHECK(in.error().message.find("Unauthorized: " + ran_out) == 0);
  // No server is there to ask: the node begins as it was, by a token or without.
  m.others = {"https://127.0.0.1:1"};
  m.unreachable = true;
  REQUIRE(m.join("").ok());
  CHECK(m.join_->identity().client == identity.client);
  m.others.clear();
  m.unreachable = false;
  m.server.absent = true;
  REQUIRE(m.join("s3cret").ok());
  CHECK(m.join_->identity().client == identity.client);
  m.server.absent = false;
  REQUIRE(m.join("s3cret").ok());
  CHECK(m.join_->identity().client != identity.client);
  CHECK(m.join_->identity().key == identity.key);  // the node's record names it
}

TEST_CASE("a node that was given another address begins without a server") {
  Machine m;
  REQUIRE(m.join("s3cret").ok());
  m.server.absent = true;
  m.addresses = {"10.0.0.9"};
  REQUIRE(m.join("s3cret").ok());
  m.server.absent = false;
  REQUIRE(m.join("s3cret").ok());
  auto serving = net::read_certificate(m.join_->identity().serving);
  CHECK(serving->ip_addresses == m.addresses);
}

TEST_CASE("an address that another node has still keeps no machine out") {
  Machine m;
  m.server.taken_addresses = {"10.0.0.2"};
  REQUIRE(m.join("s3cret").ok());
  auto serving = net::read_certificate(m.join_->identity().serving);
  CHECK(serving->dns_names == std::vector<std::string>{"n1"});
  CHECK(serving->ip_addresses.empty());
  // Once it is free, the next who asks has it.
  m.server.taken_addresses = {"by no one"};
  REQUIRE(m.join("s3cret").ok());
  std::string before = m.join_->identity().serving;
  CHECK(net::read_certificate(before)->ip_addresses == m.addresses);
  // A certificate of the addresses that it had will do.
  m.addresses = m.server.taken_addresses = {"10.0.0.3"};
  REQUIRE(m.join("s3cret").ok());
  CHECK(m.join_->identity().serving == before);
  // Who is denied even his name stays out.
  std::filesystem::remove(m.dir.path() + "/tls/serving.crt");
  m.server.denial = "there is a node \"n1\" already";
  auto in = m.join("s3cret");
  REQUIRE_FALSE(in.ok());
  CHECK(in.error().message == m.server.denial);
}

TEST_CASE("a server that is down is left for the next one") {
  Machine m;
  m.others = {"https://127.0.0.1:1"};
  REQUIRE(m.join("s3cret").ok());
  CHECK(m.server.asked.size() == 5);
}

TEST_CASE("a request that was cleaned before it was seen is made again") {
  Machine m;
  m.server.lost = 1;
  REQUIRE(m.join("s3cret").ok());
  CHECK(m.server.asked.size() == 7);
}

TEST_CASE("a certificate that is no good is not taken, the next is asked for later") {
  Machine m;
  m.server.expired = 2;
  int64_t begun_ms = m.loop.monotonic_ms();
  REQUIRE(m.join("s3cret").ok());
  CHECK(m.server.asked.size() == 9);
  CHECK(m.loop.monotonic_ms() - begun_ms >= 300);
}

TEST_CASE("a renewed certificate is told before the other one is there, and without a disk") {
  Machine m;
  m.server.lifetime_seconds = 10;  // four fifths of their time are over when they are given
  REQUIRE(m.join("s3cret").ok());
  m.server.lifetime_seconds = 86400;
  NodeIdentity before = m.join_->identity();
  int told = 0;
  m.join_->on_renewed([&] {
    told++;
    m.server.denial = "not now";
  });
  // Nothing can be written where a file stands in the way.
  std::filesystem::remove_all(m.dir.path() + "/tls");
  REQUIRE(base::write_file(m.dir.path() + "/tls", "").ok());
  REQUIRE(m.loop.run_until([&] { return told == 1; }, kPatienceMs));
  CHECK(m.join_->identity().client != before.client);
  CHECK(m.join_->identity().serving == before.serving);
}
