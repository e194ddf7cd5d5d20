#include "runtime/image/puller.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <optional>

#include "base/format.h"
#include "base/json.h"
#include "fake_registry.h"
#include "runtime/image/files.h"

using namespace knarr;
using namespace knarr::runtime;

namespace {

std::string layer(const std::string& name, size_t size = 10) {
  std::string text;
  uint32_t state = 1;
  while (text.size() < size) {
    state = state * 1664525 + 1013904223;
    text += static_cast<char>(state >> 24);
  }
  return TarWriter().file(name, text).finish();
}

struct Node {
  explicit Node(const std::string& root, PullerOptions options = {}) : images(loop, root) {
    options.architecture = "amd64";
    options.backoff_ms = 1;
    puller.emplace(loop, images, options);
    bool opened = false;
    images.open([&](Result<void> result) {
      REQUIRE(result.ok());
      opened = true;
    });
    REQUIRE(loop.run_until([&] { return opened; }, 20000));
  }
  Result<ImageRef> pull(const std::string& ref, std::vector<RegistryAuth> auths = {}) {
    std::optional<Result<ImageRef>> answer;
    puller->pull(ref, std::move(auths), [&](Result<ImageRef> r) { answer = std::move(r); });
    REQUIRE(loop.run_until([&] { return answer.has_value(); }, 20000));
    return std::move(*answer);
  }
  std::string error(const std::string& ref, std::vector<RegistryAuth> auths = {}) {
    Result<ImageRef> result = pull(ref, std::move(auths));
    return result.ok() ? "no error" : result.error().message;
  }

  base::Loop loop;
  ImageStore images;
  std::optional<Puller> puller;
};

}  // namespace

TEST_CASE("an image is pulled, named and unpacked", "[root]") {
  TempDir dir;
  FakeRegistry registry;
  MadeImage made = make_image({layer("a"), layer("b"), layer("c")});
  registry.add("team/app", "1", made);
  Node node(dir / "images");
  std::string ref = registry.host() + "/team/app:1";
  Result<ImageRef> image = node.pull(ref);
  if (!image.ok()) FAIL(image.error().message);
  CHECK((*image)->id == made.config_digest);
  CHECK((*image)->tags == std::vector<std::string>{ref});
  CHECK((*image)->digests ==
        std::vector<std::string>{registry.host() + "/team/app@" + made.manifest_digest});
  if (node.images.layers().overlay()) {
    for (const ImageLayer& l : (*image)->layers) CHECK(node.images.layers().has(l.chain_id));
  }
  // Again: nothing but the look at the tag.
  size_t before = registry.log().size();
  REQUIRE(node.pull(ref).ok());
  CHECK(registry.log().size() == before + 1);
  CHECK(registry.log().back().find("HEAD") == 0);
  // By digest, without a tag.
  REQUIRE(node.pull(registry.host() + "/team/app@" + made.manifest_digest).ok());
  CHECK(node.images.list().size() == 1);
}

TEST_CASE("layers may be packed in every way", "[root]") {
  TempDir dir;
  FakeRegistry registry;
  registry.add("z", "1", make_image({layer("a", 100000)}, zstd));
  registry.add("p", "1",
               make_image({layer("b", 100000)}, [](std::string_view b) { return std::string(b); }));
  Node node(dir / "images");
  CHECK(node.error(registry.host() + "/z:1") == "no error");
  CHECK(node.error(registry.host() + "/p:1") == "no error");
}

TEST_CASE("an index leads to this platform's image", "[root]") {
  TempDir dir;
  FakeRegistry registry;
  MadeImage mine = make_image({layer("mine")});
  MadeImage other = make_image({layer("other")});
  registry.add("m", "mine", mine);
  registry.add("m", "other", other);
  auto index = [](const std::string& digest, const std::string& architecture) {
    return json::Value::object(
        {{"digest", digest},
         {"size", 1},
         {"platform", json::Value::object({{"os", "linux"}, {"architecture", architecture}})}});
  };
  std::string body = json::write(json::Value::object(
      {{"schemaVersion", 2},
       {"manifests", json::Value::array({index(other.manifest_digest, "s390x"),
                                         index(mine.manifest_digest, "amd64")})}}));
  registry.add_manifest("m", "1", body, "application/vnd.oci.image.index.v1+json");
  Node node(dir / "images");
  Result<ImageRef> image = node.pull(registry.host() + "/m:1");
  if (!image.ok()) FAIL(image.error().message);
  CHECK((*image)->id == mine.config_digest);
  CHECK((*image)->digests[0] == registry.host() + "/m@" + digest_of(body));

  std::string none = json::write(json::Value::object(
      {{"manifests", json::Value::array({index(other.manifest_digest, "s390x")})}}));
  registry.add_manifest("m", "none", none, "application/vnd.oci.image.index.v1+json");
  std::string ref = registry.host() + "/m:none";
  CHECK(node.error(ref) ==
        fmt::format("rpc error: code = NotFound desc = failed to pull and unpack "
                    "image \"{}\": no match for platform in manifest {}: not "
                    "found",
                    ref, digest_of(none)));
}

TEST_CASE("registries ask who is there", "[root]") {
  TempDir dir;
  MadeImage made = make_image({layer("a"), layer("b")});
  RegistryAuth good{"user", "pass", ""};
  RegistryAuth bad{"user", "wrong", ""};
  for (FakeRegistry::Auth kind : {FakeRegistry::Auth::kBasic, FakeRegistry::Auth::kBearer}) {
    FakeRegistry registry(kind);
    registry.add("app", "1", made);
    registry.redirect_blobs(true);
    Node node(dir / std::to_string(static_cast<int>(kind)));
    std::string ref = registry.host() + "/app:1";
    std::string denied = fmt::format(
        "failed to pull and unpack image \"{0}\": failed to resolve reference \"{0}\": pull access "
        "denied, repository does not exist or may require authorization: ",
        ref);
    bool basic = kind == FakeRegistry::Auth::kBasic;
    CHECK(node.error(ref) == denied + (basic ? "authorization failed: no basic auth credentials"
                                             : "server message: insufficient_scope: authorization "
                                               "failed"));
    CHECK(node.error(ref, {bad}).find(denied) == 0);
    CHECK(node.error(ref, {bad, good}) == "no error");
  }
}

TEST_CASE("credentials of registries.yaml, and mirrors", "[root]") {
  TempDir dir;
  FakeRegistry mirror(FakeRegistry::Auth::kBasic);
  mirror.add("hub/busybox", "1", make_image({layer("a")}));
  PullerOptions options;
  options.registries = parse_registries(fmt::format(R"yaml(
mirrors:
  docker.io:
    endpoint: ["http://127.0.0.1:1", "http://{0}/v2"]
    rewrite: {{"^library/(.*)$": "hub/$1"}}
configs:
  "{0}":
    auth: {{username: user, password: pass}}
)yaml",
                                                    mirror.host()))
                           .value();
  Node node(dir / "images", options);
  Result<ImageRef> image = node.pull("busybox:1");
  if (!image.ok()) FAIL(image.error().message);
  CHECK((*image)->tags[0] == "docker.io/library/busybox:1");
}

TEST_CASE("what fails says so in the kubelet's words", "[root]") {
  TempDir dir;
  FakeRegistry registry;
  Node node(dir / "images");
  std::string ref = registry.host() + "/nope:1";
  auto words = [](const std::string& image, const std::string& why) {
    return fmt::format(
        "failed to pull and unpack image \"{0}\": failed to resolve reference \"{0}\": {1}", image,
        why);
  };
  CHECK(node.error(ref) == "rpc error: code = NotFound desc = " + words(ref, ref + ": not found"));
  CHECK(node.error("127.0.0.1:1/x:1") ==
        words("127.0.0.1:1/x:1",
              "failed to do request: Head \"http://127.0.0.1:1/v2/x/manifests/1\": "
              "dial tcp 127.0.0.1:1: connect: connection refused"));
  CHECK(node.error("no.invalid/x") ==
        words("no.invalid/x:latest",
              "failed to do request: Head \"https://no.invalid/v2/x/manifests/latest\": dial tcp: "
              "lookup no.invalid: no such host"));
  registry.fail_requests(1, 403);
  CHECK(node.error(ref) == words(ref, fmt::format("unexpected status from HEAD request to "
                                                  "http://{}/v2/nope/manifests/1: 403 Forbidden",
                                                  registry.host())));
  CHECK(node.error("Bad Ref").find("failed to parse image reference") == 0);
}

TEST_CASE("a broken download goes on where it stopped", "[root]") {
  TempDir dir;
  FakeRegistry registry;
  MadeImage made = make_image({layer("big", 300000)});
  registry.add("app", "1", made);
  Node node(dir / "images");
  registry.cut_blobs(3);
  CHECK(node.error(registry.host() + "/app:1") == "no error");
  CHECK(registry.count(fmt::format("bytes={}-", made.layers[0].size() / 2)) >= 1);
}

TEST_CASE("lying blobs are refused", "[root]") {
  TempDir dir;
  FakeRegistry registry;
  MadeImage made = make_image({layer("a", 1000)});
  registry.add("app", "1", made);
  std::string same_size(made.layers[0].size(), 'x');
  registry.set_blob(made.layer_digests[0], same_size);
  Node node(dir / "images");
  CHECK(node.error(registry.host() + "/app:1").find("unexpected commit digest") !=
        std::string::npos);
  registry.set_blob(made.layer_digests[0], made.layers[0] + "more");
  CHECK(node.error(registry.host() + "/app:1").find("larger than its manifest says") !=
        std::string::npos);
  registry.set_blob(made.layer_digests[0], made.layers[0]);
  CHECK(node.error(registry.host() + "/app:1") == "no error");
}

TEST_CASE("failures that pass are tried again", "[root]") {
  TempDir dir;
  FakeRegistry registry;
  registry.add("app", "1", make_image({layer("a")}));
  Node node(dir / "images");
  size_t done = 0;
  registry.on_request([&] { node.loop.post([] {}); });
  registry.hold_blobs(true);
  node.puller->pull(registry.host() + "/app:1", {}, [&](Result<ImageRef> r) {
    CHECK(r.ok());
    ++done;
  });
  // Once the manifest is there, the next two answers are bad ones.
  REQUIRE(node.loop.run_until([&] { return registry.count("blobs") > 0; }, 20000));
  registry.fail_requests(2, 503);
  registry.hold_blobs(false);
  REQUIRE(node.loop.run_until([&] { return done == 1; }, 20000));
}

TEST_CASE("pulls of one reference are one pull, and layers are fetched once", "[root]") {
  TempDir dir;
  FakeRegistry registry;
  MadeImage one = make_image({layer("shared", 1000), layer("one")});
  MadeImage two = make_image({layer("shared", 1000), layer("two")});
  registry.add("one", "1", one);
  registry.add("two", "1", two);
  registry.hold_blobs(true);
  Node node(dir / "images");
  int done = 0;
  auto count = [&](Result<ImageRef> r) {
    CHECK(r.ok());
    ++done;
  };
  node.puller->pull(registry.host() + "/one:1", {}, count);
  node.puller->pull(registry.host() + "/one:1", {}, count);
  node.puller->pull(registry.host() + "/two:1", {}, count);
  CHECK(node.puller->active() == 2);
  registry.hold_blobs(false);
  REQUIRE(node.loop.run_until([&] { return done == 3; }, 20000));
  CHECK(registry.count("HEAD /v2/one") == 1);
  CHECK(registry.count("blobs/" + one.layer_digests[0]) == 1);
}

TEST_CASE("who asks with other credentials joins no pull of another's", "[root]") {
  TempDir dir;
  FakeRegistry registry(FakeRegistry::Auth::kBasic);
  registry.add("app", "1", make_image({layer("a")}));
  Node node(dir / "images");
  std::vector<std::string> answers;
  for (const char* password : {"pass", "wrong", "pass"}) {
    node.puller->pull(registry.host() + "/app:1", {{"user", password, ""}},
                      [&](Result<ImageRef> r) { answers.push_back(r.ok() ? "in" : "out"); });
  }
  CHECK(node.puller->active() == 2);
  REQUIRE(node.loop.run_until([&] { return answers.size() == 3; }, 20000));
  std::sort(answers.begin(), answers.end());
  CHECK(answers == std::vector<std::string>{"in", "in", "out"});
}

TEST_CASE("a pull can be cancelled, and its owner can go away", "[root]") {
  TempDir dir;
  FakeRegistry registry;
  registry.add("app", "1", make_image({layer("a"), layer("b")}));
  registry.hold_blobs(true);
  std::string ref = registry.host() + "/app:1";
  {
    Node node(dir / "images");
    registry.on_request([&] { node.loop.post([] {}); });
    std::optional<Result<ImageRef>> answer;
    node.puller->pull(ref, {}, [&](Result<ImageRef> r) { answer = std::move(r); });
    REQUIRE(node.loop.run_until([&] { return registry.count("blobs") > 0; }, 20000));
    node.puller->cancel(ref);
    REQUIRE(node.loop.run_until([&] { return answer.has_value(); }, 20000));
    CHECK(answer->error().code == Code::kCanceled);
    size_t asked = registry.count("blobs");
    node.puller->pull(ref, {}, [&](Result<ImageRef>) { FAIL("told after the end"); });
    REQUIRE(node.loop.run_until([&] { return registry.count("blobs") > asked; }, 20000));
  }
  registry.hold_blobs(false);
  registry.on_request(nullptr);
  Node node(dir / "images");
  CHECK(node.error(ref) == "no error");
}

TEST_CASE("a registry that knows no HEAD cannot answer another manifest than was asked", "[root]") {
  TempDir dir;
  FakeRegistry registry;
  MadeImage wanted = make_image({layer("a")});
  MadeImage other = make_image({layer("b")});
  registry.add("app", "1", other);
  registry.add_manifest("app", wanted.manifest_digest, other.manifest,
                        "application/vnd.oci.image.manifest.v1+json");
  Node node(dir / "images");
  for (int status : {405, 501}) {
    registry.fail_requests(1, status);
    CHECK(node.error(registry.host() + "/app@" + wanted.manifest_digest)
              .find("has another digest: " + other.manifest_digest) != std::string::npos);
  }
  registry.fail_requests(1, 405);
  CHECK(node.pull(registry.host() + "/app@" + other.manifest_digest).ok());
}
