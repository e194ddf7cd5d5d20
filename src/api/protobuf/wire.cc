#include "api/protobuf/wire.h"

#include <algorithm>

namespace knarr::api {

void WireBuffer::grow(size_t n) { bytes_.resize(std::max(2 * bytes_.size(), used_ + n)); }

}  // namespace knarr::api
