// The forms of objects that are made for who asks: PartialObjectMetadata and Table. What reply.h
// does not offer to all. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "api/table/table.h"
#include "server/http/reply.h"

namespace knarr::server {

// kNotAcceptable: a list was asked for as one object (is_list), or an object as a list.
Error wrong_form(std::string_view group, std::string_view kind, bool is_list);

// kBadRequest: Tables can't be had with this reply.include_object.
Result<void> check_include_object(const Reply& reply);

// A row's JSON with its object. `value` is the row's, whole; it is used up when objects are wanted.
json::Value table_row(const Reply& reply, const api::TableRow& row, json::Value value);

// reply.include_object must be a known one.
json::Value table_value(const Reply& reply, std::string_view group, std::string_view plural,
                        std::vector<json::Value> values, json::Value metadata, bool columns,
                        int64_t now_us);

}  // namespace knarr::server
