// How long a pod takes: sandbox, create, start, exit and removal of one busybox container, N times.
//   runtime_bench SHIM_PROGRAM IMAGE.tar [N]
// Needs root. IMAGE.tar is a docker-archive with /bin/true in it.
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <optional>

#include "base/loop.h"
#include "base/random.h"
#include "runtime/cgroup.h"
#include "runtime/image/files.h"
#include "runtime/image/image_store.h"
#include "runtime/image/puller.h"
#include "runtime/image/snapshot.h"
#include "runtime/native_runtime.h"

using namespace knarr;
using namespace knarr::runtime;

namespace {

double now_ms() {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::milli>(now).count();
}

template <typename T>
T await(base::Loop& loop, const std::function<void(Callback<T>)>& start) {
  std::optional<Result<T>> answer;
  start([&](Result<T> result) { answer = std::move(result); });
  if (!loop.run_until([&] { return answer.has_value(); }, 60000) || !answer->ok()) {
    fprintf(stderr, "%s\n", answer ? answer->error().message.c_str() : "no answer");
    exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(**answer);
}

struct Exits : EventListener {
  void on_container_exit(const ContainerStatus&) override { count++; }
  void on_sandbox_exit(const std::string&) override {}
  int count = 0;
};

struct Series {
  const char* name;
  std::vector<double> ms;
  void print() {
    std::sort(ms.begin(), ms.end());
    printf("%-10s p50 %7.2f ms   p99 %7.2f ms\n", name, ms[ms.size() / 2],
           ms[ms.size() * 99 / 100]);
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: %s SHIM_PROGRAM IMAGE.tar [N]\n", argv[0]);
    return 2;
  }
  int n = argc > 3 ? atoi(argv[3]) : 50;
  char name[] = "/tmp/knarr-bench-XXXXXX";
  std::string root = mkdtemp(name);
  {
    base::Loop loop;
    base::SystemRandom random;
    ImageStore images(loop, root + "/data");
    await<void>(loop, [&](auto done) { images.open(done); });
    auto imported =
        await<std::vector<ImageRef>>(loop, [&](auto done) { images.import(argv[2], done); });
    SnapshotStore snapshots(images);
    Puller puller(loop, images, PullerOptions());
    NativeOptions options;
    options.state_dir = root + "/state";
    options.cgroup_root = "knarr-bench";
    options.executable = argv[1];
    auto runtime = make_native_runtime(loop, random, images, snapshots, puller, options);
    Exits exits;
    runtime->set_listener(&exits);
    await<Inventory>(loop, [&](auto done) { runtime->list(done); });
    Series series[] = {{"sandbox", {}}, {"create", {}}, {"start", {}},
                       {"running", {}}, {"exit", {}},   {"remove", {}}};
    for (int i = 0; i < n; i++) {
      double at[6];
      at[0] = now_ms();
      SandboxConfig pod;
      pod.pod_uid = std::to_string(i);
      pod.cgroup_parent = "burstable/pod" + pod.pod_uid;
      std::string id =
          await<SandboxStatus>(loop, [&](auto done) { runtime->create_sandbox(pod, done); }).id;
      at[1] = now_ms();
      ContainerConfig config;
      config.name = "c";
      config.image_id = imported.front()->id;
      config.command = {"/bin/true"};
      config.log_path = root + "/log";
      std::string container =
          await<std::string>(loop, [&](auto done) { runtime->create_container(id, config, done); });
      at[2] = now_ms();
      await<ContainerStatus>(loop, [&](auto done) { runtime->start_container(container, done); });
      at[3] = now_ms();
      loop.run_until([&] { return exits.count > i; }, 10000);
      at[4] = now_ms();
      await<void>(loop, [&](auto done) { runtime->remove_sandbox(id, done); });
      at[5] = now_ms();
      double spans[] = {at[1] - at[0], at[2] - at[1], at[3] - at[2],
                        at[3] - at[0], at[4] - at[3], at[5] - at[4]};
      for (int k = 0; k < 6; k++) series[k].ms.push_back(spans[k]);
    }
    for (Series& s : series) s.print();
    runtime.reset();
    Cgroups::of_this_machine(options.cgroup_root).remove_all();
  }
  return remove_tree(root).ok() ? 0 : 1;
}
