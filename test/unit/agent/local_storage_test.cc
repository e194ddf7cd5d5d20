// Directories that are volumes: what is removed, and above all what is not.
#include "agent/local_storage.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <optional>
#include <thread>

#include "agent/volumes/local_folder.h"
#include "agent/volumes/local_root.h"
#include "agent/volumes/mount_point.h"
#include "base/file.h"
#include "base/random.h"
#include "fake_services.h"
#include "temp_dir.h"

using namespace knarr;
using namespace knarr::agent;
using json::Value;
namespace fs = std::filesystem;

namespace {

Value volume(const std::string& path, const char* more_meta = "", const char* policy = "Delete") {
  auto value =
      json::parse(R"({"kind":"PersistentVolume","apiVersion":"v1","metadata":{
      "name":"pvc-1","uid":"u","resourceVersion":"7",
      "labels":{"knarr.io/local-storage-node":"n1"},
      "annotations":{"pv.kubernetes.io/provisioned-by":"knarr.io/local-path"})" +
                  std::string(more_meta) + R"(},"spec":{"persistentVolumeReclaimPolicy":")" +
                  policy + R"(","hostPath":{"path":")" + path + "\"}}}");
  REQUIRE(value.ok());
  return *std::move(value);
}

constexpr const char* kDeleted =
    R"(,"deletionTimestamp":"2026-01-01T00:00:00Z","finalizers":["knarr.io/local-storage"])";

struct FakeApi final : client::Client {
  void call(client::Request request, client::Reply reply) override {
    bool event = request.target.resource == "events";
    bool dry = request.query == "dryRun=All";
    (event ? events : dry ? asked : writes).push_back(*json::parse(request.body));
    if (event || !refusal) return reply(ObjectRef(std::make_shared<Object>()));
    reply(make_error(*refusal, "refused"));
  }
  std::unique_ptr<client::Watch> watch(client::WatchTarget target, client::WatchHandler&) override {
    selector = target.label_selector;
    return nullptr;
  }
  std::string selector;
  std::optional<Code> refusal;
  std::vector<Value> events, asked, writes;
};

struct Storage {
  knarr::test::TempDir dir;
  std::string root = dir.path() + "/root";
  std::string folder = root + "/pvc-1_default_data";
  knarr::test::FakeClock clock;
  knarr::test::FakeOffload offload;
  FakeApi api;
  std::string note = dir.path() + "/note.json";
  LocalStorage storage{{api, clock, offload}, "n1", root, note};

  Storage() {
    storage.start();
    fs::create_directories(folder + "/deep/er");
    REQUIRE(base::write_file(folder + "/deep/file", "x").ok());
  }
  void tell(const Value& object) {
    auto ref = std::make_shared<Object>();
    ref->name = {"", "pvc-1"};
    ref->json = json::write(object);
    storage.on_upsert(ref);
  }
};

}  // namespace

TEST_CASE("which directory a local volume is") {
  auto check = [](const std::string& path, const std::string& want) {
    auto name = local_folder_name(volume(path), "/data/storage");
    CHECK((name.ok() ? *name : "no") == want);
  };
  check("/data/storage/pvc-1_default_data", "pvc-1_default_data");
  check("/data/storage/pvc-1", "pvc-1");
  check("/data/storage/pvc-12_default_data", "no");
  check("/data/storage/other", "no");
  check("/data/storage/../pvc-1", "no");
  check("/data/storage/..", "no");
  check("/data/storage/pvc-1_a/../../x", "no");
  check("/data/storage", "no");
  check("/data/storage/", "no");
  check("/data/storage2/pvc-1", "no");
  check("/etc", "no");
  check("", "no");
}

TEST_CASE("a directory is everybody's, and is not made without its parent") {
  knarr::test::TempDir dir;
  mode_t mask = umask(077);
  REQUIRE(make_local_folder(dir.path() + "/v").ok());
  umask(mask);
  struct stat st;
  REQUIRE(stat((dir.path() + "/v").c_str(), &st) == 0);
  CHECK((st.st_mode & 07777) == 0777);
  REQUIRE(chmod((dir.path() + "/v").c_str(), 0700) == 0);
  REQUIRE(make_local_folder(dir.path() + "/v").ok());  // there: as it is
  REQUIRE(stat((dir.path() + "/v").c_str(), &st) == 0);
  CHECK((st.st_mode & 07777) == 0700);
  CHECK_FALSE(make_local_folder(dir.path() + "/absent/v").ok());
  // What a crash has left: never at its place with another mode.
  REQUIRE(mkdir((dir.path() + "/.w.new").c_str(), 0700) == 0);
  REQUIRE(make_local_folder(dir.path() + "/w").ok());
  REQUIRE(stat((dir.path() + "/w").c_str(), &st) == 0);
  CHECK((st.st_mode & 07777) == 0777);
  CHECK_FALSE(fs::exists(dir.path() + "/.w.new"));
  REQUIRE(mkdir((dir.path() + "/.w.new").c_str(), 0700) == 0);
  REQUIRE(remove_local_folder(dir.path(), "w").ok());
  CHECK_FALSE(fs::exists(dir.path() + "/.w.new"));
  std::string longest = dir.path() + "/" + std::string(255, 'n');
  CHECK((make_local_folder(longest).ok() && fs::is_directory(longest)));
}

TEST_CASE("several pods may be the first to want a directory") {
  knarr::test::TempDir dir;
  for (int round = 0; round < 50; round++) {
    std::string path = dir.path() + "/" + std::to_string(round);
    std::atomic<int> failed = 0;
    std::vector<std::thread> pods;
    for (int i = 0; i < 3; i++) {
      pods.emplace_back([&] {
        struct stat first {
        }, last{};
        bool made = make_local_folder(path).ok() && stat(path.c_str(), &first) == 0;
        std::this_thread::yield();
        made = made && make_local_folder(path).ok() && stat(path.c_str(), &last) == 0;
        if (!made || first.st_ino != last.st_ino || (last.st_mode & 0777) != 0777) failed++;
      });
    }
    for (std::thread& pod : pods) pod.join();
    REQUIRE(failed == 0);
    CHECK(std::distance(fs::directory_iterator(dir.path()), {}) == round + 1);
  }
}

TEST_CASE("nothing outside the root is removed, whatever links say") {
  knarr::test::TempDir dir;
  std::string root = dir.path() + "/root", kept = dir.path() + "/kept";
  fs::create_directories(root + "/v/sub");
  fs::create_directory(kept);
  REQUIRE(base::write_file(kept + "/file", "x").ok());
  fs::create_directory_symlink(kept, root + "/v/link");
  fs::create_directory_symlink(kept, root + "/linked");
  REQUIRE(remove_local_folder(root, "v").ok());
  REQUIRE(remove_local_folder(root, "linked").ok());
  REQUIRE(remove_local_folder(root, "absent").ok());
  for (const char* name : {"", ".", "..", "../kept", "v/../../kept", "/etc"}) {
    CHECK_FALSE(remove_local_folder(root, name).ok());
  }
  CHECK(fs::is_empty(root));
  CHECK(fs::exists(kept + "/file"));
  // A disk that is not there now may come back with all its directories.
  CHECK_FALSE(remove_local_folder(dir.path() + "/unmounted", "v").ok());
}

TEST_CASE("a folder is used as long as it is the one that was used") {
  knarr::test::TempDir dir;
  base::SeededRandom random(3);
  std::string root = dir.path() + "/disk/volumes", note = dir.path() + "/note.json";
  std::string marker = root + "/" + kLocalRootMarker;
  auto use = [&] { return use_local_root(note, root, random).ok(); };
  auto check = [&] { return check_local_root(note, root).ok(); };
  CHECK(check());  // never used: not for us to judge
  REQUIRE(use());
  CHECK((fs::exists(marker) && check() && use()));
  // The disk is away, then mounted again, and nothing was made beneath.
  fs::rename(dir.path() + "/disk", dir.path() + "/away");
  CHECK_FALSE((use() || check()));
  CHECK_FALSE(fs::exists(root));
  fs::create_directories(root);
  CHECK_FALSE((use() || check()));
  CHECK(fs::is_empty(root));
  fs::remove_all(dir.path() + "/disk");
  fs::rename(dir.path() + "/away", dir.path() + "/disk");
  CHECK((use() && check()));
  // Somebody wants another disk there: that one is it from now on, and the old one is not.
  fs::rename(dir.path() + "/disk", dir.path() + "/old");
  fs::create_directories(root);
  REQUIRE(base::write_file(marker, "").ok());
  CHECK_FALSE(check());
  CHECK((use() && check()));
  fs::remove_all(dir.path() + "/disk");
  fs::rename(dir.path() + "/old", dir.path() + "/disk");
  CHECK_FALSE((use() || check()));
  // A node that lost its notes takes the disk as it is; notes that cannot be read are no notes.
  fs::remove(note);
  CHECK((use() && check()));
  REQUIRE(base::write_file(note, "{").ok());
  CHECK_FALSE((use() || check()));
}

TEST_CASE("a directory on a disk that is away does not count as removed") {
  Storage s;
  fs::rename(s.root, s.dir.path() + "/away");
  fs::create_directory(s.root);
  s.tell(volume(s.folder, kDeleted));
  REQUIRE(s.api.events.size() == 1);
  CHECK(s.api.events[0]["message"].text().find("Is its disk mounted?") != std::string::npos);
  CHECK(s.api.writes.empty());
  fs::remove_all(s.root);
  fs::rename(s.dir.path() + "/away", s.root);
  s.clock.advance(1000);
  CHECK_FALSE(fs::exists(s.folder));
  CHECK(s.api.writes.size() == 1);
}

TEST_CASE("what is mounted in a directory is not removed with it", "[root]") {
  knarr::test::TempDir dir;
  std::string root = dir.path() + "/root", kept = dir.path() + "/kept";
  fs::create_directories(root + "/v/at");
  fs::create_directory(kept);
  REQUIRE(base::write_file(kept + "/file", "x").ok());
  REQUIRE(bind_mount(kept, root + "/v/at").ok());
  CHECK_FALSE(remove_local_folder(root, "v").ok());
  // On the directory itself, and by a root that a link leads to.
  REQUIRE(unmount_below(root).ok());
  REQUIRE(bind_mount(kept, root + "/v").ok());
  fs::create_directory_symlink(root, dir.path() + "/by-link");
  CHECK_FALSE(remove_local_folder(dir.path() + "/by-link", "v").ok());
  REQUIRE(unmount_below(root).ok());
  CHECK(fs::exists(kept + "/file"));
  CHECK(remove_local_folder(root, "v").ok());
}

TEST_CASE("a node removes the directory of a deleted volume, then its finalizer") {
  struct Row {
    const char* meta;
    const char* policy;
    bool removed;
  };
  const Row rows[] = {
      {"", "Delete", false},
      {R"(,"finalizers":["knarr.io/local-storage"])", "Delete", false},
      {kDeleted, "Delete", true},
      {kDeleted, "Retain", false},
      {R"(,"deletionTimestamp":"2026-01-01T00:00:00Z",
          "finalizers":["kubernetes.io/pv-protection","knarr.io/local-storage"])",
       "Delete", false},
      {R"(,"deletionTimestamp":"2026-01-01T00:00:00Z","finalizers":["other"])", "Delete", false},
  };
  for (const Row& row : rows) {
    INFO(row.meta << " " << row.policy);
    Storage s;
    CHECK(s.api.selector == "knarr.io/local-storage-node=n1");
    s.tell(volume(s.folder, row.meta, row.policy));
    CHECK(fs::exists(s.folder) == !row.removed);
    REQUIRE(s.api.writes.size() == (row.removed ? 1 : 0));
    if (!row.removed) continue;
    CHECK(s.api.writes[0]["metadata"]["finalizers"].size() == 0);
    CHECK(s.api.writes[0]["metadata"]["resourceVersion"].as_string() == "7");
  }
}

TEST_CASE("a directory of another node or provisioner stays") {
  Storage s;
  Value other = volume(s.folder, kDeleted);
  other.member("metadata").member("labels").set("knarr.io/local-storage-node", "n2");
  s.tell(other);
  Value foreign = volume(s.folder, kDeleted);
  foreign.member("metadata").member("annotations").set("pv.kubernetes.io/provisioned-by", "x/y");
  s.tell(foreign);
  CHECK(fs::exists(s.folder));
  CHECK(s.api.writes.empty());
}

TEST_CASE("what could not be removed is told, and tried again") {
  Storage s;
  s.tell(volume("/etc", kDeleted));
  REQUIRE(s.api.events.size() == 1);
  CHECK(s.api.events[0]["reason"].as_string() == "VolumeFailedDelete");
  CHECK(s.api.writes.empty());
  CHECK(fs::exists("/etc"));
  s.tell(volume(s.folder, kDeleted));  // put right by someone
  CHECK_FALSE(fs::exists(s.folder));
  CHECK(s.api.writes.size() == 1);
}

TEST_CASE("nothing is removed before the server says that it is so") {
  Storage down;  // and the volume is told from memory
  down.api.refusal = Code::kServiceUnavailable;
  down.tell(volume(down.folder, kDeleted));
  CHECK(down.api.asked.size() == 1);
  CHECK(fs::exists(down.folder));
  down.api.refusal.reset();
  down.clock.advance(1000);
  CHECK_FALSE(fs::exists(down.folder));
  CHECK(down.api.writes.size() == 1);
  down.clock.advance(3600 * 1000);
  CHECK(down.api.asked.size() == 2);

  Storage gone;
  gone.api.refusal = Code::kNotFound;
  gone.tell(volume(gone.folder, kDeleted));
  gone.api.refusal.reset();
  gone.clock.advance(3600 * 1000);
  CHECK(fs::exists(gone.folder));
  CHECK(gone.api.asked.size() == 1);

  Storage kept;
  kept.api.refusal = Code::kConflict;
  kept.tell(volume(kept.folder, kDeleted));
  kept.api.refusal.reset();
  kept.tell(volume(kept.folder, kDeleted, "Retain"));
  kept.clock.advance(3600 * 1000);
  CHECK(fs::exists(kept.folder));
  CHECK(kept.api.writes.empty());

  Storage used;
  Value bound = volume(used.folder, kDeleted);
  bound.set("status", Value::object({{"phase", "Bound"}}));
  used.tell(bound);
  CHECK(fs::exists(used.folder));
  CHECK(used.api.asked.empty());
}
