#include "api/apply/scale_fields.h"

#include "api/apply/field_set.h"

namespace knarr::api {
namespace {

constexpr const char* kScaleVersion = "autoscaling/v1";

// Of spec.replicas alone.
FieldSet replicas() {
  FieldSet set;
  set.at("f:spec").at("f:replicas").member = true;
  return set;
}

bool owns_replicas(const FieldSet& set) {
  const FieldSet* spec = set.child("f:spec");
  const FieldSet* own = spec == nullptr ? nullptr : spec->child("f:replicas");
  return own != nullptr && own->member;
}

// Appliers are told apart without their version, others by all: what updates owned through another
// version than the Scale's is therefore never the same owner.
bool same_applier(const json::Value& a, const json::Value& b) {
  return a["operation"].as_string() == "Apply" && b["operation"].as_string() == "Apply" &&
         a["manager"] == b["manager"] && a["subresource"] == b["subresource"];
}

const json::Value* applier_in(const json::Value& entries, const json::Value& entry) {
  for (const json::Value& one : entries.elements()) {
    if (same_applier(one, entry)) return &one;
  }
  return nullptr;
}

json::Value with_set(json::Value entry, const FieldSet& set, std::string_view api_version) {
  entry.set("apiVersion", api_version);
  entry.set("fieldsV1", set.to_json());
  return entry;
}

}  // namespace

json::Value scale_entries(const json::Value& parent, std::string_view api_version) {
  json::Value out = json::Value::array();
  for (const json::Value& entry : parent.elements()) {
    if (entry["apiVersion"].as_string() != api_version) continue;
    if (!owns_replicas(FieldSet::from_json(entry["fieldsV1"]))) continue;
    out.push_back(with_set(entry, replicas(), kScaleVersion));
  }
  return out;
}

json::Value parent_entries(const json::Value& parent, const json::Value& scale,
                           std::string_view api_version) {
  json::Value out = json::Value::array();
  for (const json::Value& entry : parent.elements()) {
    if (entry["apiVersion"].as_string() != api_version) continue;
    FieldSet set = FieldSet::from_json(entry["fieldsV1"]);
    if (!owns_replicas(set) || applier_in(scale, entry) != nullptr) {
      out.push_back(entry);
      continue;
    }
    set.remove(replicas());
    if (!set.empty()) out.push_back(with_set(entry, set, api_version));
  }
  for (const json::Value& entry : scale.elements()) {
    if (!owns_replicas(FieldSet::from_json(entry["fieldsV1"]))) continue;
    const json::Value* before = applier_in(parent, entry);
    if (before != nullptr && owns_replicas(FieldSet::from_json((*before)["fieldsV1"]))) continue;
    json::Value own = with_set(entry, replicas(), api_version);
    if (before == nullptr) {
      own.erase("time");
    } else if (const json::Value* time = before->find("time")) {
      own.set("time", *time);
    }
    out.push_back(std::move(own));
  }
  return out;
}

}  // namespace knarr::api
