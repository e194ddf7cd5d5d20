#include "net/url.h"

namespace knarr::net {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.' || c == '~';
}

std::string encode(std::string_view text, std::string_view kept, bool space_is_plus) {
  static const char* kDigits = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    if (unreserved(c) || kept.find(c) != std::string_view::npos) {
      out += c;
    } else if (c == ' ' && space_is_plus) {
      out += '+';
    } else {
      out += '%';
      out += kDigits[static_cast<unsigned char>(c) >> 4];
      out += kDigits[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

Error bad_url(std::string_view text, const char* why) {
  return make_error(Code::kBadRequest, "parse \"" + std::string(text) + "\": " + why);
}

// The port after ':'; what follows must be digits only.
bool parse_port(std::string_view text, uint16_t& port) {
  uint32_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<uint32_t>(c - '0');
    if (value > 65535) return false;
  }
  if (!text.empty()) port = static_cast<uint16_t>(value);
  return true;
}

}  // namespace

Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) {
        return make_error(Code::kBadRequest,
                          "invalid URL escape \"" + std::string(text.substr(i, 3)) + "\"");
      }
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return out;
}

std::string percent_encode_path(std::string_view segment) {
  return encode(segment, "$&+:=@", false);
}

std::string percent_encode_query(std::string_view text) { return encode(text, "", true); }

Query Query::parse(std::string_view text) {
  Query query;
  while (!text.empty()) {
    size_t cut = text.find('&');
    std::string_view part = text.substr(0, cut);
    text.remove_prefix(cut == std::string_view::npos ? text.size() : cut + 1);
    if (part.empty() || part.find(';') != std::string_view::npos) continue;
    size_t equals = part.find('=');
    Result<std::string> name = percent_decode(part.substr(0, equals), true);
    Result<std::string> value = percent_decode(
        equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1), true);
    if (name.ok() && value.ok()) query.pairs_.emplace_back(std::move(*name), std::move(*value));
  }
  return query;
}

void Query::add(std::string_view name, std::string_view value) { pairs_.emplace_back(name, value); }

std::string_view Query::get(std::string_view name) const {
  for (const auto& [key, value] : pairs_) {
    if (key == name) return value;
  }
  return {};
}

bool Query::has(std::string_view name) const {
  for (const auto& [key, value] : pairs_) {
    if (key == name) return true;
  }
  return false;
}

std::vector<std::string_view> Query::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const auto& [key, value] : pairs_) {
    if (key == name) values.push_back(value);
  }
  return values;
}

std::string Query::text() const {
  std::string out;
  for (const auto& [key, value] : pairs_) {
    if (!out.empty()) out += '&';
    out += percent_encode_query(key) + "=" + percent_encode_query(value);
  }
  return out;
}

std::string Url::authority() const {
  std::string out = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (port != (scheme == "https" ? 443 : 80)) out += ":" + std::to_string(port);
  return out;
}

Result<Url> parse_url(std::string_view text) {
  Url url;
  std::string_view rest = text;
  if (rest.substr(0, 8) == "https://") {
    url.scheme = "https";
    url.port = 443;
    rest.remove_prefix(8);
  } else if (rest.substr(0, 7) == "http://") {
    url.scheme = "http";
    url.port = 80;
    rest.remove_prefix(7);
  } else {
    return bad_url(text, "unsupported protocol scheme");
  }
  for (char c : rest) {
    if (c <= ' ' || c == 0x7f) return bad_url(text, "invalid character");
  }
  rest = rest.substr(0, rest.find('#'));
  size_t end = rest.find_first_of("/?");
  std::string_view authority = rest.substr(0, end);
  rest.remove_prefix(authority.size());
  if (authority.find('@') != std::string_view::npos) return bad_url(text, "user info in host");
  size_t colon = std::string_view::npos;
  if (!authority.empty() && authority[0] == '[') {
    size_t close = authority.find(']');
    if (close == std::string_view::npos) return bad_url(text, "missing ']' in host");
    url.host = authority.substr(1, close - 1);
    if (close + 1 < authority.size()) colon = close + 1;
  } else {
    colon = authority.find(':');
    url.host = authority.substr(0, colon);
  }
  if (url.host.empty()) return bad_url(text, "no host in request URL");
  if (colon != std::string_view::npos &&
      (authority[colon] != ':' || !parse_port(authority.substr(colon + 1), url.port))) {
    return bad_url(text, "invalid port after host");
  }
  size_t question = rest.find('?');
  url.path = rest.substr(0, question);
  if (url.path.empty()) url.path = "/";
  if (question != std::string_view::npos) url.query = rest.substr(question + 1);
  return url;
}

std::string join_path(std::string_view a, std::string_view b) {
  while (!a.empty() && a.back() == '/') a.remove_suffix(1);
  while (!b.empty() && b.front() == '/') b.remove_prefix(1);
  return std::string(a) + "/" + std::string(b);
}

}  // namespace knarr::net
