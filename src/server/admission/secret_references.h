// Which secrets a pod may use: those that its service account lists, where the account says so.
#pragma once

#include <string>

#include "base/json.h"

namespace knarr::server {

// Whether `account` limits its pods.
bool limits_secrets(const json::Value& account);
// The first reference of `pod` that `account` does not allow, as a sentence; "" when there is none.
std::string forbidden_secret(const json::Value& account, const json::Value& pod);
// The same for what ephemeral containers refer to.
std::string forbidden_ephemeral_secret(const json::Value& account, const json::Value& pod);

}  // namespace knarr::server
