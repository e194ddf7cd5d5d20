#include "api/openapi/names.h"

#include "base/format.h"

namespace knarr::api {

std::string definition_name(const Type& type) {
  std::string_view group = type.group == nullptr ? "" : type.group;
  if (group == "meta.k8s.io") return std::string(kMetaPackage) + type.name;
  std::string package;
  if (group == "apiextensions.k8s.io") {
    package = "apiextensions-apiserver.pkg.apis.apiextensions";
  } else if (group == "apiregistration.k8s.io") {
    package = "kube-aggregator.pkg.apis.apiregistration";
  } else {
    package = "api." + std::string(group.empty() ? "core" : group.substr(0, group.find('.')));
  }
  return fmt::format("io.k8s.{}.{}.{}", package, type.version, type.name);
}

std::string special_definition(const Type& owner, const Field& field, const Type& type) {
  std::string_view extensions = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.";
  std::string_view group = owner.group == nullptr ? "" : owner.group;
  switch (type.kind) {
    case TypeKind::kTime: return std::string(kMetaPackage) + "Time";
    case TypeKind::kMicroTime: return std::string(kMetaPackage) + "MicroTime";
    case TypeKind::kDuration: return std::string(kMetaPackage) + "Duration";
    case TypeKind::kQuantity: return "io.k8s.apimachinery.pkg.api.resource.Quantity";
    case TypeKind::kIntOrString: return "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
    case TypeKind::kSchemaOrArray: return std::string(extensions) + "JSONSchemaPropsOrArray";
    case TypeKind::kSchemaOrBool: return std::string(extensions) + "JSONSchemaPropsOrBool";
    case TypeKind::kSchemaOrStrings:
      return std::string(extensions) + "JSONSchemaPropsOrStringArray";
    case TypeKind::kAny:
      if (field.name() == "fieldsV1") return std::string(kMetaPackage) + "FieldsV1";
      if (group == "apiextensions.k8s.io") return std::string(extensions) + "JSON";
      return "io.k8s.apimachinery.pkg.runtime.RawExtension";
    default: return "";
  }
}

std::string group_version_path(std::string_view group, std::string_view version) {
  return group.empty() ? fmt::format("/api/{}", version)
                       : fmt::format("/apis/{}/{}", group, version);
}

std::string group_word(std::string_view group) {
  if (group.empty()) return "Core";
  constexpr std::string_view kSuffix = ".k8s.io";
  if (group.ends_with(kSuffix)) group.remove_suffix(kSuffix.size());
  std::string out;
  while (!group.empty()) {
    size_t dot = group.find('.');
    out += capitalised(group.substr(0, dot));
    if (dot == std::string_view::npos) break;
    group.remove_prefix(dot + 1);
  }
  return out;
}

std::string group_tag(std::string_view group) {
  std::string out = group_word(group);
  if (out[0] >= 'A' && out[0] <= 'Z') out[0] = static_cast<char>(out[0] + 32);
  return out;
}

std::string capitalised(std::string_view word) {
  std::string out(word);
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] - 32);
  return out;
}

}  // namespace knarr::api
