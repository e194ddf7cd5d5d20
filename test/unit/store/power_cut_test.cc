// Power cuts: an answer means that the change is on the disk, whatever the disk made of the rest.
#include <catch2/catch.hpp>
#include <fstream>
#include <map>

#include "base/random.h"
#include "faulty_vfs.h"
#include "harness.h"

using namespace knarr;
using namespace knarr::kv;

namespace {

struct Cut {
  std::map<std::string, std::string> files;
  std::map<std::string, int> acknowledged;  // key -> serial
  Revision revision = 0;
};

// Writes pairs of equal keys until an answer at which the power fails.
Cut write_until_cut(const std::string& dir, base::SeededRandom& random) {
  base::Loop loop;
  SqliteOptions options;
  options.path = dir + "/state.db";
  options.checkpoint_pages = random.below(2) == 0 ? 20 : 2000;  // with many checkpoints, and none
  options.cache_kib = 64;                                       // large transactions spill early
  options.vfs = "faulty";
  std::unique_ptr<Store> store = std::move(open_sqlite(loop, options)).value();
  Cut cut;
  int answers_left = 1 + static_cast<int>(random.below(60));
  int serial = 0;
  std::function<void()> next = [&] {
    int mine = ++serial;
    std::string key = "k" + std::to_string(random.below(6));
    std::string value = std::to_string(mine) + ":";
    value.resize(1 + random.below(12000), 'x');
    value = std::to_string(mine) + ":" + value;
    Txn txn{{}, {{Op::Kind::kPut, key + "a", value, 0}, {Op::Kind::kPut, key + "b", value, 0}}};
    store->txn(std::move(txn), [&, key, mine](Result<TxnResult> result) {
      if (answers_left == 0) return;
      cut.acknowledged[key] = mine;
      cut.revision = result->revision;
      if (--answers_left == 0) {
        cut.files = power_cut(random, dir);
      } else {
        next();
      }
    });
  };
  for (int i = 0; i < 5; ++i) next();
  REQUIRE(loop.run_until([&] { return answers_left == 0; }, 20000));
  return cut;
}

}  // namespace

TEST_CASE("what was answered survives a power cut, whole", "[store][sqlite]") {
  Faults& faults = faulty_vfs();
  faults.free_bytes = INT64_MAX;
  faults.fail_sync = false;
  base::SeededRandom random(7);
  for (int round = 0; round < 60; ++round) {
    INFO("round " << round);
    TempDir dir;
    std::string before = dir / "before";
    std::string after = dir / "after";
    std::filesystem::create_directory(before);
    std::filesystem::create_directory(after);
    faults.record = true;
    Cut cut = write_until_cut(before, random);
    faults.record = false;
    for (const auto& [path, content] : cut.files) {
      std::ofstream(after + path.substr(before.size()), std::ios::binary) << content;
    }
    base::Loop loop;
    SqliteOptions options;
    options.path = after + "/state.db";
    Result<std::unique_ptr<Store>> store = open_sqlite(loop, options);
    INFO((store.ok() ? "" : store.error().message));
    REQUIRE(store.ok());
    CHECK((*store)->revision() >= cut.revision);
    Result<RangeResult> all = wait<RangeResult>(loop, [&](auto done) {
      (*store)->range({"k", "l", 0, 0}, done);
    });
    std::map<std::string, std::string> found;
    for (const KeyValue& kv : all->kvs) found[kv.key] = kv.value;
    for (const auto& [key, serial] : cut.acknowledged) {
      REQUIRE(found.contains(key + "a"));
      CHECK(std::stoi(found[key + "a"]) >= serial);
    }
    for (const auto& [key, value] : found) {
      std::string twin = key.substr(0, 2) + (key[2] == 'a' ? "b" : "a");
      CHECK((found[twin] == value));
    }
  }
}
