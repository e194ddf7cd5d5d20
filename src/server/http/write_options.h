// Query parameters of requests, read and checked. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/resource.h"
#include "net/url.h"
#include "server/http/node_proxy.h"
#include "server/registry/list_options.h"
#include "server/registry/request.h"

namespace knarr::server {

// dryRun, fieldValidation, fieldManager, force. kInvalid in upstream's words.
Result<void> read_write_options(const net::Query& query, std::string_view verb, Request& request);

// DeleteOptions given as parameters, as a JSON body; "" when there are none.
Result<std::string> delete_options_of(const net::Query& query);

Result<RawListQuery> raw_list_query(const net::Query& query, bool watch, std::string_view name);

std::optional<api::VerbBit> verb_bit(std::string_view verb, std::string_view method);

// The warning that every request to the resource is answered with; "" for most.
std::string_view deprecation_of(const api::ResourceInfo& resource);

bool is_node_subresource(const api::ResourceInfo& resource, const api::Subresource* sub);
NodeRequest::Kind node_kind(const api::ResourceInfo& resource, std::string_view subresource);
// "https:web:443" -> "web".
std::string proxied_name(std::string_view name);

}  // namespace knarr::server
