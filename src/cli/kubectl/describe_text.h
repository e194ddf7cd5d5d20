// The pieces that kubectl describe's pages are made of. Lines hold tabs; set_in_columns() lays a
// page out. Pure, but for the ages in events, which take the time as an argument.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace knarr::kubectl {

// "Labels:\ta=b\n\tc=d\n"; "<none>" when empty. `indent` before each line.
std::string describe_map(std::string_view title, const json::Value& map, std::string_view separator,
                         std::string_view indent = "");
// "Mon, 02 Jan 2006 15:04:05 +0000" of an RFC 3339 moment; "<unset>" of none.
std::string describe_time(std::string_view rfc3339);
// Name, namespace (unless cluster-scoped), labels and annotations.
std::string describe_metadata(const json::Value& object, bool times);
// The containers of a pod or template under a title, with their states when `statuses` is given.
std::string describe_containers(std::string_view title, const json::Value& containers,
                                const json::Value& statuses, std::string_view indent);
std::string describe_volumes(const json::Value& volumes, std::string_view indent);
std::string describe_tolerations(const json::Value& tolerations, std::string_view indent);
// "Pod Template:" and what follows.
std::string pod_template_lines(const json::Value& pod_template);
// The events of an object, oldest first.
std::string describe_events(const json::Value& events, int64_t now_us);
// Any value as lines of "Key Words:  value", nested ones indented, keys sorted.
std::string describe_tree(const json::Value& value, int level);

// The pages, without events.
std::string describe_pod(const json::Value& pod);
std::string describe_node(const json::Value& node, const json::Value& pods,
                          const json::Value& lease, int64_t now_us);
std::string describe_deployment(const json::Value& deployment, const json::Value& replica_sets);
std::string describe_service(const json::Value& service, const json::Value& slices);
std::string describe_any(const json::Value& object);

}  // namespace knarr::kubectl
