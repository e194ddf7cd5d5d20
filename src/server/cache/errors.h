// What a reader of the cache is told whom it cannot serve, where others say the same.
#pragma once

#include "knarr/kv_store.h"
#include "knarr/result.h"

namespace knarr::server {

// A read that asks for a revision that has not been yet.
Error too_large_revision(kv::Revision asked, kv::Revision newest);

}  // namespace knarr::server
