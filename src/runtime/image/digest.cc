#include "runtime/image/digest.h"

#include <openssl/evp.h>

#include <algorithm>

#include "knarr/check.h"

namespace knarr::runtime {

namespace {

constexpr std::string_view kPrefix = "sha256:";

std::string hex_digest(EVP_MD_CTX* context) {
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  CHECK(EVP_DigestFinal_ex(context, raw, &length) == 1);
  std::string out(kPrefix);
  for (unsigned i = 0; i < length; ++i) {
    out += "0123456789abcdef"[raw[i] >> 4];
    out += "0123456789abcdef"[raw[i] & 15];
  }
  return out;
}

}  // namespace

struct Hasher::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) {
  CHECK(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::update(std::string_view bytes) {
  CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

std::string Hasher::digest() const {
  State copy;
  CHECK(EVP_MD_CTX_copy_ex(copy.context, state_->context) == 1);
  return hex_digest(copy.context);
}

bool is_digest(std::string_view text) {
  return text.size() == kPrefix.size() + 64 && text.starts_with(kPrefix) &&
         std::all_of(text.begin() + kPrefix.size(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string_view digest_hex(std::string_view digest) {
  CHECK(is_digest(digest));
  return digest.substr(kPrefix.size());
}

std::string digest_of(std::string_view bytes) {
  Hasher hasher;
  hasher.update(bytes);
  return hasher.digest();
}

std::string chain_id(std::string_view parent, std::string_view diff_id) {
  if (parent.empty()) return std::string(diff_id);
  return digest_of(std::string(parent) + " " + std::string(diff_id));
}

}  // namespace knarr::runtime
