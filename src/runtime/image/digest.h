// Content is named by its SHA-256: "sha256:" and 64 lower-case hex digits. Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "knarr/result.h"

namespace knarr::runtime {

// Whether the text is a digest this store can verify.
bool is_digest(std::string_view text);
// The 64 digits of a digest.
std::string_view digest_hex(std::string_view digest);
std::string digest_of(std::string_view bytes);
// OCI image spec, "Layer ChainID": of the parent chain ("" for the first layer) and a diff id.
std::string chain_id(std::string_view parent, std::string_view diff_id);

class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  void update(std::string_view bytes);
  std::string digest() const;  // of the bytes so far

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace knarr::runtime
