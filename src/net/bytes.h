// Bytes on their way out. A Slice shares its bytes with whoever else sends them, so that one watch
// event reaches a thousand connections without a copy; Buffers is a queue of slices.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace knarr::net {

class Slice {
 public:
  Slice(std::string bytes)  // NOLINT: implicit
      : Slice(std::make_shared<const std::string>(std::move(bytes))) {}
  Slice(std::shared_ptr<const std::string> bytes) : view_(*bytes) {  // NOLINT: implicit
    owner_ = std::move(bytes);
  }
  Slice(std::shared_ptr<const void> owner, std::string_view bytes)
      : owner_(std::move(owner)), view_(bytes) {}
  // Bytes that live forever.
  static Slice constant(std::string_view bytes) { return Slice(nullptr, bytes); }

  std::string_view view() const { return view_; }
  size_t size() const { return view_.size(); }
  Slice prefix(size_t n) const { return Slice(owner_, view_.substr(0, n)); }
  void remove_prefix(size_t n) { view_.remove_prefix(n); }

 private:
  std::shared_ptr<const void> owner_;
  std::string_view view_;
};

class Buffers {
 public:
  Buffers() = default;
  Buffers(std::string bytes) { append(Slice(std::move(bytes))); }                         // NOLINT
  Buffers(std::shared_ptr<const std::string> bytes) { append(Slice(std::move(bytes))); }  // NOLINT
  Buffers(Slice slice) { append(std::move(slice)); }                                      // NOLINT
  Buffers(const char* literal) { append(Slice::constant(literal)); }                      // NOLINT

  void append(Slice slice);
  void append(Buffers other);
  size_t size() const { return size_; }  // in bytes
  bool empty() const { return size_ == 0; }
  // The slices that are left, in order.
  const Slice* begin() const { return slices_.data() + head_; }
  const Slice* end() const { return slices_.data() + slices_.size(); }
  void consume(size_t bytes);    // drops that many from the front
  Buffers take(size_t at_most);  // cuts that many off the front, sharing
  std::string text() const;
  void clear();

 private:
  std::vector<Slice> slices_;
  size_t head_ = 0;
  size_t size_ = 0;
};

}  // namespace knarr::net
