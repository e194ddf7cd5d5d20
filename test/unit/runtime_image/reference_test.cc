#include "runtime/image/reference.h"

#include <catch2/catch.hpp>

using namespace knarr;
using namespace knarr::runtime;

namespace {
const std::string kDigest = "sha256:" + std::string(64, 'a');
}

TEST_CASE("image references get their defaults") {
  struct Row {
    std::string text, full;
  };
  const Row rows[] = {
      {"busybox", "docker.io/library/busybox:latest"},
      {"busybox:1.36", "docker.io/library/busybox:1.36"},
      {"user/app", "docker.io/user/app:latest"},
      {"docker.io/busybox", "docker.io/library/busybox:latest"},
      {"index.docker.io/a/b", "docker.io/a/b:latest"},
      {"localhost/busybox:1", "localhost/busybox:1"},
      {"localhost:5000/x", "localhost:5000/x:latest"},
      {"127.0.0.1:5000/httpd", "127.0.0.1:5000/httpd:latest"},
      {"[::1]:5000/a/b:t", "[::1]:5000/a/b:t"},
      {"quay.io/a/b@" + kDigest, "quay.io/a/b@" + kDigest},
      {"quay.io/a/b:1@" + kDigest, "quay.io/a/b:1@" + kDigest},
      {"a_b/c__d/e-f---g.h", "docker.io/a_b/c__d/e-f---g.h:latest"},
      {"UPPER/x", "UPPER/x:latest"},
      {"registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    Result<Reference> ref = parse_image(row.text);
    REQUIRE(ref.ok());
    CHECK(ref->text() == row.full);
    CHECK(parse_image(ref->text())->text() == row.full);
  }
}

TEST_CASE("what is no image reference says why") {
  struct Row {
    std::string text, message;
  };
  const Row rows[] = {
      {"", "invalid reference format"},
      {"a b", "invalid reference format"},
      {":tag", "invalid reference format"},
      {"Busybox", "invalid reference format: repository name (library/Busybox) must be lowercase"},
      {"example.com/App", "invalid reference format: repository name (App) must be lowercase"},
      {std::string(64, 'a'), "invalid repository name (" + std::string(64, 'a') +
                                 "), cannot specify 64-byte hexadecimal strings"},
      {"a:" + std::string(129, 't'), "invalid reference format"},
      {"a@sha256:abc", "invalid reference format"},
      {"a@sha256:" + std::string(40, 'a'), "invalid checksum digest length"},
      {"a@md5x:" + std::string(32, 'a'), "unsupported digest algorithm"},
      {"a//b", "invalid reference format"},
      {"a/../b", "invalid reference format"},
      {"-a", "invalid reference format"},
      {"a___b", "invalid reference format"},
      {"a..b", "invalid reference format"},
      {"host:port/x", "invalid reference format"},
      {"x/" + std::string(300, 'a'), "repository name must not be more than 255 characters"},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    Result<Reference> ref = parse_reference(row.text);
    REQUIRE(!ref.ok());
    CHECK(ref.error().message == row.message);
  }
}

TEST_CASE("the kubelet's default tag keeps the name as it was written") {
  CHECK(apply_default_tag("busybox").value() == "busybox:latest");
  CHECK(apply_default_tag("a/b:1").value() == "a/b:1");
  CHECK(apply_default_tag("a@" + kDigest).value() == "a@" + kDigest);
  CHECK(apply_default_tag("Not Valid").error().message ==
        "Failed to apply default image tag \"Not Valid\": couldn't parse image name \"Not Valid\": "
        "invalid reference format: repository name (library/Not Valid) must be lowercase");
}
