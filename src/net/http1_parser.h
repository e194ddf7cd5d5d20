// HTTP/1.1 messages off the wire, without I/O. Beast's parser does the reading; on top of it stand
// the checks that keep two parties from reading one message differently.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "knarr/result.h"
#include "net/headers.h"

namespace knarr::net {

class Http1Parser {
 public:
  enum class Role { kRequest, kResponse };

  struct Head {
    std::string method;
    std::string target;
    int status = 0;
    int version = 11;
    Headers headers;
    bool keep_alive = false;
    bool chunked = false;
    std::optional<uint64_t> content_length;
  };

  Http1Parser(Role role, size_t header_limit);
  ~Http1Parser();
  Http1Parser(const Http1Parser&) = delete;
  Http1Parser& operator=(const Http1Parser&) = delete;

  // Reads on; the number of bytes used. Stops after the head, after each part of the body, and
  // after the message; 0 means that more bytes are needed (what was not used must come again).
  // Trailer fields are dropped. Errors: kBadRequest, or kRequestEntityTooLarge when the head, a
  // chunk's header or the trailers pass the limit.
  Result<size_t> feed(std::string_view bytes, const std::function<void(std::string_view)>& on_body);
  bool head_done() const;
  bool done() const;
  Head& head();
  // A response: its request was a HEAD. Call before the first feed.
  void expect_no_body();
  // The connection ended: done() when the message was to end so, else an error.
  Result<void> end();
  void reset();  // for the next message

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace knarr::net
