// Bodies on the wire: long ones are compressed for who accepts it, as upstream does from 128 kB on.
// What takes long to compress or is long altogether is made and sent piece by piece, so that a list
// of everything holds up no other request and needs little memory. Loop thread.
#pragma once

#include <functional>

#include "knarr/clock.h"
#include "net/http.h"

namespace knarr::server {

// `clock`: null compresses in one go.
void send_body(const net::ExchangePtr& exchange, int code, net::Headers headers, net::Buffers body,
               Clock* clock = nullptr);

// The next bytes of a body, about so many; none: that was all.
using BodySource = std::function<net::Buffers(size_t about)>;

// Asks the source for more when the peer has taken what there was.
void send_body(const net::ExchangePtr& exchange, int code, net::Headers headers, BodySource source,
               Clock& clock);

}  // namespace knarr::server
