// JSON values, behind a small face: Boost.JSON does the work, its headers (0.6 s each) stay in
// json.cc. Objects keep the order of their members. Numbers are int64, uint64 or double, and stay
// what they were. Reading is forgiving (a missing member reads as null), so that walking an object
// needs no ladder of ifs; kind() tells where it matters.
//
// What is read from a value borrows from it. References and views into an object or array, to its
// members as to what they hold, end when a member or element is added to it or erased: sanitizer
// builds move the members at every addition, so that a use of what was held shows at once. Values
// that nobody named lend nothing to loops or pointers: that does not compile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "knarr/borrows.h"
#include "knarr/result.h"

namespace knarr::json {

enum class Kind { kNull, kBool, kInt, kUint, kDouble, kString, kArray, kObject };

class Members;
class Elements;
class Value;

struct Member {
  std::string_view key;
  Value& value;
};

class Value {
 public:
  Value() noexcept;                            // null
  Value(std::nullptr_t) noexcept : Value() {}  // NOLINT: implicit
  Value(bool b) noexcept;                      // NOLINT: implicit
  Value(int i) noexcept;                       // NOLINT: implicit
  Value(int64_t i) noexcept;                   // NOLINT: implicit
  Value(uint64_t u) noexcept;                  // NOLINT: implicit
  Value(double d) noexcept;                    // NOLINT: implicit
  Value(std::string_view s);                   // NOLINT: implicit
  Value(const char* s);                        // NOLINT: implicit
  Value(const std::string& s);                 // NOLINT: implicit
  static Value object(std::initializer_list<std::pair<std::string_view, Value>> members = {});
  static Value array(std::initializer_list<Value> elements = {});

  Value(const Value& other);
  Value(Value&& other) noexcept;
  Value& operator=(const Value& other);
  Value& operator=(Value&& other) noexcept;
  ~Value();

  Kind kind() const noexcept;
  bool is_null() const noexcept { return kind() == Kind::kNull; }
  bool is_bool() const noexcept { return kind() == Kind::kBool; }
  bool is_string() const noexcept { return kind() == Kind::kString; }
  bool is_array() const noexcept { return kind() == Kind::kArray; }
  bool is_object() const noexcept { return kind() == Kind::kObject; }
  bool is_integer() const noexcept { return kind() == Kind::kInt || kind() == Kind::kUint; }
  bool is_number() const noexcept { return is_integer() || kind() == Kind::kDouble; }

  // The fallback when the value is of another kind. as_int saturates and truncates.
  bool as_bool(bool fallback = false) const noexcept;
  int64_t as_int(int64_t fallback = 0) const noexcept;
  double as_double(double fallback = 0) const noexcept;
  std::string_view as_string(std::string_view fallback = {}) const noexcept KNARR_BORROWS;
  std::string text() const { return std::string(as_string()); }

  size_t size() const noexcept;  // of an array or object, else 0
  // Nothing is in it: null, "", [] or {}. Numbers and booleans are something.
  bool empty() const noexcept;

  // Objects. operator[] on what is absent, or not an object, is a null that lives forever.
  const Value* find(std::string_view key) const& noexcept KNARR_BORROWS;
  Value* find(std::string_view key) & noexcept KNARR_BORROWS;
  const Value* find(std::string_view key) const&& = delete;
  const Value& operator[](std::string_view key) const& noexcept KNARR_BORROWS;
  const Value& operator[](const char* key) const& noexcept KNARR_BORROWS {
    return (*this)[std::string_view(key)];
  }
  const Value&& operator[](std::string_view key) const&& noexcept KNARR_BORROWS {
    return static_cast<const Value&&>((*this)[key]);
  }
  const Value&& operator[](const char* key) const&& noexcept KNARR_BORROWS {
    return static_cast<const Value&&>((*this)[std::string_view(key)]);
  }
  bool has(std::string_view key) const noexcept { return find(key) != nullptr; }
  // The member, made (null) when absent; a value that is not an object becomes one.
  Value& member(std::string_view key) KNARR_BORROWS;
  Value& set(std::string_view key, Value value) KNARR_BORROWS;  // returns *this
  bool erase(std::string_view key);                             // keeps the order of the rest
  Members members() & KNARR_BORROWS;
  Members members() const& KNARR_BORROWS;
  Members members() const&& = delete;

  // Arrays.
  const Value& operator[](size_t i) const& noexcept KNARR_BORROWS;  // null past the end
  const Value&& operator[](size_t i) const&& noexcept KNARR_BORROWS {
    return static_cast<const Value&&>((*this)[i]);
  }
  const Value& operator[](int i) const& noexcept KNARR_BORROWS {
    return (*this)[static_cast<size_t>(i)];
  }
  const Value&& operator[](int i) const&& noexcept KNARR_BORROWS {
    return static_cast<const Value&&>((*this)[static_cast<size_t>(i)]);
  }
  Value& at(size_t i) KNARR_BORROWS;
  // Returns the new element; what is not an array becomes one.
  Value& push_back(Value value) KNARR_BORROWS;
  void insert(size_t i, Value value);
  void erase_at(size_t i);
  Elements elements() & KNARR_BORROWS;
  Elements elements() const& KNARR_BORROWS;
  Elements elements() const&& = delete;

  // Deep; objects without regard to order; 1 and 1.0 differ.
  bool operator==(const Value& other) const noexcept;

 private:
  friend struct Access;
  alignas(8) unsigned char storage_[24];
};

// Ranges over a value's members or elements; empty when it has none. Changing the size of the value
// while walking it is an error.
class Members {
 public:
  class Iterator {
   public:
    explicit Iterator(unsigned char* at) : at_(at) {}
    Member operator*() const;
    Iterator& operator++();
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    unsigned char* at_;
  };
  Members(unsigned char* begin, unsigned char* end) : begin_(begin), end_(end) {}
  Iterator begin() const { return Iterator(begin_); }
  Iterator end() const { return Iterator(end_); }

 private:
  unsigned char* begin_;
  unsigned char* end_;
};

class Elements {
 public:
  Elements(Value* begin, Value* end) : begin_(begin), end_(end) {}
  Value* begin() const { return begin_; }
  Value* end() const { return end_; }

 private:
  Value* begin_;
  Value* end_;
};

// Strict JSON (RFC 8259), at most 10,000 levels deep as encoding/json. The error is kBadRequest and
// says the byte. Of a repeated key the last value wins.
Result<Value> parse(std::string_view text);

std::string write(const Value& value);
void append(std::string& out, const Value& value);
// `text` as a JSON string with its quotes.
void append_quoted(std::string& out, std::string_view text);

}  // namespace knarr::json
