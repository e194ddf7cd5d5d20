// What a pod, as stored, refers to: the objects its node must read to run it. Pure.
#pragma once

#include <string_view>

#include "base/json.h"

namespace knarr::server {

// Mirror pods refer to nothing: a node could make them to read what it likes.
bool refers_to_secret(const json::Value& pod, std::string_view name);
bool refers_to_config_map(const json::Value& pod, std::string_view name);
bool refers_to_service_account(const json::Value& pod, std::string_view name);
bool refers_to_claim(const json::Value& pod, std::string_view name);
bool refers_to_resource_claim(const json::Value& pod, std::string_view name);

// Whether mounting a bound PersistentVolume takes this secret.
bool volume_refers_to_secret(const json::Value& volume, std::string_view ns, std::string_view name);

}  // namespace knarr::server
