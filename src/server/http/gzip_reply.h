// Bodies on the wire: long ones are compressed for who accepts it, as upstream does from 128 kB on.
// What takes long to compress is sent piece by piece, a piece each turn of the loop, so that a list
// of everything holds up no other request. Loop thread.
#pragma once

#include "knarr/clock.h"
#include "net/http.h"

namespace knarr::server {

// `clock`: null compresses in one go.
void send_body(const net::ExchangePtr& exchange, int code, net::Headers headers, net::Buffers body,
               Clock* clock = nullptr);

}  // namespace knarr::server
