// The parts of a pod's rules, one file each.
#pragma once

#include <map>

#include "api/validation/rules.h"

namespace knarr::api::rules {

using Volumes = std::map<std::string_view, const Value*>;

// The good ones, by name. `pod` is the metadata of a pod, null in templates.
Volumes pod_volumes(const Value& volumes, const Value& pod, const Path& path, ErrorList& errors);
void local_descending_path(std::string_view text, const Path& path, ErrorList& errors);

// What a downward API field may name; `volume`: in a file instead of a variable.
void object_field_selector(const Value& selector, bool volume, const Path& path, ErrorList& errors);
void resource_field_selector(const Value& selector, bool volume, const Path& path,
                             ErrorList& errors);
void environment(const Value& env, const Path& path, ErrorList& errors);
void environment_from(const Value& sources, const Path& path, ErrorList& errors);

void image_name(const Value& image, const Path& path, ErrorList& errors);
void pod_containers(const Value& spec, const Volumes& volumes, const Path& path, ErrorList& errors);
void ephemeral_containers(const Value& spec, const Volumes& volumes, const Path& path,
                          ErrorList& errors);
void probes_and_lifecycle(const Value& container, const Value& pod_spec, const Path& path,
                          ErrorList& errors);
void volume_mounts(const Value& container, const Volumes& volumes, const Path& path,
                   ErrorList& errors);
void volume_devices(const Value& container, const Volumes& volumes, const Path& path,
                    ErrorList& errors);
// What a pod declares as a whole, at `path`.
void whole_pod_resources(const Value& spec, const Path& path, ErrorList& errors);
// resources.claims, by the names that the pod gives to its claims.
void container_claims(const Value& claims, const Value& pod_claims, const Path& path,
                      ErrorList& errors);

void container_security(const Value& context, const Value& pod_spec, const Path& path,
                        ErrorList& errors);
// What depends on the operating system that the pod names.
void pod_system(const Value& spec, const Path& path, ErrorList& errors);
void pod_security(const Value& spec, const Path& path, ErrorList& errors);
void windows_options(const Value& options, const Path& path, ErrorList& errors);
void windows_host_process(const Value& spec, const Path& path, ErrorList& errors);

void affinity(const Value& affinity, const Path& path, ErrorList& errors);
void topology_spread(const Value& constraints, const Path& path, ErrorList& errors);

}  // namespace knarr::api::rules
