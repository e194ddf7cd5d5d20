// The resources a server offers: one row each, from the catalogue for the built-in ones, made from
// definitions for custom ones. What a row says is enough for routing, discovery, storage keys and
// the generic REST engine. Rows are immutable and the built-in ones live forever.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "api/schema/schema.h"

namespace knarr::api {

// Verbs as bits, in the order discovery lists them.
enum VerbBit : uint16_t {
  kVerbCreate = 1,
  kVerbDelete = 2,
  kVerbDeleteCollection = 4,
  kVerbGet = 8,
  kVerbList = 16,
  kVerbPatch = 32,
  kVerbUpdate = 64,
  kVerbWatch = 128,
};

// "create", "delete", ... of one bit.
std::string_view verb_name(VerbBit verb);
// Every verb, in discovery order.
std::span<const VerbBit> all_verbs();

struct Subresource {
  std::string_view name;   // "scale"
  std::string_view group;  // of its kind: "autoscaling"
  std::string_view version;
  std::string_view kind;  // "Scale"
  uint16_t verbs;
  const Type* type;  // null when the kind is not in the catalogue
  bool foreign;      // the kind belongs to another group-version: discovery names it
};

struct ResourceInfo {
  std::string_view group;  // "" is core
  std::string_view version;
  std::string_view plural;
  std::string_view singular;
  std::string_view kind;
  std::string_view list_kind;
  bool namespaced;
  bool preferred;       // the version is the preferred one of its group
  bool stored;          // false: virtual (reviews, bindings, metrics), no key prefix
  uint8_t group_order;  // among groups, in discovery
  uint16_t verbs;
  std::span<const std::string_view> short_names;
  std::span<const std::string_view> categories;
  std::span<const Subresource> subresources;
  std::string_view storage_version;  // "apps/v1"
  std::string_view storage_hash;     // storageVersionHash
  std::string_view key_prefix;       // "/registry/pods"
  const Type* type;

  bool can(VerbBit verb) const { return (verbs & verb) != 0; }
  // "v1", "apps/v1".
  std::string api_version() const;
  const Subresource* subresource(std::string_view name) const;
};

// Every built-in resource, sorted by group order, group, version (as in the catalogue), plural.
std::span<const ResourceInfo> builtin_resources();

// Null when there is none.
const ResourceInfo* find_resource(std::string_view group, std::string_view version,
                                  std::string_view plural);
const ResourceInfo* find_kind(std::string_view group, std::string_view version,
                              std::string_view kind);
// In its preferred version.
const ResourceInfo* find_resource_group(std::string_view group, std::string_view plural);
// By plural, singular or short name, first match in discovery order.
const ResourceInfo* find_short_name(std::string_view name);

// "apps/v1" -> {"apps", "v1"}; "v1" -> {"", "v1"}. False when it has two slashes.
bool split_api_version(std::string_view api_version, std::string_view& group,
                       std::string_view& version);

}  // namespace knarr::api
