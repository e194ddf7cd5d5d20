// HTTP header fields in their order, names compared without regard to case. All text lies in one
// string: a request's headers cost two allocations.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace knarr::net {

bool equal_ignoring_case(std::string_view a, std::string_view b);

class Headers {
 public:
  struct Field {
    std::string_view name;
    std::string_view value;
  };

  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string_view, std::string_view>> fields);

  void add(std::string_view name, std::string_view value);
  void set(std::string_view name, std::string_view value);  // removes what is there, then adds
  void remove(std::string_view name);

  // The first value; empty when absent.
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const;
  std::vector<std::string_view> all(std::string_view name) const;
  // Whether a comma-separated list of this name has the token: ("Connection", "upgrade").
  bool has_token(std::string_view name, std::string_view token) const;

  size_t size() const { return fields_.size(); }
  bool empty() const { return fields_.empty(); }
  size_t bytes() const { return text_.size(); }  // of all names and values ever added
  Field operator[](size_t i) const {
    const Place& p = fields_[i];
    std::string_view text = text_;
    return {text.substr(p.at, p.name_size), text.substr(p.at + p.name_size, p.value_size)};
  }

  class Iterator {
   public:
    Iterator(const Headers* headers, size_t i) : headers_(headers), i_(i) {}
    Field operator*() const { return (*headers_)[i_]; }
    Iterator& operator++() {
      i_++;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return i_ != other.i_; }

   private:
    const Headers* headers_;
    size_t i_;
  };
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, fields_.size()}; }

 private:
  struct Place {
    uint32_t at;
    uint32_t name_size;
    uint32_t value_size;
  };
  std::string text_;
  std::vector<Place> fields_;
};

}  // namespace knarr::net
