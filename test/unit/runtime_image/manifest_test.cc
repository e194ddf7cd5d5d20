#include "runtime/image/manifest.h"

#include <catch2/catch.hpp>

#include "archive.h"
#include "runtime/image/image.h"

using namespace knarr;
using namespace knarr::runtime;

namespace {

Descriptor entry(std::string os, std::string architecture, std::string variant, std::string name) {
  Descriptor d;
  d.digest = std::move(name);
  d.platform = {std::move(os), std::move(architecture), std::move(variant)};
  return d;
}

}  // namespace

TEST_CASE("an index gives this machine's image") {
  std::vector<Descriptor> entries = {
      entry("unknown", "unknown", "", "attestation"), entry("linux", "arm", "v6", "armv6"),
      entry("linux", "arm", "v7", "armv7"),           entry("linux", "arm64", "v8", "arm64"),
      entry("windows", "amd64", "", "windows"),       entry("linux", "amd64", "", "amd64"),
      entry("linux", "amd64", "v3", "amd64v3"),
  };
  auto pick = [&](Platform want) {
    const Descriptor* d = choose_platform(entries, want);
    return d == nullptr ? std::string("none") : d->digest;
  };
  CHECK(pick({"linux", "amd64", ""}) == "amd64");
  CHECK(pick({"linux", "arm64", ""}) == "arm64");
  CHECK(pick({"linux", "arm64", "v8"}) == "arm64");
  CHECK(pick({"linux", "arm", "v7"}) == "armv7");
  CHECK(pick({"linux", "arm", "v6"}) == "armv6");
  CHECK(pick({"linux", "arm", "v5"}) == "none");
  CHECK(pick({"linux", "riscv64", ""}) == "none");
}

TEST_CASE("manifests are read or refused") {
  MadeImage image = make_image({TarWriter().file("a", "1").finish()});
  Manifest manifest = parse_manifest(image.manifest).value();
  CHECK(!manifest.is_index);
  CHECK(manifest.config.digest == image.config_digest);
  CHECK(manifest.layers.size() == 1);
  for (
      const char* text :
      {"", "{}", "[]", R"({"schemaVersion":1,"fsLayers":[]})",
       R"({"config":{"digest":"sha256:../../x","size":1},"layers":[]})",
       R"({"config":{"digest":"x"},"layers":[]})", R"({"manifests":[{"digest":1}]})",
       R"({"manifests":[{"digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","size":-5}]})"}) {
    INFO(text);
    CHECK(!parse_manifest(text).ok());
  }
}

TEST_CASE("an image record survives its file") {
  MadeImage made = make_image(
      {TarWriter().file("a", "1").finish(), TarWriter().file("b", "2").finish()}, gzip,
      R"({"User":"app:web","Env":["A=1"],"Entrypoint":["/e"],"Cmd":["c","d"],"WorkingDir":"/w",
          "Volumes":{"/v":{}},"ExposedPorts":{"80/tcp":{}},"StopSignal":"SIGQUIT","Labels":{"k":"v"}})");
  std::vector<ImageLayer> layers;
  for (const std::string& digest : made.layer_digests) layers.push_back({digest, "", "", 5});
  Image image = image_from_config(made.config, layers).value();
  image.manifest_digest = made.manifest_digest;
  image.tags = {"docker.io/library/a:1"};
  CHECK(image.id == made.config_digest);
  CHECK(image.layers[1].chain_id != image.layers[1].diff_id);
  Image again = image_from_json(image_to_json(image)).value();
  CHECK(image_to_json(again) == image_to_json(image));
  CHECK(again.config.user == "app:web");
  CHECK(again.config.command == std::vector<std::string>{"c", "d"});
  CHECK(again.config.stop_signal == "SIGQUIT");
  CHECK(again.config.volumes == std::vector<std::string>{"/v"});
  CHECK(!image_from_config(made.config, {}).ok());
  CHECK(!image_from_config("{\"rootfs\":{\"diff_ids\":[\"x\"]}}", {ImageLayer()}).ok());
}
