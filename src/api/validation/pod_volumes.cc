// Volumes of pods.
#include <set>

#include "api/validation/internal.h"
#include "api/validation/pod.h"
#include "api/validation/storage.h"
#include "api/validation/volume_sources.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

constexpr std::string_view kFileMode =
    "must be a number between 0 and 0777 (octal), both inclusive";

void file_mode(const Value& mode, const Path& path, ErrorList& errors) {
  if (!mode.is_null() && (mode.as_int() < 0 || mode.as_int() > 0777)) {
    errors.invalid(path, mode, kFileMode);
  }
}

// A path below the volume, whose first element may not look like ours ("..data").
void file_path(const Value& value, const Path& path, ErrorList& errors) {
  std::string_view text = value.as_string();
  local_descending_path(text, path, errors);
  if (text.substr(0, 2) == ".." && text.substr(0, 3) != "../") {
    errors.invalid(path, text, "must not start with '..'");
  }
}

void key_to_path(const Value& item, const Path& path, ErrorList& errors) {
  need(item, {"key", "path"}, path, errors);
  file_path(item["path"], path / "path", errors);
  file_mode(item["mode"], path / "mode", errors);
}

void key_to_paths(const Value& items, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const Value& item : items.elements()) key_to_path(item, path[i++], errors);
}

void downward_file(const Value& file, const Path& path, ErrorList& errors) {
  need(file, {"path"}, path, errors);
  file_path(file["path"], path / "path", errors);
  if (!file["fieldRef"].is_null()) {
    object_field_selector(file["fieldRef"], true, path / "fieldRef", errors);
    if (!file["resourceFieldRef"].is_null()) {
      errors.invalid(path, "resource",
                     "fieldRef and resourceFieldRef can not be specified simultaneously");
    }
  } else if (!file["resourceFieldRef"].is_null()) {
    resource_field_selector(file["resourceFieldRef"], true, path / "resourceFieldRef", errors);
  } else {
    errors.required(path, "one of fieldRef and resourceFieldRef is required");
  }
  file_mode(file["mode"], path / "mode", errors);
}

void empty_dir(const Value& source, const Path& path, ErrorList& errors) {
  const Value& limit = source["sizeLimit"];
  if (limit.is_null()) return;
  if (quantity_or_zero(limit.as_string()).sign() < 0) {
    errors.forbidden(path / "sizeLimit", "SizeLimit field must be a valid resource quantity");
  }
}

void secret(const Value& source, const Path& path, ErrorList& errors) {
  if (source["secretName"].as_string().empty()) errors.required(path / "secretName");
  file_mode(source["defaultMode"], path / "defaultMode", errors);
  key_to_paths(source["items"], path / "items", errors);
}

void config_map(const Value& source, const Path& path, ErrorList& errors) {
  if (source["name"].as_string().empty()) errors.required(path / "name");
  file_mode(source["defaultMode"], path / "defaultMode", errors);
  key_to_paths(source["items"], path / "items", errors);
}

void git_repo(const Value& source, const Path& path, ErrorList& errors) {
  need(source, {"repository"}, path, errors);
  local_descending_path(source["directory"].as_string(), path / "directory", errors);
}

void claim(const Value& source, const Path& path, ErrorList& errors) {
  if (source["claimName"].as_string().empty()) errors.required(path / "claimName");
}

void downward_api(const Value& source, const Path& path, ErrorList& errors) {
  file_mode(source["defaultMode"], path / "defaultMode", errors);
  for (const Value& file : source["items"].elements()) downward_file(file, path, errors);
}

// `at` is the source's place, `volume` the projected volume's: there the path is missed.
void token(const Value& source, const Path& at, const Path& volume, ErrorList& errors) {
  int64_t seconds = source["expirationSeconds"].as_int();
  Path path = at / "expirationSeconds";
  if (seconds < 600) {
    errors.invalid(path, seconds, "may not specify a duration less than 10 minutes");
  }
  if (seconds > (int64_t{1} << 32)) {
    errors.invalid(path, seconds, "may not specify a duration larger than 2^32 seconds");
  }
  if (source["path"].as_string().empty()) {
    errors.required(volume / "path");
  } else {
    file_path(source["path"], volume / "path", errors);
  }
}

// The files that a projected volume's sources make: each path once.
class Projection {
 public:
  Projection(const Path& path, ErrorList& errors) : path_(path), errors_(errors) {}

  void add(const Value& one, const Path& at) {
    int count = 0;
    for (const char* member : {"secret", "configMap"}) {
      const Value& source = one[member];
      if (source.is_null()) continue;
      count++;
      need(source, {"name"}, at / member, errors_);
      size_t i = 0;
      for (const Value& item : source["items"].elements()) {
        key_to_path(item, (at / member / "items")[i++], errors_);
        take(item["path"].as_string(), source["name"].as_string());
      }
    }
    const Value& downward = one["downwardAPI"];
    if (!downward.is_null()) {
      count++;
      for (const Value& file : downward["items"].elements()) {
        downward_file(file, at / "downwardAPI", errors_);
        take(file["path"].as_string(), file["path"].as_string());
      }
    }
    if (!one["serviceAccountToken"].is_null()) {
      count++;
      token(one["serviceAccountToken"], at / "serviceAccountToken", path_, errors_);
    }
    if (!one["clusterTrustBundle"].is_null()) {
      count++;
      bundle(one["clusterTrustBundle"], at / "clusterTrustBundle");
    }
    if (!one["podCertificate"].is_null()) {
      count++;
      certificate(one["podCertificate"], at / "podCertificate");
    }
    if (count > 1) errors_.forbidden(at, "may not specify more than 1 volume type per source");
  }

 private:
  void take(std::string_view file, std::string_view shown) {
    if (file.empty() || paths_.insert(file).second) return;
    errors_.invalid(path_, shown, "conflicting duplicate paths");
  }

  void bundle(const Value& source, const Path& at) {
    const Value& name = source["name"];
    const Value& signer = source["signerName"];
    if (!name.is_null() && !signer.is_null()) {
      errors_.invalid(at, internal_value("", "v1", "ClusterTrustBundleProjection", source),
                      "only one of name and signerName may be used");
    } else if (!name.is_null()) {
      if (name.as_string().empty()) errors_.required(at / "name", "must be a valid object name");
      if (!source["labelSelector"].is_null()) {
        errors_.invalid(at / "labelSelector", source["labelSelector"],
                        "labelSelector must be unset if name is specified");
      }
    } else if (!signer.is_null()) {
      if (signer.as_string().empty()) {
        errors_.required(at / "signerName", "must be a valid signer name");
      }
      signer_name(signer, at / "signerName", errors_);
      label_selector(source["labelSelector"], at / "labelSelector", errors_);
    } else {
      errors_.required(at, "either name or signerName must be specified");
    }
    need(source, {"path"}, at, errors_);
    file_path(source["path"], at / "path", errors_);
    take(source["path"].as_string(), source["path"].as_string());
  }

  void certificate(const Value& source, const Path& at) {
    signer_name(source["signerName"], at / "signerName", errors_);
    std::string_view type = source["keyType"].as_string();
    if (!contains({"RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"}, type)) {
      errors_.not_supported(
          at / "keyType", type,
          {"RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"});
    }
    const Value& seconds = source["maxExpirationSeconds"];
    if (!seconds.is_null() && seconds.as_int() < 3600) {
      errors_.invalid(at / "maxExpirationSeconds", seconds,
                      "if provided, maxExpirationSeconds must be >= 3600");
    }
    int files = 0;
    for (const char* member : {"credentialBundlePath", "keyPath", "certificateChainPath"}) {
      std::string_view file = source[member].as_string();
      if (file.empty()) continue;
      files++;
      file_path(source[member], at / member, errors_);
      take(file, file);
    }
    if (files == 0) {
      errors_.required(
          at, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath");
    }
  }

  const Path& path_;
  ErrorList& errors_;
  std::set<std::string_view> paths_;
};

void projected(const Value& source, const Path& path, ErrorList& errors) {
  file_mode(source["defaultMode"], path / "defaultMode", errors);
  Projection projection(path, errors);
  size_t i = 0;
  for (const Value& one : source["sources"].elements()) {
    projection.add(one, (path / "sources")[i++]);
  }
}

void csi(const Value& source, const Path& path, ErrorList& errors) {
  csi_driver_name(source["driver"], path / "driver", errors);
  const Value& ref = source["nodePublishSecretRef"];
  if (ref.is_null()) return;
  if (ref["name"].as_string().empty()) {
    errors.required(path / "nodePublishSecretRef" / "name");
  } else {
    dns_subdomain(ref["name"], path / "name", errors);
  }
}

void image(const Value& source, const Path& path, ErrorList& errors) {
  one_of(source["pullPolicy"].is_null() ? Value("IfNotPresent") : source["pullPolicy"],
         {"Always", "IfNotPresent", "Never"}, path / "pullPolicy", errors);
}

void only_labels(const Value& metadata, const Path& path, ErrorList& errors) {
  validate_annotations(metadata["annotations"], path / "annotations", errors);
  validate_labels(metadata["labels"], path / "labels", errors);
  for (auto [key, value] : metadata.members()) {
    if (key == "annotations" || key == "labels" || value.is_null() || value.as_string("x").empty())
      continue;
    errors.forbidden(path / key, "cannot be set");
  }
}

void ephemeral(const Value& source, const Path& path, ErrorList& errors) {
  const Value& claim = source["volumeClaimTemplate"];
  Path at = path / "volumeClaimTemplate";
  if (claim.is_null()) return errors.required(at);
  only_labels(claim["metadata"], at / "metadata", errors);
  claim_spec(claim["spec"], at / "spec", errors);
}

// In the order in which upstream looks at them: the second one found is the wrong one.
constexpr VolumeSource kSources[] = {
    {"emptyDir", empty_dir},
    {"hostPath", host_path_source},
    {"gitRepo", git_repo},
    {"gcePersistentDisk", disk_source},
    {"awsElasticBlockStore", block_store_source},
    {"secret", secret},
    {"nfs", nfs_source},
    {"iscsi", iscsi_source},
    {"glusterfs", glusterfs_source},
    {"persistentVolumeClaim", claim},
    {"rbd", rbd_source},
    {"cinder", cinder_source},
    {"cephfs", cephfs_source},
    {"flocker", flocker_source},
    {"downwardAPI", downward_api},
    {"fc", fc_source},
    {"flexVolume", flex_source},
    {"configMap", config_map},
    {"azureFile", azure_file_source},
    {"quobyte", quobyte_source},
    {"vsphereVolume", vsphere_source},
    {"photonPersistentDisk", photon_source},
    {"portworxVolume", portworx_source},
    {"azureDisk", azure_disk_source},
    {"storageos", storageos_source},
    {"projected", projected},
    {"scaleIO", scale_io_source},
    {"csi", csi},
    {"ephemeral", ephemeral},
    {"image", image},
};

// What depends on the pod that has the volume; `pod` is null in templates.
void of_pod(const Value& volume, const Value& pod, const Path& path, ErrorList& errors) {
  if (pod.is_null()) return;
  const Value& image = volume["image"];
  if (!image.is_null() && image["reference"].as_string().empty()) {
    errors.required(path / "image" / "reference");
  }
  std::string_view owner = pod["name"].as_string();
  std::string_view name = volume["name"].as_string();
  if (volume["ephemeral"].is_null() || owner.empty() || name.empty()) return;
  std::string made = fmt::format("{}-{}", owner, name);
  for (const std::string& problem : check_dns1123_subdomain(made)) {
    errors.invalid(path / "name", name, fmt::format("PVC name {}: {}", go_quote(made), problem));
  }
}

void one_source(const Value& volume, const Path& path, ErrorList& errors) {
  int count = 0;
  for (const VolumeSource& source : kSources) {
    const Value& value = volume[source.member];
    if (value.is_null()) continue;
    if (count++ > 0) {
      errors.forbidden(path / source.member, "may not specify more than 1 volume type");
    } else {
      source.check(value, path / source.member, errors);
    }
  }
  if (count == 0) errors.required(path, "must specify a volume type");
}

void not_a_made_claim(const Value& volume, const Value& volumes, const Value& pod, const Path& path,
                      ErrorList& errors) {
  const Value& claim = volume["persistentVolumeClaim"];
  if (claim.is_null() || pod["name"].as_string().empty()) return;
  for (const Value& other : volumes.elements()) {
    if (other["ephemeral"].is_null()) continue;
    std::string made = fmt::format("{}-{}", pod["name"].as_string(), other["name"].as_string());
    if (claim["claimName"].as_string() == made) {
      errors.invalid(path / "persistentVolumeClaim" / "claimName", made,
                     "must not reference a PVC that gets created for an ephemeral volume");
    }
  }
}

}  // namespace

void local_descending_path(std::string_view text, const Path& path, ErrorList& errors) {
  if (!text.empty() && text[0] == '/') errors.invalid(path, text, "must be a relative path");
  no_backsteps(text, path, errors);
}

Volumes pod_volumes(const Value& volumes, const Value& pod, const Path& path, ErrorList& errors) {
  Volumes out;
  size_t i = 0;
  for (const Value& volume : volumes.elements()) {
    Path at = path[i++];
    ErrorList mine;
    one_source(volume, at, mine);
    of_pod(volume, pod, at, mine);
    std::string_view name = volume["name"].as_string();
    if (name.empty()) {
      mine.required(at / "name");
    } else {
      dns_label(volume["name"], at / "name", mine);
    }
    if (out.count(name) > 0) mine.duplicate(at / "name", name);
    if (mine.empty()) {
      out[name] = &volume;
    } else {
      errors.append(std::move(mine));
    }
    not_a_made_claim(volume, volumes, pod, at, errors);
  }
  return out;
}

}  // namespace knarr::api::rules
