#include "agent/volumes/volume.h"

namespace knarr::agent {

namespace {

struct Type {
  const char* key;  // of spec.volumes[]
  std::unique_ptr<Volume> (*make)(VolumeContext);
};

constexpr Type kTypes[] = {
    {"emptyDir", make_empty_dir},          {"hostPath", make_host_path},
    {"configMap", make_projected},         {"secret", make_projected},
    {"downwardAPI", make_projected},       {"projected", make_projected},
    {"persistentVolumeClaim", make_claim}, {"ephemeral", make_claim},
};

}  // namespace

std::unique_ptr<Volume> make_volume(VolumeContext context) {
  for (const Type& type : kTypes) {
    if (context.spec().has(type.key)) return type.make(std::move(context));
  }
  return nullptr;
}

const json::Value& VolumeContext::spec() const {
  for (const json::Value& v : pod->spec()["volumes"].elements()) {
    if (v["name"].as_string() == name) return v;
  }
  return pod->spec()["none"];
}

Ownership VolumeContext::ownership(bool read_only) const {
  return {pod->spec()["securityContext"]["fsGroup"].as_int(-1), read_only};
}

}  // namespace knarr::agent
