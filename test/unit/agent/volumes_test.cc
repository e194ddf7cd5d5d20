#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "agent/volumes/atomic_writer.h"
#include "agent/volumes/mount_point.h"
#include "agent/volumes/volume.h"
#include "base/file.h"
#include "temp_dir.h"

using namespace knarr;
using namespace knarr::agent;
using json::Value;

namespace {

// A folder that goes with the test, whatever is mounted below it.
struct Folder {
  knarr::test::TempDir dir;
  std::string path = dir.path();
  ~Folder() { (void)unmount_below(path); }
};

std::string read(const std::string& path) {
  auto text = base::read_file(path);
  return text.ok() ? *text : "<" + text.error().message + ">";
}

}  // namespace

TEST_CASE("the files of a configMap or secret") {
  Value object = *json::parse(R"({"data":{"a":"MQ==","b":"Mg=="}})");
  auto check = [&](const char* spec, const Value& found, const std::string& want) {
    Value volume = *json::parse(spec);
    Payload payload;
    auto sources = payload_sources(volume);
    auto result = add_object(sources[0], found, default_mode(volume), payload);
    std::string got;
    for (const auto& [path, file] : payload) got += path + "=" + file.content + ";";
    CHECK((result.ok() ? got : result.error().message) == want);
  };
  check(R"({"secret":{"secretName":"s"}})", object, "a=1;b=2;");
  check(R"({"secret":{"secretName":"s","items":[{"key":"a","path":"d/x"}]}})", object, "d/x=1;");
  check(R"({"secret":{"secretName":"s","items":[{"key":"z","path":"x"}]}})", object,
        "references non-existent secret key: z");
  check(R"({"secret":{"secretName":"s"}})", Value(), "secret \"s\" not found");
  check(R"({"secret":{"secretName":"s","optional":true}})", Value(), "");
  check(R"({"configMap":{"name":"m","defaultMode":256}})", object, "a=MQ==;b=Mg==;");
}

TEST_CASE("a volume's files are replaced all at once") {
  Folder folder;
  REQUIRE(write_payload(folder.path, {{"a", {"1", 0644}}, {"d/b", {"2", 0440}}}, {}, 1).ok());
  std::string first = std::filesystem::read_symlink(folder.path + "/..data");
  CHECK(read(folder.path + "/a") == "1");
  CHECK(read(folder.path + "/d/b") == "2");
  CHECK(std::filesystem::read_symlink(folder.path + "/d") == "..data/d");
  struct stat st;
  REQUIRE(stat((folder.path + "/d/b").c_str(), &st) == 0);
  CHECK((st.st_mode & 0777) == 0440);

  REQUIRE(write_payload(folder.path, {{"a", {"1", 0644}}, {"d/b", {"2", 0440}}}, {}, 2).ok());
  CHECK(std::filesystem::read_symlink(folder.path + "/..data") == first);

  REQUIRE(write_payload(folder.path, {{"a", {"3", 0644}}}, {}, 3000000).ok());
  CHECK(read(folder.path + "/a") == "3");
  CHECK_FALSE(std::filesystem::exists(std::filesystem::symlink_status(folder.path + "/d")));
  CHECK_FALSE(std::filesystem::exists(folder.path + "/" + first));
}

TEST_CASE("a path inside a volume stays inside, whatever links say") {
  Folder folder;
  std::filesystem::create_directory(folder.path + "/v");
  REQUIRE(base::write_file(folder.path + "/secret", "x").ok());
  REQUIRE(symlink("../secret", (folder.path + "/v/up").c_str()) == 0);
  REQUIRE(symlink("/", (folder.path + "/v/root").c_str()) == 0);
  CHECK_FALSE(open_inside(folder.path + "/v", "up", false).ok());
  CHECK(open_inside(folder.path + "/v", "root", false).ok());  // the volume itself
  CHECK_FALSE(open_inside(folder.path + "/v", "root/etc", false).ok());
  CHECK(open_inside(folder.path + "/v", "a/b/c", true).ok());
  CHECK(std::filesystem::is_directory(folder.path + "/v/a/b/c"));
}

TEST_CASE("a token is for its users alone") {
  auto check = [](const std::string& spec, mode_t mode, int64_t user) {
    auto object = std::make_shared<Object>();
    object->json = "{\"spec\":" + spec + "}";
    PayloadFile file = token_file(**Pod::parse(object), "t", 0644);
    CHECK(file.mode == mode);
    CHECK(file.user == user);
  };
  check(R"({"containers":[{"name":"a"}]})", 0644, -1);
  check(R"({"securityContext":{"fsGroup":5},"containers":[{"name":"a"}]})", 0600, -1);
  check(R"({"securityContext":{"runAsUser":7},"containers":[{"name":"a"},{"name":"b"}]})", 0600, 7);
  check(R"({"securityContext":{"runAsUser":7},"containers":[{"name":"a"},
        {"name":"b","securityContext":{"runAsUser":8}}]})",
        0644, -1);
}

TEST_CASE("a folder made for a subPath is as open as its volume") {
  Folder folder;
  REQUIRE(chmod(folder.path.c_str(), 02777) == 0);
  mode_t before = umask(0077);
  CHECK(open_inside(folder.path, "a/b", true).ok());
  umask(before);
  struct stat st;
  for (const char* made : {"/a", "/a/b"}) {
    REQUIRE(stat((folder.path + made).c_str(), &st) == 0);
    CHECK((st.st_mode & 07777) == 02777);
  }
}

TEST_CASE("hostPath types") {
  Folder folder;
  CHECK(check_host_path(folder.path, "Directory").ok());
  CHECK(check_host_path(folder.path + "/new/dir", "DirectoryOrCreate").ok());
  CHECK(check_host_path(folder.path + "/file", "FileOrCreate").ok());
  CHECK(check_host_path(folder.path + "/file", "File").ok());
  CHECK(check_host_path("/dev/null", "CharDevice").ok());
  CHECK(check_host_path(folder.path + "/file", "Directory").error().message ==
        "hostPath type check failed: " + folder.path + "/file is not a directory");
  CHECK_FALSE(check_host_path(folder.path + "/none", "Socket").ok());
}

TEST_CASE("tmpfs mounts come and go", "[root]") {
  Folder folder;
  std::string at = folder.path + "/t m";  // mountinfo escapes the blank
  std::filesystem::create_directory(at);
  REQUIRE(mount_tmpfs(at, 1 << 20).ok());
  REQUIRE(mount_tmpfs(at, 1 << 20).ok());
  CHECK(is_mount_point(at));
  REQUIRE(unmount_below(folder.path).ok());
  CHECK_FALSE(is_mount_point(at));
}

TEST_CASE("a group owns its files", "[root]") {
  Folder folder;
  REQUIRE(write_payload(folder.path, {{"d/x", {"1", 0440}}}, {777, true}, 1).ok());
  REQUIRE(give_to_group(folder.path, {777, false}).ok());
  struct stat st;
  REQUIRE(stat((folder.path + "/d/x").c_str(), &st) == 0);
  CHECK(st.st_gid == 777);
  CHECK((st.st_mode & 0777) == 0440);
  REQUIRE(stat(folder.path.c_str(), &st) == 0);
  CHECK((st.st_mode & 07777) == 02770);
}

TEST_CASE("a tree is given to a group, and nothing that its links lead to", "[root]") {
  Folder folder;
  std::string tree = folder.path + "/tree";
  std::filesystem::create_directories(tree + "/d/e");
  std::filesystem::create_directory(folder.path + "/outside");
  REQUIRE(base::write_file(folder.path + "/secret", "x", 0600).ok());
  REQUIRE(base::write_file(tree + "/d/e/x", "x", 0600).ok());
  REQUIRE(symlink("../../secret", (tree + "/d/file").c_str()) == 0);
  REQUIRE(symlink("../outside", (tree + "/folder").c_str()) == 0);
  REQUIRE(symlink("tree", (folder.path + "/link").c_str()) == 0);
  auto check = [&](const char* name, gid_t group, mode_t mode) {
    INFO(name);
    struct stat st;
    REQUIRE(stat((folder.path + name).c_str(), &st) == 0);
    CHECK(st.st_gid == group);
    CHECK((st.st_mode & 07777) == mode);
  };
  REQUIRE(give_to_group(tree + "/d/file", {777, false}).ok());
  REQUIRE(give_tree_to_group(folder.path + "/link", {777, false}).ok());
  check("/tree/d/e/x", 777, 0660);
  check("/tree/d/e", 777, 02775);
  check("/tree", 777, 02775);
  check("/secret", getgid(), 0600);
  check("/outside", getgid(), 0755);
  CHECK(give_tree_to_group(folder.path + "/none", {777, false}).error().code == Code::kNotFound);
}
