#include <catch2/catch.hpp>

#include "agent/node_object.h"

using namespace knarr;
using namespace knarr::agent;

TEST_CASE("node status: Ready takes a network") {
  struct {
    bool ready;
    const char* problem;
    const char* shown;
  } rows[] = {
      {false, "", "False KubeletNotReady container runtime is being started"},
      {false, "no plugin", "False KubeletNotReady container runtime is being started"},
      {true, "no plugin", "False KubeletNotReady no plugin"},
      {true, "", "True KubeletReady kubelet is posting ready status"},
  };
  for (const auto& row : rows) {
    NodeHealth health;
    health.ready = row.ready;
    health.network_problem = row.problem;
    json::Value status = node_status({}, {}, "knarr://1", health, 0);
    const json::Value& ready = status["conditions"][3];
    CHECK(ready["type"].as_string() == "Ready");
    CHECK(ready["status"].text() + " " + ready["reason"].text() + " " + ready["message"].text() ==
          row.shown);
  }
}
