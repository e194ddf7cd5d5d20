#include "agent/housekeeper.h"

#include <catch2/catch.hpp>

#include "fake_node.h"

using namespace knarr;
using namespace knarr::agent;
using namespace knarr::test;

namespace {

constexpr int64_t kGi = 1 << 30;

MachineUse use_of(int64_t memory_percent, int64_t disk_percent) {
  return {{100 * kGi, memory_percent * kGi}, {100 * kGi, disk_percent * kGi}, {1000, 900}};
}

struct Kept : Node {
  Kept() : Node(spec_of({container("a")})) { start(); }
  FakeOffload offload;
  std::string shown;
  int changes = 0;
  EvictionSettings settings = [] {
    EvictionSettings s;
    s.memory = {0, 10};
    return s;
  }();
  Housekeeper keeper{{clock, runtime, offload, "/nonexistent",
                      [this] { return std::vector<std::shared_ptr<PodMachine>>{machine}; },
                      [](const Pod&) { return std::string("/nonexistent"); }, [this] { changes++; },
                      [this](bool memory, bool disk) {
                        shown = std::string(memory ? "memory " : "") + (disk ? "disk" : "");
                      }},
                     settings};
};

}  // namespace

TEST_CASE("a node with enough of all does nothing") {
  Kept node;
  node.runtime.images = {{"sha256:1", kGi}};
  node.keeper.look(use_of(50, 50));
  node.clock.settle();
  CHECK(node.shown.empty());
  CHECK(node.runtime.images.size() == 1);
  CHECK(node.keeper.admit(*node.machine->pod()).ok());
  CHECK(node.phase() == "Running");
}

TEST_CASE("a node short of memory says so, evicts, and refuses for five minutes") {
  Kept node;
  node.keeper.look(use_of(9, 50));
  node.clock.settle();
  CHECK(node.shown == "memory ");
  CHECK(node.phase() == "Failed");
  CHECK(node.statuses.last["reason"].as_string() == "Evicted");
  CHECK(node.condition("DisruptionTarget") == "TrueTerminationByKubelet");
  CHECK(node.runtime.stopped == std::vector<std::string>{"a 2000"});
  CHECK(node.keeper.admit(*node.machine->pod()).message ==
        "The node had condition: [MemoryPressure]. ");
  node.clock.advance(299 * 1000);
  node.keeper.look(use_of(50, 50));
  CHECK(node.shown == "memory ");
  node.clock.advance(2000);
  node.keeper.look(use_of(50, 50));
  CHECK(node.shown.empty());
  CHECK(node.keeper.admit(*node.machine->pod()).ok());
}

TEST_CASE("images that nobody uses go before the disk is full") {
  Kept node;
  node.runtime.images = {{"sha256:1", 3 * kGi}, {"sha256:2", 3 * kGi}, {"sha256:kept", 3 * kGi}};
  node.keeper.keep_images({"sha256:kept"});
  node.keeper.look(use_of(50, 15));  // seen for the first time: too young to go
  node.clock.settle();
  CHECK(node.runtime.images.size() == 3);
  node.clock.advance(121 * 1000);
  node.keeper.look(use_of(50, 15));
  node.clock.settle();
  CHECK(node.runtime.images.size() == 1);
  CHECK(node.runtime.images.count("sha256:kept") == 1);
  CHECK(node.changes == 2);
  CHECK(node.shown.empty());
  CHECK(node.phase() == "Running");
}
