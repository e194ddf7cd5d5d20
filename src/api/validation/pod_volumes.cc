// Volumes of pods. The sources that persistent volumes share are here too.
#include "api/validation/pod.h"
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

void no_backsteps(std::string_view text, const Path& path, ErrorList& errors) {
  std::string_view rest = text;
  for (;;) {
    size_t slash = rest.find('/');
    if (rest.substr(0, slash) == "..") {
      errors.invalid(path, text, "must not contain '..'");
      return;
    }
    if (slash == std::string_view::npos) return;
    rest.remove_prefix(slash + 1);
  }
}

// A path below the volume, whose first element may not look like ours ("..data").
void file_path(const Value& value, const Path& path, ErrorList& errors) {
  std::string_view text = value.as_string();
  if (text.empty()) {
    errors.required(path);
    return;
  }
  local_descending_path(text, path, errors);
  if (text.substr(0, 2) == ".." && text != ".." && text.substr(0, 3) != "../") {
    errors.invalid(path, text, "must not start with '..'");
  }
}

void key_to_paths(const Value& items, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const Value& item : items.elements()) {
    Path at = path[i++];
    if (item["key"].as_string().empty()) errors.required(at / "key");
    file_path(item["path"], at / "path", errors);
    file_mode(item["mode"], at / "mode", errors);
  }
}

void downward_file(const Value& file, const Path& path, ErrorList& errors) {
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

void host_path(const Value& source, const Path& path, ErrorList& errors) {
  if (source["path"].as_string().empty()) {
    errors.required(path / "path");
    return;
  }
  no_backsteps(source["path"].as_string(), path / "path", errors);
  maybe_one_of(source["type"],
               {"", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File",
                "FileOrCreate", "Socket"},
               path / "type", errors);
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

void nfs(const Value& source, const Path& path, ErrorList& errors) {
  if (source["server"].as_string().empty()) errors.required(path / "server");
  std::string_view at = source["path"].as_string();
  if (at.empty()) {
    errors.required(path / "path");
  } else if (at[0] != '/') {
    errors.invalid(path / "path", at, "must be an absolute path");
  }
}

void claim(const Value& source, const Path& path, ErrorList& errors) {
  if (source["claimName"].as_string().empty()) errors.required(path / "claimName");
}

void downward_api(const Value& source, const Path& path, ErrorList& errors) {
  file_mode(source["defaultMode"], path / "defaultMode", errors);
  for (const Value& file : source["items"].elements()) downward_file(file, path, errors);
}

void token(const Value& source, const Path& path, ErrorList& errors) {
  const Value& seconds = source["expirationSeconds"];
  if (!seconds.is_null() && seconds.as_int() < 600) {
    errors.invalid(path / "expirationSeconds", seconds,
                   "may not specify a duration less than 10 minutes");
  } else if (seconds.as_int() > (int64_t{1} << 32)) {
    errors.invalid(path / "expirationSeconds", seconds,
                   "may not specify a duration larger than 2^32 seconds");
  }
  if (source["path"].as_string().empty()) {
    errors.required(path / "path");
  } else {
    file_path(source["path"], path / "path", errors);
  }
}

void projected(const Value& source, const Path& path, ErrorList& errors) {
  file_mode(source["defaultMode"], path / "defaultMode", errors);
  size_t i = 0;
  for (const Value& one : source["sources"].elements()) {
    Path at = (path / "sources")[i++];
    int count = 0;
    auto next = [&](const char* member) -> const Value* {
      const Value& value = one[member];
      if (value.is_null()) return nullptr;
      if (count++ > 0) {
        errors.forbidden(at / member, "may not specify more than 1 volume type");
        return nullptr;
      }
      return &value;
    };
    if (const Value* value = next("secret")) {
      if ((*value)["name"].as_string().empty()) errors.required(at / "secret" / "name");
      key_to_paths((*value)["items"], at / "secret" / "items", errors);
    }
    if (const Value* value = next("configMap")) {
      if ((*value)["name"].as_string().empty()) errors.required(at / "configMap" / "name");
      key_to_paths((*value)["items"], at / "configMap" / "items", errors);
    }
    if (const Value* value = next("downwardAPI")) {
      for (const Value& file : (*value)["items"].elements()) {
        downward_file(file, at / "downwardAPI", errors);
      }
    }
    if (const Value* value = next("serviceAccountToken")) {
      token(*value, at / "serviceAccountToken", errors);
    }
    next("clusterTrustBundle");
    next("podCertificate");
  }
}

void csi(const Value& source, const Path& path, ErrorList& errors) {
  std::string_view driver = source["driver"].as_string();
  if (driver.empty()) {
    errors.required(path / "driver");
  } else if (driver.size() > 63) {
    errors.too_long(path / "driver", 63);
  } else {
    std::string lower(driver);
    for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    errors.invalid_all(path / "driver", driver, check_dns1123_subdomain(lower));
  }
}

void image(const Value& source, const Path& path, ErrorList& errors) {
  if (source["reference"].as_string().empty()) errors.required(path / "reference");
  maybe_one_of(source["pullPolicy"], {"Always", "IfNotPresent", "Never"}, path / "pullPolicy",
               errors);
}

void ephemeral(const Value& source, const Path& path, ErrorList& errors) {
  if (source["volumeClaimTemplate"].is_null()) errors.required(path / "volumeClaimTemplate");
}

struct Source {
  const char* member;
  void (*check)(const Value& source, const Path& path, ErrorList& errors);
};
// In the order in which upstream looks at them: the second one found is the wrong one.
constexpr Source kSources[] = {
    {"emptyDir", empty_dir},
    {"hostPath", host_path},
    {"gitRepo", nullptr},
    {"gcePersistentDisk", nullptr},
    {"awsElasticBlockStore", nullptr},
    {"secret", secret},
    {"nfs", nfs},
    {"iscsi", nullptr},
    {"glusterfs", nullptr},
    {"persistentVolumeClaim", claim},
    {"rbd", nullptr},
    {"cinder", nullptr},
    {"cephfs", nullptr},
    {"flocker", nullptr},
    {"downwardAPI", downward_api},
    {"fc", nullptr},
    {"configMap", config_map},
    {"azureFile", nullptr},
    {"quobyte", nullptr},
    {"vsphereVolume", nullptr},
    {"photonPersistentDisk", nullptr},
    {"portworxVolume", nullptr},
    {"azureDisk", nullptr},
    {"storageos", nullptr},
    {"projected", projected},
    {"scaleIO", nullptr},
    {"csi", csi},
    {"ephemeral", ephemeral},
    {"image", image},
    {"local", nullptr},
};

}  // namespace

void local_descending_path(std::string_view text, const Path& path, ErrorList& errors) {
  if (!text.empty() && text[0] == '/') errors.invalid(path, text, "must be a relative path");
  no_backsteps(text, path, errors);
}

int volume_sources(const Value& volume, const Path& path, ErrorList& errors) {
  int count = 0;
  for (const Source& source : kSources) {
    const Value& value = volume[source.member];
    if (value.is_null()) continue;
    if (count++ > 0) {
      errors.forbidden(path / source.member, "may not specify more than 1 volume type");
    } else if (source.check != nullptr) {
      source.check(value, path / source.member, errors);
    }
  }
  return count;
}

std::map<std::string_view, const Value*> pod_volumes(const Value& volumes, const Path& path,
                                                     ErrorList& errors) {
  std::map<std::string_view, const Value*> out;
  size_t i = 0;
  for (const Value& volume : volumes.elements()) {
    Path at = path[i++];
    ErrorList mine;
    if (volume_sources(volume, at, mine) == 0) mine.required(at, "must specify a volume type");
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
  }
  return out;
}

}  // namespace knarr::api::rules
