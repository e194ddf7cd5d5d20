#include <catch2/catch.hpp>

#include "base/base64.h"
#include "base/random.h"
#include "base/time.h"
#include "knarr/names.h"
#include "server/auth/authenticators.h"
#include "server/auth/credentials.h"
#include "support/fake_clock.h"
#include "temp_dir.h"

using namespace knarr;
using namespace knarr::server;

namespace {

struct Fixture {
  test::FakeClock clock;
  base::SeededRandom random{1};
  ServiceAccountTokens tokens{*JwtKey::from_pem(*net::generate_rsa_key(2048)), "https://issuer",
                              clock, random};
  std::map<std::string, std::string> uids = {{"serviceaccounts/ns1/web", "s1"},
                                             {"pods/ns1/p", "p1"}};
  TokenSubject subject{"ns1", "web", "s1", "Pod", "p", "p1", "n1", "nu"};

  Fixture() {
    tokens.set_lookup([this](const std::string& resource, const std::string& ns,
                             const std::string& name) -> ObjectRef {
      auto it = uids.find(resource + "/" + ns + "/" + name);
      if (it == uids.end()) return nullptr;
      auto object = std::make_shared<Object>();
      object->uid = it->second;
      return object;
    });
  }
  std::string make(std::vector<std::string> audiences = {}) {
    return tokens.issue(subject, audiences, 3600)->token;
  }
};

net::Request with_header(const std::string& authorization) {
  net::Request request;
  if (!authorization.empty()) request.headers.add("Authorization", authorization);
  return request;
}

}  // namespace

TEST_CASE("a service account token names its user") {
  Fixture f;
  auto user = f.tokens.verify(f.make(), {});
  REQUIRE(user.ok());
  CHECK((*user)->name == "system:serviceaccount:ns1:web");
  CHECK((*user)->in_group("system:serviceaccounts:ns1"));
  CHECK((*user)->extra.at("authentication.kubernetes.io/pod-name") ==
        std::vector<std::string>{"p"});
}

TEST_CASE("a token ends with its time, its account, its pod, its audience") {
  Fixture f;
  std::string token = f.make();
  CHECK_FALSE(f.tokens.verify(token, {"other"}).ok());
  CHECK(f.tokens.verify(f.make({"other"}), {"other"}).ok());
  CHECK_FALSE(f.tokens.verify(f.make({"other"}), {}).ok());
  f.uids["pods/ns1/p"] = "p2";  // another pod of the same name
  CHECK_FALSE(f.tokens.verify(token, {}).ok());
  f.uids["pods/ns1/p"] = "p1";
  CHECK(f.tokens.verify(token, {}).ok());
  f.clock.advance(3700 * 1000);
  CHECK_FALSE(f.tokens.verify(token, {}).ok());
}

TEST_CASE("the token file of kube-apiserver") {
  auto user_of = [](const char* file, const char* token) {
    auto tokens = TokenFile::parse(file);
    REQUIRE(tokens.ok());
    UserRef found;
    (*tokens)->authenticate(with_header(std::string("Bearer ") + token),
                            [&](Result<UserRef> user) { found = user.ok() ? *user : nullptr; });
    return found;
  };
  const char* file =
      "admin-token,admin,admin-uid,\"system:masters\"\njane,jane,j,\"devs,ops\"\nplain,bob,b\n";
  CHECK(user_of(file, "jane")->groups ==
        std::vector<std::string>{"devs", "ops", "system:authenticated"});
  CHECK(user_of(file, "plain")->name == "bob");
  CHECK(user_of(file, "nope") == nullptr);
  CHECK_FALSE(TokenFile::parse("a,b\n").ok());
}

ObjectRef no_secrets(const std::string&) { return nullptr; }

ObjectRef secret_of(const char* type, const std::map<std::string, std::string>& data) {
  json::Value encoded = json::Value::object();
  for (const auto& [key, value] : data) encoded.set(key, base::base64_encode(value));
  auto object = std::make_shared<Object>();
  object->json = json::write(json::Value::object({{"type", type}, {"data", std::move(encoded)}}));
  return object;
}

TEST_CASE("tokens that machines join with") {
  test::FakeClock clock;
  std::map<std::string, std::string> data = {
      {"token-id", "abcdef"},
      {"token-secret", "0123456789abcdef"},
      {"usage-bootstrap-authentication", "true"},
      {"auth-extra-groups", "system:bootstrappers:edge,system:masters"},
      {"expiration", base::format_time(clock.now_us() + 60000000)}};
  const char* type = kBootstrapSecretType;
  std::string own = "of the server";
  BootstrapTokens tokens(
      [&](const std::string& name) -> ObjectRef {
        if (name == "bootstrap-token-abcdef") return secret_of(type, data);
        if (name == kJoinTokenSecret) return secret_of("Opaque", {{"token", own}});
        return nullptr;
      },
      clock);
  auto name_of = [&](const std::string& token) {
    UserRef user = tokens.verify(token);
    return user == nullptr ? "" : user->name;
  };
  const std::string good = "abcdef.0123456789abcdef";
  REQUIRE(name_of(good) == "system:bootstrap:abcdef");
  // Groups of other kinds are not given away by a Secret.
  CHECK(tokens.verify(good)->groups == std::vector<std::string>{"system:bootstrappers",
                                                                "system:bootstrappers:edge",
                                                                "system:authenticated"});
  CHECK(name_of("of the server") == "system:bootstrap:server");
  CHECK(name_of("of the serve") == "");
  CHECK(name_of("") == "");
  CHECK(name_of("abcdef.0123456789abcdeg") == "");
  CHECK(name_of("fedcba.0123456789abcdef") == "");
  own = "fedcba.0123456789abcdef";  // the server's own may have the form of the others
  CHECK(name_of(own) == "system:bootstrap:server");
  type = "Opaque";
  CHECK(name_of(good) == "");
  type = kBootstrapSecretType;
  data.erase("usage-bootstrap-authentication");
  CHECK(name_of(good) == "");
  data["usage-bootstrap-authentication"] = "true";
  clock.advance(61 * 1000);
  CHECK(name_of(good) == "");
}

TEST_CASE("who is let in") {
  Fixture f;
  RequestAuthenticator authenticator(*TokenFile::parse("secret,admin,u,\"system:masters\"\n"),
                                     f.tokens, BootstrapTokens(no_secrets, f.clock), f.clock);
  std::string key;
  auto check = [&](net::Request request, const std::string& want) {
    std::string got;
    authenticator.authenticate(request, [&](Result<UserRef> user) {
      got = !user.ok() ? "refused" : *user == nullptr ? "nobody" : (*user)->name;
      if (user.ok() && *user != nullptr) key = (*user)->key;
    });
    CHECK(got == want);
  };
  check(with_header(""), "nobody");
  check(with_header("Bearer secret"), "admin");
  check(with_header("bearer secret"), "admin");
  check(with_header("Bearer wrong"), "refused");
  check(with_header("Bearer a.b.c"), "refused");
  check(with_header("Basic abc"), "nobody");
  check(with_header("Bearer " + f.make()), "system:serviceaccount:ns1:web");

  net::Request request;
  auto connection = std::make_shared<net::ConnectionInfo>();
  auto certificate = std::make_shared<net::PeerCertificate>();
  certificate->common_name = "kube";
  certificate->organizations = {"system:masters"};
  certificate->key_fingerprint = "k1";
  connection->certificate = certificate;
  request.connection = connection;
  certificate->not_after = f.clock.now_us() / 1000000 + 100;
  check(request, "refused");  // not verified: not anonymous
  request.headers.add("Authorization", "Bearer secret");
  check(request, "admin");
  CHECK(key.empty());
  request.headers.remove("Authorization");
  certificate->verified = true;
  check(request, "kube");
  CHECK(key == "k1");
  f.clock.advance(101 * 1000);  // it runs out while its connection lives
  check(request, "refused");
}

TEST_CASE("a token bound to a node ends with it, one of a pod when the pod's deletion is due") {
  Fixture f;
  std::string token = f.make();
  CHECK(f.tokens.verify(token, {}).ok());  // of a pod's token the node is only told
  f.subject = {"ns1", "web", "s1", "Node", "n1", "nu", "", ""};
  token = f.make();
  CHECK_FALSE(f.tokens.verify(token, {}).ok());
  f.uids["nodes//n1"] = "other";
  CHECK_FALSE(f.tokens.verify(token, {}).ok());
  f.uids["nodes//n1"] = "nu";
  CHECK(f.tokens.verify(token, {}).ok());
}

TEST_CASE("the identity of a cluster stays, its leaves follow the names") {
  test::TempDir temp;
  const std::string& folder = temp.path();
  CredentialNames names{{"example"}, {"192.0.2.1"}, "n1"};
  constexpr int64_t kNow = 1800000000;
  auto first = load_credentials(folder, names, kNow);
  REQUIRE(first.ok());
  CHECK(net::signed_by(first->admin.certificate, first->ca.certificate));
  REQUIRE(first->service_account_key.get().ok());
  auto again = load_credentials(folder, names, kNow + 1);
  REQUIRE(again.ok());
  CHECK(*again->service_account_key.get() == *first->service_account_key.get());
  CHECK(again->serving.certificate == first->serving.certificate);
  names.ip_addresses = {"192.0.2.2"};
  auto moved = load_credentials(folder, names, kNow + 2);
  REQUIRE(moved.ok());
  CHECK(moved->ca.certificate == first->ca.certificate);
  CHECK(moved->serving.certificate != first->serving.certificate);
  CHECK(moved->admin.certificate == first->admin.certificate);
  CHECK(renewal_due(*first) == kNow + (365 - 90) * 86400);
  auto late = load_credentials(folder, names, kNow + 300 * 86400);
  REQUIRE(late.ok());
  CHECK(late->admin.certificate != first->admin.certificate);
  CHECK(renewal_due(*late) > renewal_due(*first) + 200 * 86400);
}
