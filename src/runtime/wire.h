// Messages between knarr and a shim: a stream of frames on a unix socket,
//   u32 bytes of JSON, u32 bytes of blob, u32 descriptors   (host byte order: one machine)
// then the JSON and the blob. Descriptors ride on the frame's first byte (SCM_RIGHTS).
//
// JSON has "op", and "req" that the answer repeats; answers have "error" when it failed. What a
// shim says unasked has no "req". Either thread; the socket is the caller's.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/unique_fd.h"
#include "knarr/result.h"

namespace knarr::runtime {

struct Message {
  json::Value body = json::Value::object();
  std::string blob;
  std::vector<base::UniqueFd> fds;
};

std::string frame(const Message& message);

// Writes what the socket takes of `bytes` now, the descriptors with its first byte. Answers how
// much was taken; 0 when the socket is full.
Result<size_t> send_some(int socket, std::string_view bytes,
                         const std::vector<base::UniqueFd>& fds);

// The descriptor that came with one byte, without waiting for it; invalid when there is none.
base::UniqueFd receive_descriptor(int socket);

class MessageReader {
 public:
  // Reads what is there now. False: the other side is gone.
  Result<bool> fill(int socket);
  // For tests and fuzzing: as if these had been read.
  void feed(std::string_view bytes) { bytes_.append(bytes); }
  // The next whole message, if there is one. An error: the stream makes no sense.
  Result<bool> next(Message& message);

 private:
  std::string bytes_;
  std::deque<base::UniqueFd> fds_;
};

}  // namespace knarr::runtime
