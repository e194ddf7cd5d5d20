#include "api/openapi/parameters.h"

#include <algorithm>
#include <array>

#include "api/openapi/describe.h"
#include "base/format.h"

namespace knarr::api {
namespace {

struct Row {
  std::string_view name;
  std::string_view type;
  std::string_view verbs;  // between commas
  std::string_view shared;
  std::string_view description;
};

constexpr std::string_view kLists = ",list,watch,deletecollection,";
constexpr std::string_view kReads = ",list,watch,";
constexpr std::string_view kWrites = ",create,update,patch,";
constexpr std::string_view kDeletes = ",delete,deletecollection,";

// Sorted by name. The names of shared parameters are those that upstream publishes: generators of
// clients use them.
constexpr std::array<Row, 19> kRows = {{
    {"allowWatchBookmarks", "boolean", kReads, "allowWatchBookmarks-HC2hJt-J",
     "Whether a watch may send events of the type BOOKMARK."},
    {"continue", "string", kLists, "continue-QfD61s0i",
     "The token of the page before, to list on from there."},
    {"dryRun", "string", ",create,update,patch,delete,deletecollection,", "",
     "\"All\": go through every step but the write."},
    {"fieldManager", "string", ",create,update,", "fieldManager-Qy4HdaTW",
     "Who owns the fields that this request writes."},
    {"fieldManager", "string", ",patch,", "fieldManager-7c6nTn1T",
     "Who owns the fields that this request writes; required of apply patches."},
    {"fieldSelector", "string", kLists, "fieldSelector-xIcQKXFG",
     "Only objects with these values of their fields."},
    {"fieldValidation", "string", kWrites, "",
     "What becomes of unknown and repeated fields: Ignore, Warn or Strict."},
    {"force", "boolean", ",patch,", "force-tOGGb0Yi",
     "Take fields from other managers; of apply patches."},
    {"gracePeriodSeconds", "integer", kDeletes, "gracePeriodSeconds--K5HaBOS",
     "How long the object has to end, in seconds; 0: at once."},
    {"ignoreStoreReadErrorWithClusterBreakingPotential", "boolean", kDeletes,
     "ignoreStoreReadErrorWithClusterBreakingPotential-QbNkfIqj",
     "Delete what cannot be read from the store. What it owns may be left behind."},
    {"labelSelector", "string", kLists, "labelSelector-5Zw57w4C",
     "Only objects with these labels."},
    {"limit", "integer", kLists, "limit-1NfNmdNH", "The most objects of one page."},
    {"orphanDependents", "boolean", kDeletes, "orphanDependents-uRB25kX5",
     "Deprecated: use propagationPolicy."},
    {"propagationPolicy", "string", kDeletes, "propagationPolicy-6jk3prlO",
     "What becomes of dependents: Orphan, Background or Foreground."},
    {"resourceVersion", "string", kLists, "resourceVersion-5WAnf1lx",
     "How fresh an answer has to be, or where a watch begins."},
    {"resourceVersionMatch", "string", kLists, "resourceVersionMatch-t8XhRHeC",
     "How resourceVersion is meant: Exact or NotOlderThan."},
    {"sendInitialEvents", "boolean", kLists, "sendInitialEvents-rLXlEK_k",
     "Whether a watch begins with what is there, and a bookmark after it."},
    {"shardSelector", "string", kLists, "", "Only objects of these shards."},
    {"timeoutSeconds", "integer", kLists, "timeoutSeconds-yvYezaOC",
     "After how many seconds the call ends."},
}};
constexpr Row kWatch = {"watch", "boolean", kReads, "watch-XNNPZGbK",
                        "Send changes as they happen, instead of a list."};

Parameter parameter(const Row& row) {
  return {row.name, "query", row.type, std::string(row.description), row.shared};
}

bool takes(const Row& row, std::string_view verb) {
  return row.verbs.find(fmt::format(",{},", verb)) != std::string_view::npos;
}

}  // namespace

Parameter path_parameter(std::string_view name, std::string_view kind) {
  if (name == "namespace") {
    return {name, "path", "string", "Namespace of the object.", "namespace-vgWSWtn3"};
  }
  if (name == "path") return {name, "path", "string", "The path to proxy to.", "path-QCf0eosM"};
  return {name, "path", "string", fmt::format("Name of the {}.", kind), ""};
}

Parameter pretty_parameter() {
  return {"pretty", "query", "string", "\"true\": indent the answer.", "pretty-tJGM1-ng"};
}

std::vector<Parameter> verb_parameters(std::string_view verb) {
  std::vector<Parameter> out;
  for (const Row& row : kRows) {
    if (takes(row, verb)) out.push_back(parameter(row));
  }
  if (takes(kWatch, verb)) out.push_back(parameter(kWatch));
  return out;
}

std::vector<Parameter> option_parameters(const Type& options) {
  std::vector<Parameter> out;
  for (const Field& field : options.fields()) {
    // "sinceTime" is not published: it has no plain type.
    if (field.is(Field::kTypeMeta) || field.type->kind == TypeKind::kTime) continue;
    std::string_view type = "string";
    if (field.type->kind == TypeKind::kBool) type = "boolean";
    if (field.type->kind == TypeKind::kInt32 || field.type->kind == TypeKind::kInt64 ||
        field.type->kind == TypeKind::kList) {
      type = "integer";
    }
    if (field.type->kind == TypeKind::kList && field.type->element->kind == TypeKind::kString) {
      type = "string";
    }
    out.push_back({field.name(), "query", type, describe_field(options, field), ""});
  }
  std::sort(out.begin(), out.end(),
            [](const Parameter& a, const Parameter& b) { return a.name < b.name; });
  return out;
}

std::vector<Parameter> shared_parameters() {
  std::vector<Parameter> out;
  for (const Row& row : kRows) {
    if (!row.shared.empty()) out.push_back(parameter(row));
  }
  out.push_back(parameter(kWatch));
  out.push_back(path_parameter("namespace", ""));
  out.push_back(path_parameter("path", ""));
  out.push_back(pretty_parameter());
  return out;
}

}  // namespace knarr::api
