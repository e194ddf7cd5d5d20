// emptyDir: a folder that lives as long as the pod, on the disk or in memory.
#include <sys/stat.h>

#include <cerrno>

#include "agent/volumes/mount_point.h"
#include "agent/volumes/volume.h"
#include "api/quantity.h"
#include "base/file.h"

namespace knarr::agent {

namespace {

class EmptyDir final : public Volume {
 public:
  explicit EmptyDir(VolumeContext context) : context_(std::move(context)) {}

  void set_up(Callback<void> done) override {
    const json::Value& spec = context_.spec()["emptyDir"];
    int64_t limit = api::quantity_or_zero(spec["sizeLimit"].as_string()).value();
    context_.run([folder = context_.folder, medium = spec["medium"].text(), limit,
                  owner = context_.ownership(false)] { return make(folder, medium, limit, owner); },
                 std::move(done));
  }
  std::string path() const override { return context_.folder; }

 private:
  static Result<void> make(const std::string& folder, const std::string& medium,
                           int64_t limit_bytes, const Ownership& owner) {
    TRY(base::make_dirs(folder));
    if (medium == "Memory") {
      TRY(mount_tmpfs(folder, limit_bytes));
    } else if (!medium.empty()) {
      return make_error(Code::kInvalid, "unknown storage medium \"" + medium + "\"");
    } else if (chmod(folder.c_str(), 0777) != 0) {
      return errno_error(errno, "chmod " + folder);
    }
    return give_to_group(folder, owner);
  }

  VolumeContext context_;
};

}  // namespace

std::unique_ptr<Volume> make_empty_dir(VolumeContext context) {
  return std::make_unique<EmptyDir>(std::move(context));
}

}  // namespace knarr::agent
