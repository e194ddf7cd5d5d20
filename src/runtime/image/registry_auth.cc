#include "runtime/image/registry_auth.h"

#include <algorithm>
#include <cctype>

#include "base/ascii.h"
#include "base/base64.h"
#include "base/json.h"

namespace knarr::runtime {

namespace {

bool is_token_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// A cursor over a header value (RFC 9110, section 11.6.1).
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}
  bool at_end() const { return text_.empty(); }
  void skip(std::string_view what) {
    while (!text_.empty() && what.find(text_[0]) != std::string_view::npos) text_.remove_prefix(1);
  }
  std::string token() {
    size_t n = 0;
    while (n < text_.size() && is_token_char(text_[n])) ++n;
    std::string out(text_.substr(0, n));
    text_.remove_prefix(n);
    return out;
  }
  bool take(char c) {
    if (text_.empty() || text_[0] != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  std::string value() {
    if (!take('"')) return token();
    std::string out;
    while (!text_.empty() && text_[0] != '"') {
      if (text_[0] == '\\' && text_.size() > 1) text_.remove_prefix(1);
      out += text_[0];
      text_.remove_prefix(1);
    }
    take('"');
    return out;
  }
  void drop() { text_.remove_prefix(text_.empty() ? 0 : 1); }

 private:
  std::string_view text_;
};

std::string scope_of(const AuthChallenge& challenge, const std::string& fallback) {
  auto it = challenge.parameters.find("scope");
  return it != challenge.parameters.end() && !it->second.empty() ? it->second : fallback;
}

std::string parameter(const AuthChallenge& challenge, const char* name) {
  auto it = challenge.parameters.find(name);
  return it == challenge.parameters.end() ? std::string() : it->second;
}

}  // namespace

std::vector<AuthChallenge> parse_challenges(std::string_view header) {
  std::vector<AuthChallenge> out;
  Scanner scan(header);
  for (scan.skip(" \t,"); !scan.at_end(); scan.skip(" \t,")) {
    std::string word = scan.token();
    if (word.empty()) {
      scan.drop();
      continue;
    }
    // A word before '=' is a parameter of the last scheme, any other begins a new one.
    if (scan.take('=')) {
      std::string value = scan.value();
      if (!out.empty()) out.back().parameters[base::lower(word)] = std::move(value);
    } else {
      out.push_back({base::lower(word), {}});
    }
  }
  return out;
}

std::string url_encode(std::string_view text) {
  std::string out;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '_' || c == '.' || c == '~') {
      out += c;
    } else {
      out += {'%', "0123456789ABCDEF"[byte >> 4], "0123456789ABCDEF"[byte & 15]};
    }
  }
  return out;
}

std::string basic_authorization(const RegistryAuth& auth) {
  return "Basic " + base::base64_encode(auth.username + ":" + auth.password);
}

std::string token_url(const AuthChallenge& challenge, const std::string& fallback_scope) {
  std::string url = parameter(challenge, "realm");
  url += url.find('?') == std::string::npos ? '?' : '&';
  url += "scope=" + url_encode(scope_of(challenge, fallback_scope));
  std::string service = parameter(challenge, "service");
  if (!service.empty()) url += "&service=" + url_encode(service);
  return url;
}

std::string refresh_form(const AuthChallenge& challenge, const std::string& fallback_scope,
                         const std::string& refresh_token) {
  return "grant_type=refresh_token&client_id=knarr&service=" +
         url_encode(parameter(challenge, "service")) +
         "&scope=" + url_encode(scope_of(challenge, fallback_scope)) +
         "&refresh_token=" + url_encode(refresh_token);
}

Result<std::string> token_from(std::string_view text) {
  TRY_ASSIGN(json::Value value, json::parse(text));
  std::string token = value["token"].text();
  if (token.empty()) token = value["access_token"].text();
  if (token.empty()) {
    return make_error(Code::kUnauthorized,
                      "authorization server did not include a token in the "
                      "response");
  }
  return token;
}

}  // namespace knarr::runtime
