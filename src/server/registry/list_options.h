// The query of a LIST or WATCH, checked: selectors, resourceVersion and its match, paging tokens.
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/resource.h"
#include "api/selector.h"
#include "knarr/object.h"
#include "knarr/result.h"
#include "server/cache/cache.h"

namespace knarr::server {

// As they came in the query string.
struct RawListQuery {
  std::string label_selector;
  std::string field_selector;
  std::string resource_version;
  std::string resource_version_match;
  std::string continue_token;
  int64_t limit = 0;
  bool watch = false;
  bool allow_bookmarks = false;
  std::optional<bool> send_initial_events;
  int64_t timeout_seconds = 0;
};

struct ListQuery {
  api::LabelSelector labels;
  api::FieldSelector fields;
  kv::Revision revision = 0;    // asked for; 0: any
  bool revision_given = false;  // "" and "0" differ for watches
  bool exact = false;           // resourceVersionMatch=Exact
  bool not_older = false;
  std::optional<NamespacedName> after;  // from the token
  kv::Revision page_revision = 0;  // from the token: the revision the list began at; -1: newest
  int64_t limit = 0;
  bool bookmarks = false;
  std::optional<bool> send_initial_events;
  int64_t timeout_seconds = 0;

  // Null when there is nothing to select by.
  Predicate predicate() const;
};

Result<ListQuery> parse_list_query(const api::ResourceInfo& resource, const RawListQuery& raw);

struct ListPage {
  kv::Revision revision = 0;
  std::vector<ObjectRef> items;
  std::string continue_token;
  std::optional<int64_t> remaining;
};

// The revision in a token that goes on in whatever state is the newest then.
inline constexpr kv::Revision kInconsistent = -1;

std::string continue_token(kv::Revision revision, const NamespacedName& last);

}  // namespace knarr::server
