// Percent coding, query strings and URLs (RFC 3986), as Go's net/url treats them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knarr/result.h"

namespace knarr::net {

// kBadRequest for a '%' without two hex digits. plus_is_space: in queries.
Result<std::string> percent_decode(std::string_view text, bool plus_is_space = false);
std::string percent_encode_path(std::string_view segment);  // one segment: '/' becomes %2F
std::string percent_encode_query(std::string_view text);    // space becomes '+'

class Query {
 public:
  // Pairs that cannot be decoded are left out, as are those with a ';'.
  static Query parse(std::string_view text);
  void add(std::string_view name, std::string_view value);
  // The first value; empty when absent.
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const;
  std::vector<std::string_view> all(std::string_view name) const;
  std::string text() const;  // encoded
  const std::vector<std::pair<std::string, std::string>>& pairs() const { return pairs_; }

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

struct Url {
  std::string scheme;             // "http" or "https"
  std::string host;               // without brackets
  uint16_t port = 0;              // the scheme's when the text has none
  std::string path;               // as written; "/" when empty
  std::string query;              // as written, without '?'
  std::string authority() const;  // host[:port], the port left out when it is the scheme's
};
Result<Url> parse_url(std::string_view text);

// One '/' between them.
std::string join_path(std::string_view a, std::string_view b);

}  // namespace knarr::net
