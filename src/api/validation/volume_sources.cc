#include "api/validation/volume_sources.h"

#include <algorithm>

namespace knarr::api::rules {

void need(const Value& source, std::initializer_list<const char*> members, const Path& path,
          ErrorList& errors) {
  for (const char* member : members) {
    const Value& value = source[member];
    bool missing = value.is_array() ? value.empty() : value.as_string().empty();
    if (missing) errors.required(path / member);
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

void csi_driver_name(const Value& name, const Path& path, ErrorList& errors) {
  std::string_view driver = name.as_string();
  if (driver.empty()) return errors.required(path);
  if (driver.size() > 63) errors.too_long(path, 63);
  std::string lower(driver);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  errors.invalid_all(path, driver, check_dns1123_subdomain(lower));
}

namespace {

void within(const Value& source, const char* member, int64_t low, std::string_view detail,
            const Path& path, ErrorList& errors) {
  int64_t value = source[member].as_int();
  if (value < low || value > 255) errors.invalid(path / member, value, detail);
}

constexpr std::string_view kPartition = "must be between 1 and 255, inclusive";
constexpr std::string_view kLun = "must be between 0 and 255, inclusive";

void secret_ref(const Value& source, std::initializer_list<const char*> members, const Path& path,
                ErrorList& errors) {
  if (!source["secretRef"].is_null())
    need(source["secretRef"], members, path / "secretRef", errors);
}

bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool all_alnum(std::string_view text, size_t size) {
  return text.size() == size && std::all_of(text.begin(), text.end(), is_alnum);
}

// "iqn.2006-01.com.example:target": a date, a name, a colon and anything but separators.
bool is_iqn(std::string_view name) {
  constexpr std::string_view kDate = "iqn.dddd-dd.";
  if (name.size() <= kDate.size()) return false;
  for (size_t i = 0; i < kDate.size(); i++) {
    bool digit = name[i] >= '0' && name[i] <= '9';
    bool wanted_digit = kDate[i] == 'd';
    if (wanted_digit ? !digit : name[i] != kDate[i]) return false;
  }
  std::string_view rest = name.substr(kDate.size());
  size_t colon = rest.find(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == rest.size()) return false;
  auto of_name = [](char c) { return is_alnum(c) || c == '-' || c == '.'; };
  auto of_rest = [](char c) {
    return std::string_view(",;*&$| \t\n\r\f\v").find(c) == std::string_view::npos;
  };
  return std::all_of(rest.begin(), rest.begin() + static_cast<long>(colon), of_name) &&
         std::all_of(rest.begin() + static_cast<long>(colon) + 1, rest.end(), of_rest);
}

enum class NameProblem { kNone, kPrefix, kFormat };

NameProblem initiator_problem(std::string_view name) {
  std::string_view prefix = name.substr(0, 3);
  bool good = false;
  if (prefix == "iqn") {
    good = is_iqn(name);
  } else if (prefix == "eui") {
    good = name.size() > 4 && all_alnum(name.substr(4), 16);
  } else if (prefix == "naa") {
    good = name.size() > 4 && all_alnum(name.substr(4), 32);
  } else {
    return NameProblem::kPrefix;
  }
  return good ? NameProblem::kNone : NameProblem::kFormat;
}

void initiator(const Value& value, std::string_view bad_prefix, const Path& path,
               ErrorList& errors) {
  NameProblem problem = initiator_problem(value.as_string());
  if (problem == NameProblem::kPrefix) errors.invalid(path, value, bad_prefix);
  if (problem == NameProblem::kFormat) errors.invalid(path, value, "must be valid format");
}

void iscsi(const Value& source, bool persistent, const Path& path, ErrorList& errors) {
  std::string_view bad_prefix =
      persistent ? "must be valid format" : "must be valid format starting with iqn, eui, or naa";
  need(source, {"targetPortal", "iqn"}, path, errors);
  if (!source["iqn"].as_string().empty()) {
    initiator(source["iqn"], bad_prefix, path / "iqn", errors);
  }
  within(source, "lun", 0, kLun, path, errors);
  bool authenticates = source["chapAuthDiscovery"].as_bool() || source["chapAuthSession"].as_bool();
  if (authenticates && source["secretRef"].is_null()) errors.required(path / "secretRef");
  if (persistent) secret_ref(source, {"name"}, path, errors);
  if (!source["initiatorName"].is_null()) {
    initiator(source["initiatorName"], bad_prefix, path / "initiatorname", errors);
  }
}

void storageos(const Value& source, bool persistent, const Path& path, ErrorList& errors) {
  if (source["volumeName"].as_string().empty()) {
    errors.required(path / "volumeName");
  } else {
    dns_label(source["volumeName"], path / "volumeName", errors);
  }
  if (!source["volumeNamespace"].as_string().empty()) {
    dns_label(source["volumeNamespace"], path / "volumeNamespace", errors);
  }
  if (persistent) {
    secret_ref(source, {"name", "namespace"}, path, errors);
  } else {
    secret_ref(source, {"name"}, path, errors);
  }
}

// "host:port" with one colon, or brackets around the host.
bool is_host_port(std::string_view text) {
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  std::string_view host = text.substr(0, colon);
  if (!host.empty() && host[0] == '[') return host.back() == ']';
  return host.find_first_of(":[]") == std::string_view::npos;
}

}  // namespace

void host_path_source(const Value& source, const Path& path, ErrorList& errors) {
  if (source["path"].as_string().empty()) return errors.required(path / "path");
  no_backsteps(source["path"].as_string(), path / "path", errors);
  maybe_one_of(source["type"],
               {"", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File",
                "FileOrCreate", "Socket"},
               path / "type", errors);
}

void disk_source(const Value& source, const Path& path, ErrorList& errors) {
  need(source, {"pdName"}, path, errors);
  within(source, "partition", 0, kPartition, path, errors);
}

void block_store_source(const Value& source, const Path& path, ErrorList& errors) {
  need(source, {"volumeID"}, path, errors);
  within(source, "partition", 0, kPartition, path, errors);
}

void nfs_source(const Value& source, const Path& path, ErrorList& errors) {
  need(source, {"server", "path"}, path, errors);
  std::string_view at = source["path"].as_string();
  if (at.empty() || at[0] != '/') errors.invalid(path / "path", at, "must be an absolute path");
}

void quobyte_source(const Value& source, const Path& path, ErrorList& errors) {
  constexpr std::string_view kPairs =
      "must be a host:port pair or multiple pairs separated by commas";
  std::string_view registry = source["registry"].as_string();
  if (registry.empty()) {
    errors.required(path / "registry", kPairs);
  } else if (source["tenant"].as_string().size() > 64) {
    errors.required(path / "tenant", "must be a UUID and may not exceed a length of 64 characters");
  } else {
    for (std::string_view rest = registry;;) {
      size_t comma = rest.find(',');
      if (!is_host_port(rest.substr(0, comma))) errors.invalid(path / "registry", registry, kPairs);
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  need(source, {"volume"}, path, errors);
}

void flocker_source(const Value& source, const Path& path, ErrorList& errors) {
  std::string_view name = source["datasetName"].as_string();
  bool named = !name.empty();
  bool numbered = !source["datasetUUID"].as_string().empty();
  if (!named && !numbered) {
    errors.required(path, "one of datasetName and datasetUUID is required");
  }
  if (named && numbered) {
    errors.invalid(path, "resource",
                   "datasetName and datasetUUID can not be specified simultaneously");
  }
  if (name.find('/') != std::string_view::npos) {
    errors.invalid(path / "datasetName", name, "must not contain '/'");
  }
}

void rbd_source(const Value& source, const Path& path, ErrorList& errors) {
  need(source, {"monitors", "image"}, path, errors);
}

void cephfs_source(const Value& source, const Path& path, ErrorList& errors) {
  if (source["monitors"].empty()) errors.required(path / "monitors");
}

void fc_source(const Value& source, const Path& path, ErrorList& errors) {
  const Value& names = source["targetWWNs"];
  bool ids = !source["wwids"].empty();
  if (names.empty() && !ids) {
    errors.required(path / "targetWWNs", "must specify either targetWWNs or wwids, but not both");
  }
  if (names.empty()) return;
  if (ids) {
    errors.invalid(path / "targetWWNs", names,
                   "targetWWNs and wwids can not be specified simultaneously");
  }
  if (source["lun"].is_null()) {
    errors.required(path / "lun", "lun is required if targetWWNs is specified");
  } else {
    within(source, "lun", 0, kLun, path, errors);
  }
}

void flex_source(const Value& source, const Path& path, ErrorList& errors) {
  need(source, {"driver"}, path, errors);
  for (auto [key, value] : source["options"].members()) {
    std::string ns = "." + std::string(key.substr(0, key.find('/')));
    for (char& c : ns) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    for (std::string_view end : {".kubernetes.io", ".k8s.io"}) {
      if (ns.size() >= end.size() && std::string_view(ns).substr(ns.size() - end.size()) == end) {
        errors.invalid((path / "options").key(key), key,
                       "kubernetes.io and k8s.io namespaces are reserved");
      }
    }
  }
}

void azure_file_source(const Value& source, const Path& path, ErrorList& errors) {
  need(source, {"secretName", "shareName"}, path, errors);
}

void persistent_azure_file_source(const Value& source, const Path& path, ErrorList& errors) {
  azure_file_source(source, path, errors);
  if (!source["secretNamespace"].is_null()) need(source, {"secretNamespace"}, path, errors);
}

void azure_disk_source(const Value& source, const Path& path, ErrorList& errors) {
  need(source, {"diskName", "diskURI"}, path, errors);
  maybe_one_of(source["cachingMode"], {"None", "ReadOnly", "ReadWrite"}, path / "cachingMode",
               errors);
  const Value& kind = source["kind"];
  maybe_one_of(kind, {"Dedicated", "Managed", "Shared"}, path / "kind", errors);
  if (kind.is_null()) return;
  std::string_view uri = source["diskURI"].as_string();
  bool managed = kind.as_string() == "Managed";
  if (managed && uri.substr(0, 15) != "/subscriptions/") {
    errors.not_supported(path / "diskURI", uri,
                         {"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/"
                          "microsoft.compute/disks/{disk-id}"});
  } else if (!managed && uri.substr(0, 8) != "https://") {
    errors.not_supported(
        path / "diskURI", uri,
        {"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"});
  }
}

void vsphere_source(const Value& source, const Path& path, ErrorList& errors) {
  need(source, {"volumePath"}, path, errors);
}

void photon_source(const Value& source, const Path& path, ErrorList& errors) {
  need(source, {"pdID"}, path, errors);
}

void portworx_source(const Value& source, const Path& path, ErrorList& errors) {
  need(source, {"volumeID"}, path, errors);
}

void scale_io_source(const Value& source, const Path& path, ErrorList& errors) {
  need(source, {"gateway", "system", "volumeName"}, path, errors);
}

void iscsi_source(const Value& source, const Path& path, ErrorList& errors) {
  iscsi(source, false, path, errors);
}
void persistent_iscsi_source(const Value& source, const Path& path, ErrorList& errors) {
  iscsi(source, true, path, errors);
}

void glusterfs_source(const Value& source, const Path& path, ErrorList& errors) {
  need(source, {"endpoints", "path"}, path, errors);
}

void persistent_glusterfs_source(const Value& source, const Path& path, ErrorList& errors) {
  glusterfs_source(source, path, errors);
  const Value& ns = source["endpointsNamespace"];
  if (ns.is_null()) return;
  if (ns.as_string().empty()) {
    errors.invalid(path / "endpointsNamespace", ns,
                   "if the endpointnamespace is set, it must be a valid namespace name");
  } else {
    dns_label(ns, path / "endpointsNamespace", errors);
  }
}

void cinder_source(const Value& source, const Path& path, ErrorList& errors) {
  need(source, {"volumeID"}, path, errors);
  secret_ref(source, {"name"}, path, errors);
}

void persistent_cinder_source(const Value& source, const Path& path, ErrorList& errors) {
  need(source, {"volumeID"}, path, errors);
  secret_ref(source, {"name", "namespace"}, path, errors);
}

void storageos_source(const Value& source, const Path& path, ErrorList& errors) {
  storageos(source, false, path, errors);
}
void persistent_storageos_source(const Value& source, const Path& path, ErrorList& errors) {
  storageos(source, true, path, errors);
}

}  // namespace knarr::api::rules
