#include "api/resource.h"

#include <algorithm>

namespace knarr::api {

namespace {

constexpr VerbBit kVerbs[] = {kVerbCreate, kVerbDelete, kVerbDeleteCollection, kVerbGet,
                              kVerbList,   kVerbPatch,  kVerbUpdate,           kVerbWatch};

}  // namespace

std::string_view verb_name(VerbBit verb) {
  switch (verb) {
    case kVerbCreate: return "create";
    case kVerbDelete: return "delete";
    case kVerbDeleteCollection: return "deletecollection";
    case kVerbGet: return "get";
    case kVerbList: return "list";
    case kVerbPatch: return "patch";
    case kVerbUpdate: return "update";
    case kVerbWatch: return "watch";
  }
  return "";
}

std::span<const VerbBit> all_verbs() { return kVerbs; }

std::string ResourceInfo::api_version() const {
  return group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
}

const Subresource* ResourceInfo::subresource(std::string_view wanted) const {
  for (const Subresource& s : subresources) {
    if (s.name == wanted) return &s;
  }
  return nullptr;
}

const ResourceInfo* find_resource(std::string_view group, std::string_view version,
                                  std::string_view plural) {
  for (const ResourceInfo& r : builtin_resources()) {
    if (r.plural == plural && r.group == group && r.version == version) return &r;
  }
  return nullptr;
}

const ResourceInfo* find_kind(std::string_view group, std::string_view version,
                              std::string_view kind) {
  for (const ResourceInfo& r : builtin_resources()) {
    if (r.kind == kind && r.group == group && r.version == version) return &r;
  }
  return nullptr;
}

const ResourceInfo* find_resource_group(std::string_view group, std::string_view plural) {
  for (const ResourceInfo& r : builtin_resources()) {
    if (r.plural == plural && r.group == group && r.preferred) return &r;
  }
  return nullptr;
}

const ResourceInfo* find_short_name(std::string_view name) {
  for (const ResourceInfo& r : builtin_resources()) {
    const auto& names = r.short_names;
    if (r.plural == name || (!name.empty() && r.singular == name) ||
        std::find(names.begin(), names.end(), name) != names.end()) {
      return &r;
    }
  }
  return nullptr;
}

bool split_api_version(std::string_view api_version, std::string_view& group,
                       std::string_view& version) {
  size_t slash = api_version.find('/');
  if (slash == std::string_view::npos) {
    group = {};
    version = api_version;
    return true;
  }
  group = api_version.substr(0, slash);
  version = api_version.substr(slash + 1);
  return version.find('/') == std::string_view::npos;
}

}  // namespace knarr::api
