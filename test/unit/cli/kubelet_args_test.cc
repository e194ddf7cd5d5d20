#include "cli/kubelet_args.h"

#include <catch2/catch.hpp>

using namespace knarr;
using namespace knarr::cli;

TEST_CASE("settings under their kubelet names") {
  auto s = read_kubelet_args({"container-log-max-size=1Mi", "--container-log-max-files=3",
                              "max-pods=20", "eviction-hard=memory.available<1Gi",
                              "nodefs.available<10%", "image-gc-high-threshold=90"});
  REQUIRE(s.ok());
  CHECK(s->log_max_bytes == 1 << 20);
  CHECK(s->log_max_files == 3);
  CHECK(s->max_pods == 20);
  CHECK(s->eviction.memory.amount == 1 << 30);
  CHECK(s->eviction.disk.percent == 10);
  CHECK(s->eviction.image_high_percent == 90);
}

TEST_CASE("what is no setting of the node is refused") {
  auto check = [](std::vector<std::string> args, const char* message) {
    auto s = read_kubelet_args(args);
    REQUIRE_FALSE(s.ok());
    CHECK(s.error().message == message);
  };
  check({"v"}, "--kubelet-arg wants KEY=VALUE, not \"v\"");
  check({"v=4"}, "--kubelet-arg: no such setting here: v");
  check({"max-pods=many"}, "--kubelet-arg max-pods: \"many\": want a number from 1 to 100000");
  check({"container-log-max-size=big"},
        "--kubelet-arg container-log-max-size: \"big\": want a size, as 10Mi");
  check({"image-gc-low-threshold=90"},
        "--kubelet-arg: image-gc-low-threshold must be below image-gc-high-threshold");
}
