// One WATCH on the wire: events as lines of JSON, chunked, until the peer goes, the time is over,
// or the reader is too slow. Loop thread.
#pragma once

#include <memory>

#include "knarr/clock.h"
#include "server/http/reply.h"
#include "server/registry/registry.h"

namespace knarr::server {

// Takes the exchange over. Errors before the stream begins are answered as a Status.
void stream_watch(Registry& registry, Reply reply, const Request& request, const ListQuery& query,
                  int64_t timeout_ms);

}  // namespace knarr::server
