#include "runtime/image/image_store.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <optional>

#include "archive.h"
#include "base/unique_fd.h"
#include "runtime/image/files.h"
#include "runtime/image/mount.h"
#include "runtime/image/snapshot.h"

using namespace knarr;
using namespace knarr::runtime;

namespace {

// Runs one asynchronous call to its answer.
template <typename T>
Result<T> await(base::Loop& loop, const std::function<void(Callback<T>)>& start) {
  std::optional<Result<T>> answer;
  start([&](Result<T> result) { answer = std::move(result); });
  REQUIRE(loop.run_until([&] { return answer.has_value(); }, 20000));
  return std::move(*answer);
}

struct Node {
  explicit Node(const std::string& root) : images(loop, root), snapshots(images) {
    REQUIRE(await<void>(loop, [&](auto done) { images.open(done); }).ok());
    REQUIRE(await<void>(loop, [&](auto done) { snapshots.open(done); }).ok());
  }
  Result<std::vector<ImageRef>> import(const std::string& path) {
    return await<std::vector<ImageRef>>(loop, [&](auto done) { images.import(path, done); });
  }
  Result<MountPlan> prepare(const std::string& id, const std::string& image) {
    return await<MountPlan>(loop, [&](auto done) { snapshots.prepare(id, image, done); });
  }
  Result<void> remove(const std::string& image) {
    return await<void>(loop, [&](auto done) { images.remove(image, done); });
  }

  base::Loop loop;
  ImageStore images;
  SnapshotStore snapshots;
};

std::string base_layer() {
  return TarWriter()
      .directory("./", 0755)
      .directory("etc/", 0755)
      .file("etc/os", "base")
      .file("etc/gone", "x")
      .directory("data/", 0750)
      .file("data/old", "x")
      .finish();
}

std::string top_layer() {
  return TarWriter()
      .file("etc/os", "top")
      .file("etc/.wh.gone", "")
      .file("data/.wh..wh..opq", "")
      .file("data/new", "y")
      .finish();
}

size_t count(const std::string& directory) { return names_in(directory).size(); }

}  // namespace

TEST_CASE("archives of every kind become images", "[root]") {
  TempDir dir;
  Node node(dir / "images");
  MadeImage made = make_image({base_layer(), top_layer()}, gzip, R"({"User":"1000"})");
  struct Row {
    std::string name, bytes, tag;
  };
  std::string docker = docker_archive(made, {"localhost/busybox:1", "busybox"});
  std::string oci = oci_archive(made, "quay.io/a/b:2");
  for (const Row& row :
       {Row{"docker", docker, "localhost/busybox:1"},
        Row{"docker.gz", gzip(docker), "docker.io/library/busybox:latest"},
        Row{"oci", oci, "quay.io/a/b:2"}, Row{"oci.zst", zstd(oci), "quay.io/a/b:2"}}) {
    INFO(row.name);
    write_test_file(dir / row.name, row.bytes);
    Result<std::vector<ImageRef>> images = node.import(dir / row.name);
    if (!images.ok()) FAIL(images.error().message);
    REQUIRE(images->size() == 1);
    ImageRef image = node.images.find(row.tag);
    REQUIRE(image != nullptr);
    CHECK(image->id == made.config_digest);
    CHECK(image->config.user == "1000");
  }
  ImageRef image = node.images.find("busybox");
  REQUIRE(image != nullptr);
  CHECK(image->tags == std::vector<std::string>{"docker.io/library/busybox:latest",
                                                "localhost/busybox:1", "quay.io/a/b:2"});
  CHECK(node.images.find(image->id) == image);
  CHECK(node.images.find(image->id.substr(7, 12)) == image);
  CHECK(node.images.find("quay.io/a/b@" + made.manifest_digest) == image);
  CHECK(node.images.find("quay.io/a/b:3") == nullptr);
  CHECK(node.images.list().size() == 1);
  FilesystemUsage usage =
      await<FilesystemUsage>(node.loop, [&](auto done) { node.images.usage(done); }).value();
  CHECK(usage.used_bytes > 0);
  CHECK(usage.inodes_used > 10);
}

TEST_CASE("a container sees its layers merged and writes its own", "[root]") {
  TempDir dir;
  Node node(dir / "images");
  if (!node.images.layers().overlay()) return;
  write_test_file(dir / "a.tar", docker_archive(make_image({base_layer(), top_layer()}), {"a:1"}));
  REQUIRE(node.import(dir / "a.tar").ok());
  MountPlan plan = node.prepare("c1", "a:1").value();
  CHECK(node.prepare("c1", plan.image_id)->upper == plan.upper);
  std::string target = dir / "rootfs";
  REQUIRE(mkdir(target.c_str(), 0755) == 0);
  std::string os, fresh;
  bool gone = false, old = true;
  unsigned mode = 0;
  Result<void> mounted = in_private_mount_namespace([&]() -> Result<void> {
    TRY(mount_snapshot(plan, target, false));
    os = read_test_file(target + "/etc/os");
    fresh = read_test_file(target + "/data/new");
    gone = access((target + "/etc/gone").c_str(), F_OK) != 0;
    old = access((target + "/data/old").c_str(), F_OK) == 0;
    struct stat st;
    if (stat((target + "/data").c_str(), &st) == 0) mode = st.st_mode & 07777;
    write_test_file(target + "/written", "w");
    return {};
  });
  REQUIRE(mounted.ok());
  CHECK(os == "top");
  CHECK(fresh == "y");
  CHECK(gone);
  CHECK(!old);
  CHECK(mode == 0750);  // not named by the top layer: as the base has it
  CHECK(read_test_file(plan.upper + "/written") == "w");

  Result<void> read_only = in_private_mount_namespace([&]() -> Result<void> {
    TRY(mount_snapshot(plan, target, true));
    int fd = open((target + "/more").c_str(), O_CREAT | O_WRONLY, 0600);
    return fd < 0 ? errno_error(errno, "open") : Result<void>();
  });
  CHECK(!read_only.ok());
  CHECK(await<SnapshotUsage>(node.loop, [&](auto d) {
          node.snapshots.usage("c1", d);
        })->inodes_used >= 2);
}

TEST_CASE("images and snapshots outlive a restart, garbage does not", "[root]") {
  TempDir dir;
  MadeImage one = make_image({base_layer(), top_layer()});
  MadeImage two = make_image({base_layer()});
  write_test_file(dir / "one.tar", docker_archive(one, {"one"}));
  write_test_file(dir / "two.tar", docker_archive(two, {"two"}));
  std::string layers = dir / "images/layers";
  std::string blobs = dir / "images/content/blobs/sha256";
  {
    Node node(dir / "images");
    REQUIRE(node.import(dir / "one.tar").ok());
    REQUIRE(node.import(dir / "two.tar").ok());
    if (node.images.layers().overlay()) CHECK(count(layers) == 2);  // the base is shared
    REQUIRE(node.prepare("keep", "one").ok());
  }
  // What a crash may leave.
  REQUIRE(make_directories(layers + "/tmp-abc/fs").ok());
  REQUIRE(make_directories(dir / "images/snapshots/half/fs").ok());
  {
    Node node(dir / "images");
    CHECK(count(dir / "images/snapshots") == 1);
    REQUIRE(node.images.find("one") != nullptr);
    CHECK(node.snapshots.list() == std::vector<std::string>{"keep"});
    REQUIRE(node.remove("one").ok());
    CHECK(node.remove("one").error().code == Code::kNotFound);
    CHECK(node.images.find("one") == nullptr);
    if (node.images.layers().overlay()) CHECK(count(layers) == 2);  // held by the snapshot
    REQUIRE(await<void>(node.loop, [&](auto done) { node.snapshots.remove("keep", done); }).ok());
    REQUIRE(await<void>(node.loop, [&](auto done) { node.snapshots.remove("keep", done); }).ok());
    REQUIRE(await<void>(node.loop, [&](auto done) { node.images.collect(done); }).ok());
    if (node.images.layers().overlay()) CHECK(count(layers) == 1);
    REQUIRE(node.remove("two").ok());
    CHECK(count(layers) == 0);
    CHECK(count(blobs) == 0);
    CHECK(count(dir / "images/snapshots") == 0);
  }
}

TEST_CASE("a tag moves from image to image", "[root]") {
  TempDir dir;
  Node node(dir / "images");
  MadeImage one = make_image({base_layer()});
  MadeImage two = make_image({top_layer()});
  write_test_file(dir / "one.tar", docker_archive(one, {"app:1", "app:old"}));
  write_test_file(dir / "two.tar", docker_archive(two, {"app:1"}));
  REQUIRE(node.import(dir / "one.tar").ok());
  REQUIRE(node.import(dir / "two.tar").ok());
  CHECK(node.images.find("app:1")->id == two.config_digest);
  CHECK(node.images.find("app:old")->id == one.config_digest);
}

TEST_CASE("archives that lie are refused and leave nothing", "[root]") {
  TempDir dir;
  Node node(dir / "images");
  MadeImage good = make_image({base_layer()});
  MadeImage wrong_diff = good;
  wrong_diff.layers[0] = gzip(top_layer());
  MadeImage wrong_blob = good;
  wrong_blob.layers[0] = gzip(top_layer());
  MadeImage cut = good;
  cut.layers[0].resize(cut.layers[0].size() / 2);
  struct Row {
    std::string bytes, message;
  };
  const Row rows[] = {
      {docker_archive(wrong_diff, {"x"}), "wrong diff id calculated on extraction"},
      {oci_archive(wrong_blob, "x:1"), "has digest"},
      {docker_archive(cut, {"x"}), "unexpected EOF"},
      {docker_archive(good, {"Bad Tag"}), "invalid reference format"},
      {TarWriter().file("hello", "x").finish(), "unrecognized image format"},
      {TarWriter().file("manifest.json", "[{]").finish(), ""},
      {TarWriter().file("manifest.json", "[{\"Config\":\"../../etc/passwd\"}]").finish(), "lacks"},
      {TarWriter().symlink("manifest.json", "manifest.json").finish(), "unrecognized"},
      {"not a tar", ""},
      {"", "unrecognized image format"},
  };
  for (const Row& row : rows) {
    INFO(row.message);
    write_test_file(dir / "bad.tar", row.bytes);
    Result<std::vector<ImageRef>> images = node.import(dir / "bad.tar");
    REQUIRE(!images.ok());
    CHECK(images.error().message.find(row.message) != std::string::npos);
  }
  CHECK(node.images.list().empty());
  REQUIRE(await<void>(node.loop, [&](auto done) { node.images.collect(done); }).ok());
  CHECK(count(dir / "images/layers") == 0);
  CHECK(count(dir / "images/content/blobs/sha256") == 0);
}

TEST_CASE("an image of very many layers fits one mount", "[root]") {
  TempDir dir;
  Node node(dir / "images");
  if (!node.images.layers().overlay()) return;
  std::vector<std::string> tars;
  for (int i = 0; i < 127; ++i) {
    tars.push_back(TarWriter().file("f" + std::to_string(i), std::to_string(i)).finish());
  }
  write_test_file(dir / "many.tar", docker_archive(make_image(tars), {"many"}));
  Result<std::vector<ImageRef>> images = node.import(dir / "many.tar");
  if (!images.ok()) FAIL(images.error().message);
  MountPlan plan = node.prepare("c", "many").value();
  REQUIRE(mkdir((dir / "rootfs").c_str(), 0755) == 0);
  std::string first, last;
  REQUIRE(in_private_mount_namespace([&]() -> Result<void> {
            TRY(mount_snapshot(plan, dir / "rootfs", false));
            first = read_test_file(dir / "rootfs/f0");
            last = read_test_file(dir / "rootfs/f126");
            return {};
          }).ok());
  CHECK(first == "0");
  CHECK(last == "126");
}

TEST_CASE("an image without layers can be mounted", "[root]") {
  TempDir dir;
  Node node(dir / "images");
  if (!node.images.layers().overlay()) return;
  write_test_file(dir / "none.tar", docker_archive(make_image({}), {"none"}));
  REQUIRE(node.import(dir / "none.tar").ok());
  MountPlan plan = node.prepare("c", "none").value();
  REQUIRE(mkdir((dir / "rootfs").c_str(), 0755) == 0);
  CHECK(
      in_private_mount_namespace([&] { return mount_snapshot(plan, dir / "rootfs", false); }).ok());
}

TEST_CASE("without overlays a snapshot is a copy", "[root]") {
  TempDir dir;
  MadeImage made = make_image({base_layer(), top_layer()});
  ContentStore content(dir / "content");
  REQUIRE(content.open().ok());
  LayerStore layers(dir / "layers", content);
  std::vector<ImageLayer> list;
  for (size_t i = 0; i < made.layers.size(); ++i) {
    REQUIRE(content.put(made.layer_digests[i], made.layers[i]).ok());
    list.push_back({made.layer_digests[i], "", "", 1});
  }
  Image image = image_from_config(made.config, list).value();
  REQUIRE(make_directories(dir / "copy", 0755).ok());
  REQUIRE(layers.flatten(image.layers, dir / "copy").ok());
  CHECK(read_test_file(dir / "copy/etc/os") == "top");
  CHECK(access((dir / "copy/etc/gone").c_str(), F_OK) != 0);
  CHECK(access((dir / "copy/data/old").c_str(), F_OK) != 0);
}

TEST_CASE("damaged records are put aside", "[root]") {
  TempDir dir;
  REQUIRE(make_directories(dir / "images").ok());
  write_test_file(dir / "images/images.json", "{\"images\":[{\"id\":");
  Node node(dir / "images");
  CHECK(node.images.list().empty());
  CHECK(access((dir / "images/images.json.damaged").c_str(), F_OK) == 0);
}
