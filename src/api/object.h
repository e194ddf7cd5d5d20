// knarr::Object from a decoded value: the canonical JSON once, and beside it what look-ups need.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "api/resource.h"
#include "base/json.h"
#include "knarr/object.h"

namespace knarr::api {

// `revision` becomes metadata.resourceVersion; 0 leaves it out. Values may be in any order.
ObjectRef make_object(const ResourceInfo& resource, const json::Value& value, int64_t revision);

// The same from JSON that is canonical already, as read from the store. Parses it once.
Result<ObjectRef> make_object_from_json(const ResourceInfo& resource, std::string_view json,
                                        int64_t revision);

// The same object at another revision, without parsing.
ObjectRef with_revision(const Object& object, int64_t revision);

// The paths that field selectors of a resource may use beyond metadata.name and
// metadata.namespace: {"spec.nodeName", ...}, sorted.
std::span<const std::string_view> selectable_fields(const ResourceInfo& resource);

}  // namespace knarr::api
