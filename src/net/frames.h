// Messages on a stream of bytes, each after its length in two bytes, the high one first: DNS over
// TCP (RFC 1035, 4.2.2), and the packets of a node's tunnel.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace knarr::net {

constexpr size_t kMostFramed = 65535;

// A message of at most that many bytes, behind what is there.
void append_frame(std::string& out, std::string_view message);

class FrameReader {
 public:
  void add(std::string_view bytes) { buffer_ += bytes; }
  // The next whole message, which stands until the reader is touched again; nullopt when there is
  // none yet.
  std::optional<std::string_view> next();
  void clear();

 private:
  std::string buffer_;
  size_t at_ = 0;
};

}  // namespace knarr::net
