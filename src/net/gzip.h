// gzip of whole bodies, for answers whose client accepts it and for peers that send it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "knarr/result.h"
#include "net/bytes.h"
#include "net/headers.h"

namespace knarr::net {

// Whether Accept-Encoding allows gzip (q=0 forbids).
bool accepts_gzip(const Headers& request_headers);
std::string gzip(const Buffers& body, int level = 1);

// The same in pieces; what comes out, joined, is one gzip file.
class Gzip {
 public:
  explicit Gzip(int level = 1);
  ~Gzip();
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
  std::string add(const Buffers& piece, bool last);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// kBadRequest when damaged, kRequestEntityTooLarge past the limit.
Result<std::string> gunzip(std::string_view bytes, size_t limit_bytes);

}  // namespace knarr::net
