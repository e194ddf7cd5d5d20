#include "net/bytes.h"

#include "knarr/check.h"

namespace knarr::net {

void Buffers::append(Slice slice) {
  if (slice.size() == 0) return;
  size_ += slice.size();
  slices_.push_back(std::move(slice));
}

void Buffers::append(Buffers other) {
  if (empty()) {
    *this = std::move(other);
    return;
  }
  for (size_t i = other.head_; i < other.slices_.size(); i++) append(std::move(other.slices_[i]));
}

void Buffers::consume(size_t bytes) {
  CHECK(bytes <= size_);
  size_ -= bytes;
  while (bytes > 0) {
    Slice& first = slices_[head_];
    if (bytes < first.size()) {
      first.remove_prefix(bytes);
      return;
    }
    bytes -= first.size();
    first = Slice::constant({});  // lets go of the bytes
    head_++;
  }
  if (size_ == 0) {
    slices_.clear();
    head_ = 0;
  } else if (head_ > 64 && head_ * 2 > slices_.size()) {
    slices_.erase(slices_.begin(), slices_.begin() + static_cast<ptrdiff_t>(head_));
    head_ = 0;
  }
}

Buffers Buffers::take(size_t at_most) {
  if (at_most >= size_) return std::exchange(*this, Buffers());
  Buffers out;
  for (const Slice& slice : *this) {
    if (out.size() == at_most) break;
    out.append(slice.prefix(at_most - out.size()));
  }
  consume(out.size());
  return out;
}

std::string Buffers::text() const {
  std::string out;
  out.reserve(size_);
  for (const Slice& slice : *this) out += slice.view();
  return out;
}

void Buffers::clear() { *this = Buffers(); }

}  // namespace knarr::net
