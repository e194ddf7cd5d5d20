// Asks the knarr that runs on this machine, over its local socket (see agent/local_api.h).
#pragma once

#include <string>

#include "base/json.h"
#include "base/loop.h"
#include "knarr/result.h"
#include "net/client.h"

namespace knarr::cli {

class LocalClient {
 public:
  explicit LocalClient(const std::string& run_dir);
  // Blocks until the answer is there.
  Result<json::Value> call(const char* method, const std::string& path, const json::Value& body);

 private:
  std::string socket_;
  base::Loop loop_;
  net::Client client_;
};

}  // namespace knarr::cli
