// The rules of metadata, common to all kinds.
#pragma once

#include "api/names.h"
#include "api/validation/errors.h"

namespace knarr::api {

// What is wrong with a name; `prefix`: it is a generateName.
using NameCheck = Problems (*)(std::string_view name, bool prefix);

Problems name_is_dns_subdomain(std::string_view name, bool prefix);
Problems name_is_dns_label(std::string_view name, bool prefix);
Problems name_is_dns1035_label(std::string_view name, bool prefix);
Problems name_is_path_segment(std::string_view name, bool prefix);
Problems name_is_anything(std::string_view name, bool prefix);

// `check` null: the name is only required. `more_of_name`: what else is wrong with the name, when
// there is one.
void validate_metadata(const json::Value& metadata, bool namespaced, NameCheck check,
                       const ErrorList& more_of_name, const Path& path, ErrorList& errors);
void validate_metadata_update(const json::Value& metadata, const json::Value& old, const Path& path,
                              ErrorList& errors);

// Built-in kinds ask more of a finalizer: a prefix, or a standard name.
void validate_kube_finalizers(const json::Value& finalizers, const Path& path, ErrorList& errors);

// Of ?fieldManager= and of metadata.managedFields.
void validate_field_manager(std::string_view manager, const Path& path, ErrorList& errors);

void validate_labels(const json::Value& labels, const Path& path, ErrorList& errors);
void validate_annotations(const json::Value& annotations, const Path& path, ErrorList& errors);

}  // namespace knarr::api
