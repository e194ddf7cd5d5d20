// hostPath: what the node has at a path, checked against the type that the pod expects.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "agent/volumes/volume.h"
#include "base/file.h"
#include "base/unique_fd.h"

namespace knarr::agent {

namespace {

class HostPath final : public Volume {
 public:
  explicit HostPath(VolumeContext context) : context_(std::move(context)) {}

  void set_up(Callback<void> done) override {
    std::string type = context_.spec()["hostPath"]["type"].text();
    context_.run([path = path(), type] { return check_host_path(path, type); }, std::move(done));
  }
  std::string path() const override { return context_.spec()["hostPath"]["path"].text(); }

 private:
  VolumeContext context_;
};

struct Kind {
  const char* type;
  mode_t mode;
  const char* noun;
};
constexpr Kind kKinds[] = {
    {"Directory", S_IFDIR, "directory"},
    {"DirectoryOrCreate", S_IFDIR, "directory"},
    {"File", S_IFREG, "file"},
    {"FileOrCreate", S_IFREG, "file"},
    {"Socket", S_IFSOCK, "socket file"},
    {"CharDevice", S_IFCHR, "character device"},
    {"BlockDevice", S_IFBLK, "block device"},
};

Result<void> create(const std::string& path, mode_t kind) {
  if (kind == S_IFDIR) return base::make_dirs(path);
  base::UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!fd.valid()) return errno_error(errno, "create " + path);
  return {};
}

}  // namespace

Result<void> check_host_path(const std::string& path, const std::string& type) {
  for (const Kind& kind : kKinds) {
    if (type != kind.type) continue;
    struct stat st;
    bool exists = stat(path.c_str(), &st) == 0;
    if (!exists && type.find("OrCreate") != std::string::npos) return create(path, kind.mode);
    if (!exists || (st.st_mode & S_IFMT) != kind.mode) {
      return make_error(Code::kInvalid,
                        "hostPath type check failed: " + path + " is not a " + kind.noun);
    }
    return {};
  }
  // No type: nothing is checked, and a container runtime makes a missing folder.
  if (type.empty() && !base::file_exists(path)) return base::make_dirs(path);
  return {};
}

std::unique_ptr<Volume> make_host_path(VolumeContext context) {
  return std::make_unique<HostPath>(std::move(context));
}

}  // namespace knarr::agent
