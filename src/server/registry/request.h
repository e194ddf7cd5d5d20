// What a caller asks of the registry, whoever it is: the HTTP front, or a client in this process.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/codec/decode.h"
#include "api/resource.h"
#include "knarr/client.h"
#include "knarr/object.h"
#include "knarr/result.h"
#include "server/auth/auth.h"

namespace knarr::server {

struct Request {
  const api::ResourceInfo* resource = nullptr;
  const api::Subresource* sub = nullptr;  // null: the object itself
  std::string ns;
  std::string name;
  UserRef user;
  std::string user_agent;

  // Query parameters of writes.
  bool dry_run = false;
  std::string field_manager;
  bool force = false;
  std::optional<bool> force_given;
  api::FieldValidation validation = api::FieldValidation::kWarn;

  std::vector<std::string> warnings;  // for Warning headers, also of a refused request

  std::string_view subresource() const { return sub == nullptr ? std::string_view() : sub->name; }
};

using RequestPtr = std::shared_ptr<Request>;

struct Body {
  std::string bytes;
  api::Media media = api::Media::kJson;
};

// One of `object` (as stored) and `json` (a Status or another virtual object) is set.
struct Answer {
  int code = 200;
  ObjectRef object;
  std::string json;
};

using Done = std::function<void(Result<Answer>)>;

struct DeleteOptions {
  std::optional<int64_t> grace_period_seconds;
  std::optional<std::string> propagation;  // "Orphan", "Background", "Foreground"
  std::optional<bool> orphan_dependents;
  std::optional<std::string> uid;
  std::optional<std::string> resource_version;
  bool dry_run = false;
};

}  // namespace knarr::server
