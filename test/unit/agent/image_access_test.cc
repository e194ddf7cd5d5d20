// Private images: who may use what others have pulled.
#include "agent/image_access.h"

#include <catch2/catch.hpp>

#include "agent/images.h"
#include "base/base64.h"
#include "base/file.h"
#include "fake_node.h"
#include "temp_dir.h"

using namespace knarr;
using namespace knarr::agent;
using namespace knarr::test;

namespace {

PullCredential credential(const std::string& password, const std::string& secret) {
  return {{"user", password, ""}, secret};
}

constexpr char kName[] = "registry.test/app";

// Answers with a pull secret: its password is the secret's name.
class Secrets final : public client::Client {
 public:
  void call(client::Request request, client::Reply reply) override {
    const std::string& name = request.target.name;
    std::string config =
        R"({"auths":{"registry.test":{"username":"u","password":")" + name + R"("}}})";
    auto object = std::make_shared<Object>();
    object->name = {request.target.ns, name};
    object->uid = "uid-" + name;
    object->json = json::write(json::Value::object(
        {{"data", json::Value::object({{".dockerconfigjson", base::base64_encode(config)}})}}));
    reply(ObjectRef(object));
  }
  std::unique_ptr<client::Watch> watch(client::WatchTarget, client::WatchHandler&) override {
    return nullptr;
  }
};

// A node whose registry lets in who has the password "good".
struct Puller {
  FakeClock clock;
  FakeRuntime runtime{clock};
  Secrets secrets;
  FakeEvents events;
  FakeOffload offload;
  ImageAccess access;
  NodeImages images{clock, runtime, secrets, events, access};
  int pods = 0;

  explicit Puller(const std::string& path = "") : access(path, offload) {}

  // Of a new pod with these secrets.
  ImagePuller::Outcome ensure(const std::string& policy, const std::vector<std::string>& names) {
    json::Value c = container("c");
    c.set("image", "registry.test/app:1").set("imagePullPolicy", policy);
    json::Value list = json::Value::array();
    for (const std::string& n : names) list.push_back(json::Value::object({{"name", n}}));
    auto object = std::make_shared<Object>(*make_pod(spec_of({c}))->object());
    object->uid = "u" + std::to_string(++pods);
    json::Value json = *json::parse(object->json);
    json.member("spec").set("imagePullSecrets", std::move(list));
    object->json = json::write(json);
    PodRef pod = *Pod::parse(object);
    ImagePuller::Outcome got;
    got.reason = "nothing came";
    images.ensure(pod, pod->containers()[0], [&](ImagePuller::Outcome o) { got = std::move(o); });
    clock.settle();
    return got;
  }
};

}  // namespace

TEST_CASE("who has no credential for a private image does not get what another pulled") {
  Puller node;
  node.runtime.password = "good";
  CHECK(node.ensure("IfNotPresent", {"bad", "good"}).ok());
  CHECK(node.runtime.pulls == 2);
  CHECK(node.ensure("IfNotPresent", {"good"}).ok());
  CHECK(node.runtime.pulls == 2);  // known to be good
  CHECK(node.ensure("IfNotPresent", {}).reason == "ErrImagePull");
  CHECK(node.ensure("IfNotPresent", {"bad"}).reason == "ErrImagePull");
  CHECK(node.ensure("Always", {"bad"}).reason == "ErrImagePull");
  CHECK(node.ensure("Always", {"good"}).ok());
  ImagePuller::Outcome never = node.ensure("Never", {"bad"});
  CHECK(never.reason == "ErrImageNeverPull");
  CHECK(never.message ==
        "Container image \"registry.test/app:1\" is present with pull policy of Never but does not "
        "have the proper credentials to access the image");
  CHECK(node.ensure("Never", {"good"}).ok());
}

TEST_CASE("an image that was here before is everybody's") {
  Puller node;
  node.runtime.password = "good";
  node.runtime.present = true;
  CHECK(node.ensure("IfNotPresent", {}).ok());
  CHECK(node.ensure("Never", {"bad"}).ok());
  CHECK(node.runtime.pulls == 0);
}

TEST_CASE("a private image is for those whom its registry let in") {
  FakeOffload offload;
  ImageAccess access("", offload);
  PullCredential a = credential("1", "u1/ns/a"), other = credential("2", "u2/ns/b");
  CHECK(access.allowed("sha256:1", kName, {}));  // nobody pulled it: preloaded
  access.pulled("sha256:1", kName, &a);
  CHECK(access.restricted("sha256:1", kName));
  CHECK_FALSE(access.allowed("sha256:1", kName, {}));
  CHECK_FALSE(access.allowed("sha256:1", kName, {other}));
  CHECK(access.allowed("sha256:1", kName, {other, a}));
  CHECK(access.allowed("sha256:1", kName, {credential("1", "u9/elsewhere/c")}));  // the same login
  CHECK(access.allowed("sha256:1", kName, {credential("3", "u1/ns/a")}));  // its password changed
  CHECK(access.allowed("sha256:1", kName, {credential("3", "u9/elsewhere/c")}));
  CHECK_FALSE(access.allowed("sha256:1", "registry.test/other", {a}));
  access.pulled("sha256:1", kName, nullptr);
  CHECK(access.allowed("sha256:1", kName, {}));
}

TEST_CASE("what images were pulled with outlives knarr, and is forgotten with them") {
  FakeOffload offload;
  TempDir dir;
  std::string path = dir / "access.json";
  PullCredential a = credential("secret-password", "u1/ns/a");
  ImageAccess(path, offload).pulled("sha256:1", kName, &a);
  CHECK(base::read_file(path)->find("secret-password") == std::string::npos);
  ImageAccess again(path, offload);
  CHECK_FALSE(again.allowed("sha256:1", kName, {}));
  CHECK(again.allowed("sha256:1", kName, {a}));
  again.keep_only({"sha256:2"});
  CHECK(ImageAccess(path, offload).allowed("sha256:1", kName, {}));
}

TEST_CASE("what was pulled with a credential and not recorded is nobody's") {
  FakeOffload offload;
  TempDir dir;
  std::string path = dir / "access.json", image = "registry.test/app:1";
  auto ignore = [](const Result<void>&) {};
  PullCredential a = credential("1", "u1/ns/a");
  ImageAccess(path, offload).intend(image, ignore);
  {
    ImageAccess again(path, offload);
    CHECK(again.restricted("sha256:1", image));
    CHECK_FALSE(again.allowed("sha256:1", image, {a}));
    CHECK_FALSE(again.restricted("sha256:1", "registry.test/app:2"));
    again.intend(image, ignore);
    again.refused(image);  // tells nothing of the one before
  }
  ImageAccess third(path, offload);
  CHECK(third.restricted("sha256:1", image));
  third.pulled("sha256:1", image, nullptr);
  CHECK_FALSE(ImageAccess(path, offload).restricted("sha256:1", image));
  CHECK_FALSE(ImageAccess(path, offload).restricted("sha256:2", image));
}

TEST_CASE("an intent ends with its pull") {
  FakeOffload offload;
  TempDir dir;
  Puller node(dir / "access.json");
  node.runtime.password = "good";
  CHECK_FALSE(node.ensure("IfNotPresent", {"bad"}).ok());
  CHECK_FALSE(ImageAccess(dir / "access.json", offload).restricted("x", "registry.test/app:1"));
  CHECK(node.ensure("IfNotPresent", {"good"}).ok());
  CHECK_FALSE(ImageAccess(dir / "access.json", offload).restricted("x", "registry.test/app:1"));
}

TEST_CASE("nothing private is pulled that could not be recorded") {
  Puller node("/dev/null/access.json");
  CHECK(node.ensure("IfNotPresent", {"good"}).reason == "ErrImagePull");
  CHECK(node.runtime.pulls == 0);
}

TEST_CASE("when the records are lost, all that is here is nobody's, and what comes is not") {
  FakeOffload offload;
  TempDir dir;
  std::string path = dir / "access.json";
  REQUIRE(base::write_file(path, "{").ok());
  ImageAccess access(path, offload);
  CHECK(access.restricted("sha256:1", kName));
  access.pulled("sha256:2", kName, nullptr);
  CHECK_FALSE(access.restricted("sha256:2", kName));
  CHECK(ImageAccess(path, offload).restricted("sha256:1", kName));
  access.keep_only({"sha256:1", "sha256:2"});
  ImageAccess again(path, offload);
  CHECK(again.restricted("sha256:1", kName));
  CHECK_FALSE(again.restricted("sha256:2", kName));
  CHECK_FALSE(again.restricted("sha256:3", kName));
}

TEST_CASE("of a secret only the newest password is kept") {
  FakeOffload offload;
  ImageAccess access("", offload);
  PullCredential a = credential("1", "u1/ns/a"), rotated = credential("2", "u1/ns/a");
  access.pulled("sha256:1", kName, &a);
  CHECK(access.allowed("sha256:1", kName, {rotated}));
  CHECK_FALSE(access.allowed("sha256:1", kName, {credential("1", "u9/elsewhere/c")}));
  CHECK(access.allowed("sha256:1", kName, {credential("2", "u9/elsewhere/c")}));
}
