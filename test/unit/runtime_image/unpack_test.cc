#include "runtime/image/unpack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "archive.h"
#include "base/unique_fd.h"
#include "runtime/image/files.h"

using namespace knarr;
using namespace knarr::runtime;

namespace {

Result<void> unpack(const TarWriter& tar, const std::string& target) {
  base::UniqueFd fd(open(target.c_str(), O_RDONLY | O_DIRECTORY));
  std::unique_ptr<ByteSource> source = string_source(tar.finish());
  return unpack_tar(*source, fd.get());
}

struct stat stat_of(const std::string& path) {
  struct stat st {};
  lstat(path.c_str(), &st);
  return st;
}

bool exists(const std::string& path) {
  struct stat st;
  return lstat(path.c_str(), &st) == 0;
}

std::string link_of(const std::string& path) {
  char buffer[4096];
  ssize_t n = readlink(path.c_str(), buffer, sizeof buffer);
  return n < 0 ? "" : std::string(buffer, static_cast<size_t>(n));
}

}  // namespace

TEST_CASE("paths are resolved against a root they can't leave") {
  auto show = [](std::string_view path) {
    std::string out;
    for (const std::string& part : path_parts(path)) out += part + ",";
    return out;
  };
  CHECK(show("a/b/c") == "a,b,c,");
  CHECK(show("/a//./b/") == "a,b,");
  CHECK(show("../../etc/passwd") == "etc,passwd,");
  CHECK(show("a/../../b") == "b,");
  CHECK(show("./") == "");
  CHECK(show("...") == "...,");
}

TEST_CASE("owners, modes, times, devices and attributes", "[root]") {
  TempDir dir;
  TarWriter tar;
  TarWriter::Options setuid;
  setuid.mode = 04755;
  setuid.uid = 12;
  setuid.gid = 34;
  setuid.pax["SCHILY.xattr.security.capability"] = std::string(
      "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
  setuid.pax["SCHILY.xattr.trusted.overlay.opaque"] = "y";
  tar.directory("bin", 01777).file("bin/ping", "data", setuid).symlink("sh", "/bin/ping");
  tar.hard_link("ping2", "bin/ping");
  TarWriter::Options device;
  device.major = 1;
  device.minor = 3;
  tar.entry('3', "null", "", device).entry('6', "fifo", "", {});
  REQUIRE(unpack(tar, dir.path()).ok());
  struct stat st = stat_of(dir / "bin/ping");
  CHECK((st.st_mode & 07777) == 04755);
  CHECK((st.st_uid == 12 && st.st_gid == 34));
  CHECK(st.st_mtime == 1700000000);
  CHECK(st.st_nlink == 2);
  CHECK(st.st_ino == stat_of(dir / "ping2").st_ino);
  char value[64];
  CHECK(getxattr((dir / "bin/ping").c_str(), "security.capability", value, 64) == 20);
  CHECK(getxattr((dir / "bin/ping").c_str(), "trusted.overlay.opaque", value, 64) < 0);
  CHECK((stat_of(dir / "bin").st_mode & 07777) == 01777);
  CHECK(stat_of(dir / "bin").st_mtime == 1700000000);
  CHECK(link_of(dir / "sh") == "/bin/ping");
  CHECK(stat_of(dir / "null").st_rdev == makedev(1, 3));
  CHECK(S_ISFIFO(stat_of(dir / "fifo").st_mode));
}

TEST_CASE("no entry reaches outside the root", "[root]") {
  TempDir dir;
  std::string root = dir / "root";
  REQUIRE(mkdir(root.c_str(), 0755) == 0);
  REQUIRE(mkdir((dir / "outside").c_str(), 0755) == 0);
  write_test_file(dir / "outside/secret", "secret");
  TarWriter tar;
  tar.file("../../../../../../../../" + dir.path() + "/outside/a", "x");
  tar.symlink("abs", dir / "outside").file("abs/b", "x");
  tar.symlink("rel", "../outside").file("rel/c", "x");
  tar.symlink("chain", "rel/../../outside");
  (void)unpack(tar, root).ok();
  tar.hard_link("hard", "../outside/secret");
  (void)unpack(tar, root).ok();
  CHECK(!exists(dir / "outside/a"));
  CHECK(!exists(dir / "outside/b"));
  CHECK(!exists(dir / "outside/c"));
  CHECK(!exists(root + "/hard"));

  // Writing through a link at the entry's own place replaces the link.
  TarWriter over;
  over.symlink("f", dir / "outside/secret").file("f", "mine");
  over.symlink("d", dir / "outside").directory("d", 0700).file("d/x", "y");
  REQUIRE(unpack(over, root).ok());
  CHECK(read_test_file(dir / "outside/secret") == "secret");
  CHECK(read_test_file(root + "/f") == "mine");
  CHECK(!exists(dir / "outside/x"));
  CHECK((stat_of(dir / "outside").st_mode & 0777) == 0755);
  CHECK(S_ISDIR(stat_of(root + "/d").st_mode));

  for (const char* name : {".wh..", ".wh...", ".wh."}) {
    INFO(name);
    CHECK(!unpack(TarWriter().file(name, ""), root).ok());
  }
  // A whiteout below a link that leads outside deletes nothing there.
  (void)unpack(TarWriter().symlink("w", "../outside").file("w/.wh.secret", ""), root).ok();
  (void)unpack(TarWriter().symlink("w", "../outside").file("w/.wh..wh..opq", ""), root).ok();
  CHECK(exists(dir / "outside/secret"));
  // A hard link to a symbolic link is one to the link, not to where it leads.
  TarWriter hard;
  hard.symlink("to", dir / "outside/secret").hard_link("again", "to");
  REQUIRE(unpack(hard, root).ok());
  CHECK(S_ISLNK(stat_of(root + "/again").st_mode));
}

TEST_CASE("links inside the root are followed for parents", "[root]") {
  TempDir dir;
  TarWriter tar;
  tar.directory("usr/").directory("usr/lib/").symlink("lib", "usr/lib").file("lib/x.so", "so");
  tar.symlink("abs", "/usr").file("abs/y", "y");
  tar.file("made/by/need/z", "z");
  REQUIRE(unpack(tar, dir.path()).ok());
  CHECK(read_test_file(dir / "usr/lib/x.so") == "so");
  CHECK(read_test_file(dir / "usr/y") == "y");
  CHECK(S_ISLNK(stat_of(dir / "lib").st_mode));
  CHECK(read_test_file(dir / "made/by/need/z") == "z");
}

TEST_CASE("whiteouts delete what lies below, not what the layer brings", "[root]") {
  TempDir dir;
  TarWriter base;
  base.file("gone", "1").directory("tree/").file("tree/a", "1").file("tree/b/c", "1");
  base.directory("opaque/").file("opaque/old", "1").file("opaque/sub/old", "1");
  REQUIRE(unpack(base, dir.path()).ok());
  TarWriter layer;
  layer.file(".wh.gone", "").file(".wh.tree", "").file(".wh.absent", "");
  layer.directory("opaque/").file("opaque/new", "2").file("opaque/sub/new", "2");
  layer.file("opaque/.wh..wh..opq", "").file(".wh..wh.plnk", "");
  REQUIRE(unpack(layer, dir.path()).ok());
  CHECK(!exists(dir / "gone"));
  CHECK(!exists(dir / "tree"));
  CHECK(!exists(dir / "opaque/old"));
  CHECK(!exists(dir / "opaque/sub/old"));
  CHECK(exists(dir / "opaque/new"));
  CHECK(exists(dir / "opaque/sub/new"));
  CHECK(!exists(dir / ".wh..wh.plnk"));
}

TEST_CASE("entries replace what stands in their place", "[root]") {
  TempDir dir;
  TarWriter tar;
  tar.directory("x/").file("x/y", "1").file("x", "file now");
  tar.file("z", "1").directory("z/").file("z/in", "2");
  tar.file("same", "1").file("same", "2");
  REQUIRE(unpack(tar, dir.path()).ok());
  CHECK(read_test_file(dir / "x") == "file now");
  CHECK(read_test_file(dir / "z/in") == "2");
  CHECK(read_test_file(dir / "same") == "2");
}

TEST_CASE("sparse files keep their holes", "[root]") {
  TempDir dir;
  TarWriter::Options options;
  options.pax = {{"GNU.sparse.map", "0,2,4194304,3"},
                 {"GNU.sparse.name", "s"},
                 {"GNU.sparse.size", "8388608"}};
  REQUIRE(unpack(TarWriter().file("x", "abcde", options), dir.path()).ok());
  struct stat st = stat_of(dir / "s");
  CHECK(st.st_size == 8388608);
  CHECK(st.st_blocks < 1000);
  CHECK(read_test_file(dir / "s").substr(4194304, 4) == std::string("cde\0", 4));
}

TEST_CASE("what can't be is an error, and trees of any depth are removed", "[root]") {
  TempDir dir;
  TarWriter::Options owner;
  owner.pax["uid"] = "99999999999";
  CHECK(!unpack(TarWriter().file("f", "", owner), dir.path()).ok());
  CHECK(!unpack(TarWriter().file(std::string(300, 'n'), ""), dir.path()).ok());
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "d/";
  CHECK(!unpack(TarWriter().directory(deep), dir.path()).ok());
  // Links make paths longer than any name in the archive.
  TarWriter chain;
  std::string step;
  for (int i = 0; i < 200; ++i) step += "d/";
  chain.directory(step);
  std::string link = step;
  for (int i = 0; i < 5; ++i) {
    std::string name = "l" + std::to_string(i);
    chain.symlink(name, i == 0 ? step : "l" + std::to_string(i - 1) + "/" + step);
    chain.directory(name + "/" + step);
  }
  CHECK(unpack(chain, dir.path()).ok());
  CHECK(remove_tree(dir / "d").ok());
  CHECK(!exists(dir / "d"));
}

TEST_CASE("what is moved up to be removed takes nobody's place") {
  TempDir dir;
  std::string deep = dir / "d";
  for (int i = 0; i < 80; ++i) deep += "/d";
  std::filesystem::create_directories(deep);
  std::filesystem::create_directories(dir / ".d.1/kept");
  REQUIRE(write_file(dir / ".d.2", "kept", false).ok());
  CHECK(remove_tree(dir / "d").ok());
  CHECK(!exists(dir / "d"));
  CHECK(exists(dir / ".d.1/kept"));
  CHECK(read_file(dir / ".d.2", 10).value() == "kept");
  CHECK(names_in(dir.path()).size() == 2);
}
