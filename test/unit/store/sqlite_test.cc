// What the SQLite backend promises beyond the contract: durability, faults, files.
#include <sqlite3.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "faulty_vfs.h"
#include "harness.h"

using namespace knarr;
using namespace knarr::kv;

namespace {

struct FaultyBackend {
  TempDir dir;
  std::unique_ptr<Store> make(base::Loop& loop, Options options) {
    Faults& faults = faulty_vfs();
    faults.free_bytes = INT64_MAX;
    faults.fail_sync = false;
    return std::move(
               open_sqlite(loop, {dir / "state.db", std::move(options), 1024, 1000, "faulty"}))
        .value();
  }
};

Options with_volatile() {
  Options options;
  options.volatile_prefixes = {"/v/"};
  return options;
}

std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("a reopened store goes on where it was", "[store][sqlite]") {
  Harness<SqliteBackend> h;
  h.put("a", "1").value();
  h.put("b", "1").value();
  h.put("a", "2").value();
  int64_t lease = h.grant(50).value();
  h.put("l", "1", lease).value();  // 5
  h.compact(2).value();
  h.reopen();
  CHECK(h.store->revision() == 5);
  CHECK(h.store->compacted() == 2);
  CHECK(h.text({"a", "z", 0, 0}) == "a=2 b=1 l=1");
  CHECK(h.text({"a", "z", 3, 0}) == "a=1 b=1");
  Recorder past;
  auto watch = h.store->watch("a", "z", 3, past);
  REQUIRE(h.loop.run_until([&] { return past.seen.size() == 4; }, 20000));
  CHECK(past.seen ==
        std::vector<std::string>{"3 put b=1", "4 put a=2 was 1", "5 put l=1", "6 delete l was 1"});
  watch.reset();
  h.compact(6).value();
  h.reopen();
  CHECK(h.store->revision() == 6);
}

TEST_CASE("volatile writes cost no disk write and leave no revision behind", "[store][sqlite]") {
  Harness<FaultyBackend> h(with_volatile());
  h.put("/v/a", "0").value();
  Faults& faults = faulty_vfs();
  int64_t syncs = faults.syncs;
  int64_t written = faults.written_bytes;
  for (int i = 0; i < 1000; ++i) h.put("/v/a", std::to_string(i)).value();
  CHECK(faults.syncs == syncs);
  CHECK(faults.written_bytes == written);
  Revision last = h.store->revision();
  CHECK(last == 1002);
  h.reopen(with_volatile());
  CHECK(h.text({"/", "0", 0, 0}).empty());
  CHECK(h.store->revision() == last);  // closed in order: no jump
  CHECK(h.put("/a", "1")->revision == last + 1);
}

TEST_CASE("a volatile write wakes no sleeping commit thread", "[store][sqlite]") {
  Harness<SqliteBackend> h(with_volatile());
  h.put("/v/a", "0").value();
  auto sleeps = [] {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      if (slurp(task.path() / "comm") != "knarr-commit\n") continue;
      std::string status = slurp(task.path() / "status");
      return std::stoi(status.substr(status.find("\nvoluntary_ctxt_switches:") + 25));
    }
    return -1;
  };
  int before = sleeps();
  for (int i = 0; i < 200; ++i) h.put("/v/a", std::to_string(i)).value();
  CHECK(h.store->revision() == 202);
  CHECK(sleeps() - before < 20);  // it may have had maintenance to finish
}

TEST_CASE("one fsync for all that queued up", "[store][sqlite]") {
  Harness<FaultyBackend> h;
  h.put("a", "0").value();
  int64_t syncs = faulty_vfs().syncs;
  int answered = 0;
  for (int i = 0; i < 400; ++i) {
    h.store->txn({{}, {{Op::Kind::kPut, "k" + std::to_string(i), "v", 0}}},
                 [&](Result<TxnResult> r) { answered += r.ok() ? 1 : 0; });
  }
  REQUIRE(h.loop.run_until([&] { return answered == 400; }, 20000));
  CHECK(faulty_vfs().syncs - syncs < 100);
}

TEST_CASE("a full disk refuses, changes nothing, and recovers", "[store][sqlite]") {
  Harness<FaultyBackend> h(with_volatile());
  h.put("a", "1").value();
  h.put("/v/x", "1").value();
  Recorder all;
  auto watch = h.store->watch("", "~", 0, all);
  Faults& faults = faulty_vfs();
  faults.free_bytes = 0;
  Result<TxnResult> failed = h.put("b", std::string(3000, 'x'));
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().code == Code::kServiceUnavailable);
  CHECK(h.grant(1000).error().code == Code::kServiceUnavailable);
  CHECK(h.put("/v/x", "2")->revision == 4);  // heartbeats go on
  faults.free_bytes = INT64_MAX;
  CHECK(h.put("c", "1")->revision == 5);
  CHECK(h.text({"", "~", 0, 0}) == "/v/x=2 a=1 c=1");
  CHECK(all.seen == std::vector<std::string>{"4 put /v/x=2 was 1", "5 put c=1"});
  h.reopen(with_volatile());
  CHECK(h.text({"", "~", 0, 0}) == "a=1 c=1");
}

TEST_CASE("in a batch only what does not fit fails", "[store][sqlite]") {
  Harness<FaultyBackend> h;
  h.put("warm", "1").value();
  faulty_vfs().free_bytes = 100 * 1024;
  std::vector<bool> ok;
  for (int size : {10, 200 * 1024, 20}) {
    h.store->txn({{}, {{Op::Kind::kPut, "k" + std::to_string(size), std::string(size, 'x'), 0}}},
                 [&](Result<TxnResult> r) { ok.push_back(r.ok()); });
  }
  REQUIRE(h.loop.run_until([&] { return ok.size() == 3; }, 20000));
  CHECK(ok == std::vector<bool>{true, false, true});
  faulty_vfs().free_bytes = INT64_MAX;
  CHECK(h.range({"k", "l", 0, 0})->kvs.size() == 2);
}

TEST_CASE("a sync that fails acknowledges nothing", "[store][sqlite]") {
  Harness<FaultyBackend> h;
  h.put("a", "1").value();
  faulty_vfs().fail_sync = true;
  CHECK(h.put("a", "2").error().code == Code::kServiceUnavailable);
  CHECK(h.text({"a", "", 0, 0}) == "a=1");
  faulty_vfs().fail_sync = false;
  CHECK(h.put("a", "3")->revision == 3);
  h.reopen();
  CHECK(h.text({"a", "", 0, 0}) == "a=3");
}

TEST_CASE("the file is private, and one process's", "[store][sqlite]") {
  Harness<SqliteBackend> h;
  h.put("a", "1").value();
  std::string path = h.backend.dir / "state.db";
  for (const char* suffix : {"", "-wal"}) {
    struct stat st;
    REQUIRE(::stat((path + suffix).c_str(), &st) == 0);
    CHECK((st.st_mode & 0777) == 0600);
  }
  Result<std::unique_ptr<Store>> second = open_sqlite(h.loop, {path, {}, 1024, 1000, ""});
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == Code::kConflict);
  CHECK(second.error().message.find(path) != std::string::npos);
  CHECK(h.put("a", "2").ok());
}

TEST_CASE("damaged and foreign files are refused and left alone", "[store][sqlite]") {
  base::Loop loop;
  TempDir dir;
  std::string path = dir / "state.db";
  SECTION("not a database") { std::ofstream(path) << std::string(10000, 'x'); }
  SECTION("a database of something else") {
    sqlite3* db;
    REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
    REQUIRE(sqlite3_exec(db, "CREATE TABLE t(a)", nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(db);
  }
  SECTION("a page overwritten") {
    {
      SqliteOptions options;
      options.path = path;
      std::unique_ptr<Store> store = std::move(open_sqlite(loop, options)).value();
      for (int i = 0; i < 100; ++i) {
        wait<TxnResult>(loop, [&](auto done) {
          store->txn({{}, {{Op::Kind::kPut, "k" + std::to_string(i), std::string(500, 'v'), 0}}},
                     done);
        }).value();
      }
    }
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    for (int page = 2; page < 12; ++page) {
      file.seekp(page * 4096);
      file << std::string(4096, '\x5a');
    }
  }
  std::string before = slurp(path);
  Result<std::unique_ptr<Store>> opened = open_sqlite(loop, {path, {}, 1024, 1000, ""});
  REQUIRE_FALSE(opened.ok());
  INFO(opened.error().message);
  CHECK(opened.error().code == Code::kInternalError);
  CHECK(opened.error().message.find(path) != std::string::npos);
  CHECK((slurp(path) == before));
}

TEST_CASE("a backup taken under load is whole", "[store][sqlite]") {
  Harness<SqliteBackend> h;
  for (int i = 0; i < 2000; ++i) {
    h.store->txn({{}, {{Op::Kind::kPut, "k" + std::to_string(i), std::string(2000, 'v'), 0}}},
                 [](Result<TxnResult>) {});
  }
  h.put("first", "1").value();
  std::string copy = h.backend.dir / "copy.db";
  std::optional<Result<Revision>> done;
  h.store->backup(copy, [&](Result<Revision> r) { done.emplace(std::move(r)); });
  int written = 0;
  std::function<void()> next = [&] {
    h.store->txn({{}, {{Op::Kind::kPut, "load" + std::to_string(written), "1", 0}}},
                 [&](Result<TxnResult>) {
                   ++written;
                   if (!done) next();
                 });
  };
  next();
  REQUIRE(h.loop.run_until([&] { return done.has_value(); }, 20000));
  REQUIRE(done->ok());
  h.put("last", "1").value();
  CHECK(wait<Revision>(h.loop, [&](auto d) { h.store->backup(copy, d); }).error().code ==
        Code::kAlreadyExists);

  struct stat st;
  REQUIRE(::stat(copy.c_str(), &st) == 0);
  CHECK((st.st_mode & 0777) == 0600);
  h.store = std::move(open_sqlite(h.loop, {copy, {}, 1024, 1000, ""})).value();
  CHECK(h.store->revision() == **done);
  CHECK(h.range({"k", "l", 0, 0, true})->count == 2000);
  CHECK(h.text({"last", "", 0, 0}).empty());
}

TEST_CASE("compaction and vacuum give the space back", "[store][sqlite]") {
  Harness<SqliteBackend> h;
  std::string path = h.backend.dir / "state.db";
  int answered = 0;
  for (int i = 0; i < 3000; ++i) {
    h.store->txn({{}, {{Op::Kind::kPut, "k" + std::to_string(i % 3), std::string(3000, 'v'), 0}}},
                 [&](Result<TxnResult>) { ++answered; });
  }
  REQUIRE(h.loop.run_until([&] { return answered == 3000; }, 20000));
  h.compact(h.store->revision()).value();
  // After each piece of work comes a step of maintenance.
  for (int i = 0; i < 100; ++i) h.text({"k0", "", 0, 0});
  h.reopen();
  CHECK(std::filesystem::file_size(path) < 2 * 1024 * 1024);
  CHECK(h.range({"k", "l", 0, 0})->kvs.size() == 3);
  CHECK(h.store->revision() == 3001);
}
