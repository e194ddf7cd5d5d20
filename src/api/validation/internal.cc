#include "api/validation/internal.h"

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "api/codec/decode.h"

namespace knarr::api {
namespace {

// Words that Go spells in capitals at the start of a name.
constexpr std::string_view kInitials[] = {
    "api",  "aws",  "cel",  "cidr", "csi", "dns", "fc",    "fs",   "gce", "gid",
    "gmsa", "grpc", "http", "id",   "ip",  "iqn", "iscsi", "json", "nfs", "os",
    "qos",  "rbd",  "ssl",  "tcp",  "tls", "tty", "ttl",   "uid",  "uri", "url"};

struct Renamed {
  std::string_view served;
  std::string_view shown;
};
constexpr Renamed kRenamed[] = {{"caBundle", "CABundle"},
                                {"cephfs", "CephFS"},
                                {"chapAuthDiscovery", "DiscoveryCHAPAuth"},
                                {"chapAuthSession", "SessionCHAPAuth"},
                                {"cidrs", "CIDRs"},
                                {"diskURI", "DataDiskURI"},
                                {"endpoints", "EndpointsName"},
                                {"externalID", "DoNotUseExternalID"},
                                {"ips", "IPs"},
                                {"lastState", "LastTerminationState"},
                                {"pdName", "PDName"},
                                {"reportingComponent", "ReportingController"},
                                {"storageos", "StorageOS"},
                                {"wwids", "WWIDs"}};

// "apiGroup" -> "APIGroup", "podIP" -> "PodIP", "seLinuxOptions" -> "SELinuxOptions".
std::string go_name(std::string_view name) {
  for (const Renamed& one : kRenamed) {
    if (one.served == name) return std::string(one.shown);
  }
  if (name.substr(0, 3) == "seL") return "SE" + std::string(name.substr(2));
  size_t lower = 0;
  while (lower < name.size() && name[lower] >= 'a' && name[lower] <= 'z') lower++;
  std::string_view first = name.substr(0, lower);
  bool capitals =
      std::find(std::begin(kInitials), std::end(kInitials), first) != std::end(kInitials);
  std::string out(name);
  for (size_t i = 0; i < (capitals ? lower : 1); i++) {
    if (out[i] >= 'a' && out[i] <= 'z') out[i] = static_cast<char>(out[i] - 32);
  }
  return out;
}

json::Value unset(const Field& field) {
  if (field.is(Field::kPointer)) return {};
  switch (field.type->kind) {
    case TypeKind::kString:
    case TypeKind::kDuration: return "";
    case TypeKind::kQuantity: return "0";
    case TypeKind::kBool: return false;
    case TypeKind::kInt32:
    case TypeKind::kInt64:
    case TypeKind::kDouble:
    case TypeKind::kIntOrString: return 0;
    case TypeKind::kStruct: return internal_value(*field.type, json::Value::object());
    default: return {};
  }
}

json::Value sorted_map(const Type& type, const json::Value& value) {
  std::vector<std::pair<std::string_view, const json::Value*>> members;
  for (auto [key, member] : value.members()) members.emplace_back(key, &member);
  std::sort(members.begin(), members.end());
  json::Value out = json::Value::object();
  for (const auto& [key, member] : members) out.set(key, internal_value(*type.element, *member));
  return out;
}

constexpr std::string_view kPodSpec[] = {"Volumes",
                                         "InitContainers",
                                         "Containers",
                                         "EphemeralContainers",
                                         "RestartPolicy",
                                         "TerminationGracePeriodSeconds",
                                         "ActiveDeadlineSeconds",
                                         "DNSPolicy",
                                         "NodeSelector",
                                         "ServiceAccountName",
                                         "AutomountServiceAccountToken",
                                         "NodeName",
                                         "SecurityContext",
                                         "ImagePullSecrets",
                                         "Hostname",
                                         "Subdomain",
                                         "SetHostnameAsFQDN",
                                         "Affinity",
                                         "SchedulerName",
                                         "Tolerations",
                                         "HostAliases",
                                         "PriorityClassName",
                                         "Priority",
                                         "PreemptionPolicy",
                                         "DNSConfig",
                                         "ReadinessGates",
                                         "RuntimeClassName",
                                         "Overhead",
                                         "EnableServiceLinks",
                                         "TopologySpreadConstraints",
                                         "OS",
                                         "SchedulingGates",
                                         "ResourceClaims",
                                         "Resources",
                                         "HostnameOverride",
                                         "SchedulingGroup"};
constexpr std::string_view kPodSecurityContext[] = {"HostNetwork",
                                                    "HostPID",
                                                    "HostIPC",
                                                    "ShareProcessNamespace",
                                                    "HostUsers",
                                                    "SELinuxOptions",
                                                    "WindowsOptions",
                                                    "RunAsUser",
                                                    "RunAsGroup",
                                                    "RunAsNonRoot",
                                                    "SupplementalGroups",
                                                    "SupplementalGroupsPolicy",
                                                    "FSGroup",
                                                    "FSGroupChangePolicy",
                                                    "Sysctls",
                                                    "SeccompProfile",
                                                    "AppArmorProfile",
                                                    "SELinuxChangePolicy"};

json::Value ordered(json::Value& members, std::span<const std::string_view> order) {
  json::Value out = json::Value::object();
  for (std::string_view name : order) {
    if (json::Value* member = members.find(name)) out.set(name, std::move(*member));
  }
  return out;
}

// What pods share with their host stands in the security context there.
json::Value shown_pod_spec(json::Value members, const Type& type) {
  json::Value& context = members.member("SecurityContext");
  if (context.is_null()) {
    context = internal_value(*type.field("securityContext")->type, json::Value::object());
  }
  for (const char* name :
       {"HostNetwork", "HostPID", "HostIPC", "ShareProcessNamespace", "HostUsers"}) {
    context.set(name, members[name]);
  }
  context = ordered(context, kPodSecurityContext);
  return ordered(members, kPodSpec);
}

json::Value shown_struct(const Type& type, const json::Value& value) {
  bool served = type.group != nullptr && std::string_view(type.group) == "meta.k8s.io";
  if (served) {
    json::Value out = value;
    canonicalize(type, out);
    return out;
  }
  json::Value out = json::Value::object();
  for (const Field& field : type.fields()) {
    if (field.is(Field::kTypeMeta)) continue;
    const json::Value* member = value.find(field.name());
    bool there = member != nullptr && !member->is_null();
    json::Value shown = there ? internal_value(*field.type, *member) : unset(field);
    if (field.type == &object_meta_type()) {  // embedded
      for (auto [key, inner] : shown.members()) out.set(key, std::move(inner));
    } else {
      out.set(go_name(field.name()), std::move(shown));
    }
  }
  bool pod_spec = type.name != nullptr && std::string_view(type.name) == "PodSpec";
  return pod_spec ? shown_pod_spec(std::move(out), type) : out;
}

}  // namespace

json::Value internal_value(const Type& type, const json::Value& value) {
  if (type.kind == TypeKind::kStruct) return shown_struct(type, value);
  if (type.kind == TypeKind::kMap) return sorted_map(type, value);
  if (type.kind != TypeKind::kList) return value;
  json::Value out = json::Value::array();
  for (const json::Value& element : value.elements()) {
    out.push_back(internal_value(*type.element, element));
  }
  return out;
}

json::Value internal_value(std::string_view group, std::string_view version, std::string_view name,
                           const json::Value& value) {
  const Type* type = find_type(group, version, name);
  return type == nullptr || value.is_null() ? value : internal_value(*type, value);
}

}  // namespace knarr::api
