// Making the runtime, what it says about its objects, and images, which it leaves to the store.
#include "runtime/native_runtime.h"

#include <linux/capability.h>
#include <signal.h>

#include <utility>

#include "base/format.h"
#include "base/log.h"
#include "runtime/capabilities.h"
#include "runtime/image/reference.h"
#include "runtime/launch.h"
#include "runtime/native.h"

namespace knarr::runtime {

namespace {

constexpr int kThreads = 4;

void say_what_is_missing() {
  static bool said = false;  // a process may make many runtimes
  if ((bounding_capabilities() >> CAP_SYS_RESOURCE & 1) != 0 || std::exchange(said, true)) return;
  base::log(base::Level::kInfo, "runtime",
            "without CAP_SYS_RESOURCE oom_score_adj of containers can be raised only");
}

}  // namespace

std::unique_ptr<Runtime> make_native_runtime(base::Loop& loop, Random& random, ImageStore& images,
                                             SnapshotStore& snapshots, Puller& puller,
                                             NativeOptions options) {
  return std::make_unique<NativeRuntime>(loop, random, images, snapshots, puller,
                                         std::move(options));
}

NativeRuntime::NativeRuntime(base::Loop& loop, Random& random, ImageStore& images,
                             SnapshotStore& snapshots, Puller& puller, NativeOptions options)
    : loop_(loop),
      random_(random),
      images_(images),
      snapshots_(snapshots),
      puller_(puller),
      options_(std::move(options)),
      cgroups_(Cgroups::of_this_machine(options_.cgroup_root)),
      pool_(std::make_unique<WorkPool>(loop, kThreads)) {
  signal(SIGPIPE, SIG_IGN);  // the input of a process that has ended: pipes know no MSG_NOSIGNAL
  say_what_is_missing();
}

NativeRuntime::~NativeRuntime() {
  *alive_ = false;
  pool_.reset();
  for (auto& [id, sandbox] : sandboxes_) {
    if (sandbox.shim) sandbox.shim->close();
  }
}

std::string NativeRuntime::sandbox_folder(const std::string& id) const {
  return options_.state_dir + "/sandboxes/" + id;
}

std::string NativeRuntime::container_folder(const std::string& id) const {
  return options_.state_dir + "/containers/" + id;
}

std::string NativeRuntime::new_id() {
  std::string id;
  while (id.size() < 64) id += fmt::format("{:016x}", random_.next());
  return id;
}

NativeRuntime::Sandbox* NativeRuntime::find_sandbox(const std::string& id) {
  auto found = sandboxes_.find(id);
  return found == sandboxes_.end() ? nullptr : &found->second;
}

NativeRuntime::Container* NativeRuntime::find_container(const std::string& id) {
  auto found = containers_.find(id);
  return found == containers_.end() ? nullptr : &found->second;
}

std::shared_ptr<ShimClient> NativeRuntime::shim_of(const Container& container) {
  Sandbox* sandbox = find_sandbox(container.record.sandbox_id);
  return sandbox != nullptr && sandbox->ready() ? sandbox->shim : nullptr;
}

SandboxStatus NativeRuntime::status(const Sandbox& sandbox) const {
  SandboxStatus out;
  out.id = sandbox.record.id;
  out.config = sandbox.record.config;
  out.ready = sandbox.ready();
  out.created_at_ns = sandbox.record.created_at_ns;
  if (out.ready && out.config.network != NamespaceMode::kNode) {
    out.netns = fmt::format("/proc/{}/ns/net", sandbox.pid);
  }
  return out;
}

// As the pod wrote it, the tag filled in; its digest by that name, if it has one.
void NativeRuntime::name_image(const ContainerConfig& config, ContainerStatus& status) const {
  status.image_ref = config.image_ref;
  Result<Reference> reference = parse_image(config.image_ref);
  ImageRef image = images_.find(config.image_id);
  if (!reference.ok() || image == nullptr) return;
  if (reference->digest.empty()) status.image_ref = reference->text();
  for (const std::string& digest : image->digests) {
    if (status.image_digest.empty() || digest.starts_with(reference->name() + "@")) {
      status.image_digest = digest;
    }
  }
}

ContainerStatus NativeRuntime::status(const Container& container) const {
  const ContainerConfig& config = container.record.config;
  const ContainerProgress& progress = container.progress;
  ContainerStatus out;
  out.id = container.record.id;
  out.sandbox_id = container.record.sandbox_id;
  out.name = config.name;
  out.attempt = config.attempt;
  out.state = progress.state;
  out.pid = progress.state == ContainerState::kRunning ? progress.pid : 0;
  out.created_at_ns = container.record.created_at_ns;
  out.started_at_ns = progress.error.empty() ? progress.started_at_ns : 0;
  out.finished_at_ns = progress.finished_at_ns;
  out.exit_code = progress.exit_code;
  out.image_id = config.image_id;
  name_image(config, out);
  out.log_path = config.log_path;
  out.resources = config.resources;
  out.labels = config.labels;
  out.annotations = config.annotations;
  if (progress.state != ContainerState::kExited) return out;
  if (!progress.error.empty()) {
    out.reason = "StartError";
    out.message = start_error_text(progress.error);
  } else if (progress.oom_killed) {
    out.reason = "OOMKilled";
  } else {
    out.reason = progress.exit_code == 0 ? "Completed" : "Error";
  }
  return out;
}

Inventory NativeRuntime::inventory() const {
  Inventory out;
  for (const auto& [id, sandbox] : sandboxes_) out.sandboxes.push_back(status(sandbox));
  for (const auto& [id, container] : containers_) out.containers.push_back(status(container));
  return out;
}

void NativeRuntime::pull_image(const std::string& ref, std::vector<RegistryAuth> auths,
                               Callback<std::string> done) {
  puller_.pull(ref, std::move(auths), [done = std::move(done)](const Result<ImageRef>& image) {
    if (!image.ok()) return done(image.error());
    done((*image)->id);
  });
}

void NativeRuntime::image_status(const std::string& ref, Callback<ImageSpec> done) {
  ImageRef image = images_.find(ref);
  if (image != nullptr) return done(image->spec());
  if (auto named = apply_default_tag(ref); !named.ok()) {
    return done(make_error(Code::kInvalid, named.error().message));
  }
  done(make_error(Code::kNotFound, fmt::format("image \"{}\" not found", ref)));
}

void NativeRuntime::list_images(Callback<std::vector<ImageSpec>> done) {
  std::vector<ImageSpec> specs;
  for (const ImageRef& image : images_.list()) specs.push_back(image->spec());
  done(std::move(specs));
}

void NativeRuntime::remove_image(const std::string& ref, Callback<void> done) {
  images_.remove(ref, std::move(done));
}

void NativeRuntime::image_usage(Callback<FilesystemUsage> done) { images_.usage(std::move(done)); }

}  // namespace knarr::runtime
