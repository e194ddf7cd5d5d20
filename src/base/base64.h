// Base64 (RFC 4648) in the three forms that Kubernetes and its neighbours use.
#pragma once

#include <string>
#include <string_view>

#include "knarr/result.h"

namespace knarr::base {

enum class Base64 {
  kStandard,     // '+' and '/', padded: bytes in JSON
  kStandardRaw,  // the same without padding
  kUrl,          // '-' and '_', no padding: JWTs, continue tokens
};

std::string base64_encode(std::string_view bytes, Base64 form = Base64::kStandard);

// Strict, but for line breaks, which are skipped, and for unused bits at the end, as Go's decoder
// has it. The error is kInvalid, "illegal base64 data at input byte N" with the N that Go says.
Result<std::string> base64_decode(std::string_view text, Base64 form = Base64::kStandard);

}  // namespace knarr::base
