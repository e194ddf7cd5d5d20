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

  void set_up(Callback<void> done) override { done(make()); }
  std::string path() const override { return context_.folder; }

 private:
  Result<void> make() {
    const json::Value& spec = context_.spec()["emptyDir"];
    std::string_view medium = spec["medium"].as_string();
    if (medium == "Memory") {
      int64_t limit = api::quantity_or_zero(spec["sizeLimit"].as_string()).value();
      TRY(mount_tmpfs(context_.folder, limit));
    } else if (!medium.empty()) {
      return make_error(Code::kInvalid, "unknown storage medium \"" + std::string(medium) + "\"");
    } else if (chmod(context_.folder.c_str(), 0777) != 0) {
      return errno_error(errno, "chmod " + context_.folder);
    }
    return give_to_group(context_.folder, context_.ownership(false));
  }

  VolumeContext context_;
};

}  // namespace

std::unique_ptr<Volume> make_empty_dir(VolumeContext context) {
  return std::make_unique<EmptyDir>(std::move(context));
}

}  // namespace knarr::agent
