// Text kept secret and whole on a disk: AES-256-GCM with a key that is made from another secret.
// Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "knarr/result.h"

namespace knarr::net {

class Seal {
 public:
  // The key comes from `secret` (a private key's PEM, say) and `purpose`, by HKDF with SHA-256.
  Seal(std::string_view secret, std::string_view purpose);

  // A random nonce, the encrypted text, and what proves both. `place` is proven with it: a sealed
  // text that is moved to another place does not open there.
  std::string close(std::string_view text, std::string_view place) const;
  // kInvalid: another key, another place, or not what close() gave.
  Result<std::string> open(std::string_view sealed, std::string_view place) const;

 private:
  std::string key_;
};

}  // namespace knarr::net
