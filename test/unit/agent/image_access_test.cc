// Private images: who may use what others have pulled.
#include "agent/image_access.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.h"
#include "fake_services.h"

using namespace knarr;
using namespace knarr::agent;
using namespace knarr::test;

namespace {

PullCredential credential(const std::string& password, const std::string& secret) {
  return {{"user", password, ""}, secret};
}

constexpr char kName[] = "registry.test/app";

}  // namespace

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
  char folder[] = "/tmp/knarr-access-XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr);
  std::string path = folder + std::string("/access.json");
  PullCredential a = credential("secret-password", "u1/ns/a");
  ImageAccess(path, offload).pulled("sha256:1", kName, &a);
  CHECK(base::read_file(path)->find("secret-password") == std::string::npos);
  ImageAccess again(path, offload);
  CHECK_FALSE(again.allowed("sha256:1", kName, {}));
  CHECK(again.allowed("sha256:1", kName, {a}));
  again.keep_only({"sha256:2"});
  CHECK(ImageAccess(path, offload).allowed("sha256:1", kName, {}));
  std::filesystem::remove_all(folder);
}
