// A node for tests: an image with busybox in it, a runtime on a state folder of its own, and the
// calls made synchronous. Removes every pod, mount and cgroup at its end, however the test ends.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "archive.h"
#include "base/loop.h"
#include "base/random.h"
#include "knarr/runtime.h"
#include "runtime/image/image_store.h"
#include "runtime/image/puller.h"
#include "runtime/image/snapshot.h"

namespace knarr::runtime {

constexpr int64_t kPatience_ms = 30000;

class TestNode : public EventListener {
 public:
  TestNode();
  ~TestNode() override;

  // As a crash and a start: the shims are on their own meanwhile.
  void stop_runtime() { runtime_.reset(); }
  Inventory start_runtime();

  std::string sandbox(SandboxConfig config = {});
  ContainerConfig shell(const std::string& script);
  Result<std::string> create(const std::string& sandbox, ContainerConfig config);
  Result<ContainerStatus> start(const std::string& id);
  // Creates and starts.
  std::string run(const std::string& sandbox, ContainerConfig config);
  ContainerStatus wait(const std::string& id);
  // Until its log has that.
  void wait_for_output(const ContainerConfig& config, const std::string& text);
  // Its log without times: "stdout F line\n...".
  std::string log(const std::string& id);
  // One container to its end; answers its output's text. In a sandbox of its own.
  std::string output(ContainerConfig config, SandboxConfig sandbox = {});
  void stop_sandbox(const std::string& id);
  void remove_sandbox(const std::string& id);
  Result<ExecResult> exec(const std::string& id, std::vector<std::string> argv,
                          int64_t timeout_ms = 0);

  template <typename T>
  Result<T> await(const std::function<void(Callback<T>)>& start) {
    auto answer = std::make_shared<std::optional<Result<T>>>();
    start([answer](Result<T> result) { *answer = std::move(result); });
    bool came = loop.run_until([&] { return answer->has_value(); }, kPatience_ms);
    if (!came) return make_error(Code::kTimeout, "the test waited in vain");
    return std::move(**answer);
  }

  void on_container_exit(const ContainerStatus& status) override;
  void on_sandbox_exit(const std::string& id) override { gone.insert(id); }

  Runtime& runtime() { return *runtime_; }
  std::string cgroup_root() const { return cgroup_root_; }

  TempDir dir;
  base::Loop loop;
  std::string image_id;
  std::vector<ContainerStatus> exits;
  std::set<std::string> gone;

 private:
  base::SystemRandom random_;
  std::string cgroup_root_;
  std::unique_ptr<ImageStore> images_;
  std::unique_ptr<SnapshotStore> snapshots_;
  std::unique_ptr<Puller> puller_;
  std::unique_ptr<Runtime> runtime_;
  std::set<std::string> sandboxes_;
  int next_ = 0;
};

}  // namespace knarr::runtime
