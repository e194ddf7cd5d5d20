// persistentVolumeClaim, and ephemeral, whose claim was made for this pod alone: follows the claim
// to its volume, and mounts what is a path of this node (hostPath, local). A directory that
// was provisioned on this node is made here, for the first pod that is to have it.
#include <sys/stat.h>

#include "agent/volumes/local_folder.h"
#include "agent/volumes/local_root.h"
#include "agent/volumes/volume.h"
#include "api/view/volume.h"
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
    bool own = context_.spec().has("ephemeral");
    read_only_ = spec["readOnly"].as_bool();
    std::string name = own ? api::ephemeral_claim_name(context_.pod->name(), context_.spec())
                           : spec["claimName"].text();
    get("persistentvolumeclaims", context_.pod->ns(), name,
        [this, name, own, done](Result<json::Value> claim) {
          if (!claim.ok()) return done(claim.error());
          if (own && !made_for_pod(*claim)) {
            return done(make_error(
                Code::kInvalid,
                fmt::format("PVC {}/{} was not created for pod {}/{} (pod is "
                            "not owner)",
                            context_.pod->ns(), name, context_.pod->ns(), context_.pod->name())));
          }
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

  bool made_for_pod(const json::Value& claim) const {
    for (const json::Value& owner : claim["metadata"]["ownerReferences"].elements()) {
      if (owner["controller"].as_bool() && owner["uid"].as_string() == context_.pod->uid()) {
        return true;
      }
    }
    return false;
  }

  void use(const std::string& name, const json::Value& pv, Callback<void> done) {
    const json::Value& spec = pv["spec"];
    bool local = spec["local"].is_object();
    if (!local && !spec["hostPath"].is_object()) {
      return done(make_error(Code::kInvalid, "no volume plugin matched name: " + name));
    }
    const json::Value& source = spec[local ? "local" : "hostPath"];
    path_ = source["path"].text();
    bool if_root_differs =
        context_.pod->spec()["securityContext"]["fsGroupChangePolicy"].as_string() ==
        "OnRootMismatch";
    context_.run(
        [path = path_, type = source["type"].text(), local, owner = context_.ownership(false),
         if_root_differs, ours = is_local_folder(pv, context_.node->name),
         note = context_.node->local_roots_path]() -> Result<void> {
          if (ours) {
            TRY(check_local_root(note, path.substr(0, path.rfind('/'))));
            TRY(make_local_folder(path));
          }
          return check(path, type, local, owner, if_root_differs);
        },
        std::move(done));
  }

  static Result<void> check(const std::string& path, const std::string& type, bool local,
                            const Ownership& owner, bool if_root_differs) {
    // A host's folder stays its owner's; a local volume is the pod's.
    if (!local) return check_host_path(path, type);
    struct stat root;
    if (stat(path.c_str(), &root) != 0) {
      return make_error(Code::kNotFound, fmt::format("path \"{}\" does not exist", path));
    }
    if (owner.group < 0) return {};
    bool theirs =
        root.st_gid == owner.group && (root.st_mode & (S_ISGID | 0770)) == (S_ISGID | 0770);
    if (if_root_differs && theirs) return {};
    return give_tree_to_group(path, owner);
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
