#include "node.h"

#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/format.h"
#include "runtime/cgroup.h"
#include "runtime/native_runtime.h"

namespace knarr::runtime {

namespace {

constexpr const char* kApplets[] = {
    "awk",      "sh",    "cat",     "echo",  "env",   "false", "grep",  "head", "hostname",
    "id",       "kill",  "ls",      "mkdir", "mknod", "mount", "nc",    "ps",   "pwd",
    "readlink", "seq",   "sleep",   "sort",  "stat",  "stty",  "touch", "tr",   "true",
    "tty",      "umask", "unshare", "wc",    "yes",   "chroot"};

std::string busybox_archive() {
  TarWriter tar;
  tar.directory("bin/").directory("etc/").directory("tmp/", 01777).directory("root/", 0700);
  TarWriter::Options program;
  program.mode = 0755;
  tar.file("bin/busybox", read_test_file("/bin/busybox"), program);
  for (const char* applet : kApplets) tar.symlink(std::string("bin/") + applet, "busybox");
  tar.file("bin/broken", "#!/nowhere\n", program);
  tar.file("bin/plain", "text");
  tar.symlink("etc/dangling", "../run/a/b");
  tar.symlink("escape", "/../../../../tmp");
  TarWriter::Options owned;
  owned.mode = 0640;
  owned.uid = 1000;
  tar.directory("data/", 0750).directory("data/sub/").file("data/sub/file", "declared\n", owned);
  tar.symlink("data/link", "sub/file");
  tar.file("etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/home/web:/bin/sh\n");
  tar.file("etc/group", "root:x:0:\nweb:x:1001:\nextra:x:1002:web\n");
  MadeImage image = make_image({tar.finish()}, gzip,
                               R"({"Env":["FROM=image","PATH=/bin"],"Volumes":{"/data":{}}})");
  return docker_archive(image, {"localhost/busybox:1"});
}

}  // namespace

TestNode::TestNode() : cgroup_root_(fmt::format("knarr-test-{}", getpid())) {
  images_ = std::make_unique<ImageStore>(loop, dir / "data");
  REQUIRE(await<void>([&](auto done) { images_->open(done); }).ok());
  write_test_file(dir / "busybox.tar", busybox_archive());
  auto imported =
      await<std::vector<ImageRef>>([&](auto done) { images_->import(dir / "busybox.tar", done); });
  REQUIRE(imported.ok());
  image_id = imported->front()->id;
  puller_ = std::make_unique<Puller>(loop, *images_, PullerOptions());
  start_runtime();
}

TestNode::~TestNode() {
  if (!runtime_) start_runtime();
  for (const std::string& id : std::set<std::string>(sandboxes_)) {
    (void)await<void>([&](auto done) { runtime_->remove_sandbox(id, done); }).ok();
  }
  runtime_.reset();
  Cgroups::of_this_machine(cgroup_root_).remove_all();
  puller_.reset();
  snapshots_.reset();
  images_.reset();
}

Inventory TestNode::start_runtime() {
  snapshots_ = std::make_unique<SnapshotStore>(*images_);
  NativeOptions options;
  options.state_dir = dir / "state";
  options.cgroup_root = cgroup_root_;
  options.executable = TEST_SHIM;
  options.seccomp_profile_dir = dir / "seccomp";
  runtime_ = make_native_runtime(loop, random_, *images_, *snapshots_, *puller_, options);
  runtime_->set_listener(this);
  auto inventory = await<Inventory>([&](auto done) { runtime_->list(done); });
  REQUIRE(inventory.ok());
  return *inventory;
}

std::string TestNode::sandbox(SandboxConfig config) {
  if (config.pod_uid.empty()) config.pod_uid = fmt::format("uid-{}", next_++);
  if (config.hostname.empty()) config.hostname = "pod-name";
  config.cgroup_parent = "burstable/pod" + config.pod_uid;
  auto made = await<SandboxStatus>([&](auto done) { runtime_->create_sandbox(config, done); });
  if (!made.ok()) FAIL(made.error().message);
  CHECK(made->ready);
  sandboxes_.insert(made->id);
  return made->id;
}

ContainerConfig TestNode::shell(const std::string& script) {
  ContainerConfig config;
  config.name = fmt::format("c{}", next_++);
  config.image_id = image_id;
  config.image_ref = "localhost/busybox:1";
  config.command = {"sh", "-c", script};
  config.log_path = dir / (config.name + ".log");
  return config;
}

Result<std::string> TestNode::create(const std::string& sandbox, ContainerConfig config) {
  return await<std::string>([&](auto done) { runtime_->create_container(sandbox, config, done); });
}

Result<ContainerStatus> TestNode::start(const std::string& id) {
  return await<ContainerStatus>([&](auto done) { runtime_->start_container(id, done); });
}

std::string TestNode::run(const std::string& sandbox, ContainerConfig config) {
  Result<std::string> id = create(sandbox, std::move(config));
  if (!id.ok()) FAIL(id.error().message);
  Result<ContainerStatus> started = start(*id);
  if (!started.ok()) FAIL(started.error().message);
  CHECK(started->state == ContainerState::kRunning);
  CHECK(started->pid > 0);
  return *id;
}

void TestNode::on_container_exit(const ContainerStatus& status) { exits.push_back(status); }

ContainerStatus TestNode::wait(const std::string& id) {
  const ContainerStatus* found = nullptr;
  bool came = loop.run_until(
      [&] {
        for (const ContainerStatus& status : exits) {
          if (status.id == id) found = &status;
        }
        return found != nullptr;
      },
      kPatience_ms);
  REQUIRE(came);
  return *found;
}

void TestNode::wait_for_output(const ContainerConfig& config, const std::string& text) {
  REQUIRE(loop.run_until(
      [&] {
        loop.defer([] {});
        return read_test_file(config.log_path).find(text) != std::string::npos;
      },
      kPatience_ms));
}

std::string TestNode::log(const std::string& id) {
  for (const ContainerStatus& status : exits) {
    if (status.id == id) {
      std::string out;
      std::string text = read_test_file(status.log_path);
      for (size_t at = 0; at < text.size();) {
        size_t end = text.find('\n', at);
        out += text.substr(at, end - at + 1).substr(31);
        at = end + 1;
      }
      return out;
    }
  }
  return "";
}

std::string TestNode::output(ContainerConfig config, SandboxConfig sandbox_config) {
  std::string pod = sandbox(std::move(sandbox_config));
  std::string id = run(pod, std::move(config));
  wait(id);
  std::string text;
  std::string lines = log(id);
  for (size_t at = 0; at < lines.size();) {
    size_t end = lines.find('\n', at);
    text += lines.substr(at, end - at + 1).substr(9);
    at = end + 1;
  }
  remove_sandbox(pod);
  return text;
}

void TestNode::stop_sandbox(const std::string& id) {
  REQUIRE(await<void>([&](auto done) { runtime_->stop_sandbox(id, done); }).ok());
}

void TestNode::remove_sandbox(const std::string& id) {
  auto removed = await<void>([&](auto done) { runtime_->remove_sandbox(id, done); });
  if (!removed.ok()) FAIL(removed.error().message);
  sandboxes_.erase(id);
}

Result<ExecResult> TestNode::exec(const std::string& id, std::vector<std::string> argv,
                                  int64_t timeout_ms) {
  return await<ExecResult>([&](auto done) { runtime_->exec_sync(id, argv, timeout_ms, done); });
}

}  // namespace knarr::runtime
