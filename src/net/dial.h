// Outgoing TCP and unix connections; names are resolved off the loop. Loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/loop.h"
#include "base/unique_fd.h"
#include "knarr/result.h"
#include "net/stream.h"

namespace knarr::net {

// Destroying it cancels what it stands for; its callback is not called then.
class Pending {
 public:
  virtual ~Pending() = default;
};

// Addresses in the order of the resolver. Never answers from within the call.
std::unique_ptr<Pending> resolve(base::Loop& loop, const std::string& host,
                                 std::function<void(Result<std::vector<std::string>>)> done);

// Tries the addresses of the name one after the other. timeout_ms is for all of it.
std::unique_ptr<Pending> dial_tcp(base::Loop& loop, const std::string& host, uint16_t port,
                                  int64_t timeout_ms,
                                  std::function<void(Result<std::unique_ptr<ByteStream>>)> done);
std::unique_ptr<Pending> dial_unix(base::Loop& loop, const std::string& path, int64_t timeout_ms,
                                   std::function<void(Result<std::unique_ptr<ByteStream>>)> done);

struct DialTarget {
  std::string host;
  uint16_t port = 0;
  std::string route;  // ClientRequest::route
};
// Another way to connect, under dial_tcp's contract.
using Dialer = std::function<std::unique_ptr<Pending>(
    const DialTarget& target, int64_t timeout_ms,
    std::function<void(Result<std::unique_ptr<ByteStream>>)>)>;

// A connected stream socket as a ByteStream.
std::unique_ptr<ByteStream> adopt_fd(base::Loop& loop, base::UniqueFd fd);
// Two that are connected with each other.
Result<std::pair<std::unique_ptr<ByteStream>, std::unique_ptr<ByteStream>>> stream_pair(
    base::Loop& loop);

}  // namespace knarr::net
