// persistentVolumeClaim: follows the claim to its volume, and mounts what is a path of this node
// (hostPath, local).
#include "agent/volumes/volume.h"
#include "base/file.h"
#include "base/format.h"

namespace knarr::agent {

namespace {

class Claim final : public Volume {
 public:
  explicit Claim(VolumeContext context) : context_(std::move(context)) {}
  ~Claim() override { *alive_ = false; }

  void set_up(Callback<void> done) override {
    const json::Value& spec = context_.spec()["persistentVolumeClaim"];
    read_only_ = spec["readOnly"].as_bool();
    std::string name = spec["claimName"].text();
    get("persistentvolumeclaims", context_.pod->ns(), name,
        [this, name, done](Result<json::Value> claim) {
          if (!claim.ok()) return done(claim.error());
          std::string volume = (*claim)["spec"]["volumeName"].text();
          if ((*claim)["status"]["phase"].as_string() != "Bound" || volume.empty()) {
            return done(
                make_error(Code::kServiceUnavailable,
                           fmt::format("PVC {}/{} is not bound", context_.pod->ns(), name)));
          }
          get("persistentvolumes", "", volume, [this, volume, done](Result<json::Value> pv) {
            if (!pv.ok()) return done(pv.error());
            use(volume, *pv, done);
          });
        });
  }
  std::string path() const override { return path_; }
  bool read_only() const override { return read_only_; }

 private:
  void get(const char* resource, const std::string& ns, const std::string& name,
           Callback<json::Value> done) {
    client::Request request;
    request.target = {"", "v1", resource, ns, name, ""};
    std::weak_ptr<bool> alive = alive_;
    context_.client->call(std::move(request), [alive, done](Result<ObjectRef> reply) {
      if (alive.expired()) return;
      done(reply.ok() ? json::parse((*reply)->json) : Result<json::Value>(reply.error()));
    });
  }

  void use(const std::string& name, const json::Value& pv, Callback<void> done) {
    const json::Value& spec = pv["spec"];
    bool local = spec["local"].is_object();
    if (!local && !spec["hostPath"].is_object()) {
      return done(make_error(Code::kInvalid, "no volume plugin matched name: " + name));
    }
    const json::Value& source = spec[local ? "local" : "hostPath"];
    path_ = source["path"].text();
    context_.run([path = path_, type = source["type"].text(), local,
                  owner = context_.ownership(false)] { return check(path, type, local, owner); },
                 std::move(done));
  }

  static Result<void> check(const std::string& path, const std::string& type, bool local,
                            const Ownership& owner) {
    if (!local) {
      TRY(check_host_path(path, type));
    } else if (!base::file_exists(path)) {
      return make_error(Code::kNotFound, fmt::format("path \"{}\" does not exist", path));
    }
    // A host's folder stays its owner's; a local volume is the pod's.
    return local ? give_to_group(path, owner) : Result<void>();
  }

  VolumeContext context_;
  std::string path_;
  bool read_only_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

std::unique_ptr<Volume> make_claim(VolumeContext context) {
  return std::make_unique<Claim>(std::move(context));
}

}  // namespace knarr::agent
