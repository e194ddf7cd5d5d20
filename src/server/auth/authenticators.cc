#include "server/auth/authenticators.h"

#include <vector>

#include "base/format.h"

namespace knarr::server {

namespace {

// One line of comma-separated values; a value in double quotes may hold commas, "" is a quote.
std::vector<std::string> split_csv(std::string_view line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); i++) {
    char c = line[i];
    if (quoted && c == '"' && i + 1 < line.size() && line[i + 1] == '"') {
      fields.back() += '"';
      i++;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin < text.size();) {
    size_t comma = std::min(text.find(',', begin), text.size());
    if (comma > begin) parts.push_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return parts;
}

}  // namespace

Result<std::map<std::string, UserRef>> parse_token_file(std::string_view text) {
  std::map<std::string, UserRef> tokens;
  int number = 0;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    number++;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty() || line[0] == '#') continue;
    std::vector<std::string> fields = split_csv(line);
    if (fields.size() < 3 || fields[0].empty() || fields[1].empty()) {
      return make_error(
          Code::kInvalid,
          fmt::format("token file, line {}: want token,user,uid[,\"groups\"]", number));
    }
    auto user = std::make_shared<UserInfo>();
    user->name = fields[1];
    user->uid = fields[2];
    if (fields.size() > 3) user->groups = split_commas(fields[3]);
    user->groups.push_back(kAuthenticatedGroup);
    tokens[fields[0]] = std::move(user);
  }
  return tokens;
}

UserRef user_of_certificate(const net::PeerCertificate& certificate) {
  auto user = std::make_shared<UserInfo>();
  user->name = certificate.common_name;
  user->groups = certificate.organizations;
  user->groups.push_back(kAuthenticatedGroup);
  return user;
}

RequestAuthenticator::RequestAuthenticator(std::map<std::string, UserRef> static_tokens,
                                           const ServiceAccountTokens& service_accounts)
    : static_tokens_(std::move(static_tokens)), service_accounts_(service_accounts) {}

void RequestAuthenticator::authenticate(const net::Request& request, Done done) {
  const auto& connection = request.connection;
  if (connection && connection->certificate && connection->certificate->verified &&
      !connection->certificate->common_name.empty()) {
    done(user_of_certificate(*connection->certificate));
    return;
  }
  std::string_view header = request.headers.get("Authorization");
  if (!header.empty()) {
    done(bearer(header));
    return;
  }
  done(UserRef());
}

Result<UserRef> RequestAuthenticator::bearer(std::string_view header) const {
  size_t blank = header.find(' ');
  if (blank == std::string_view::npos ||
      !net::equal_ignoring_case(header.substr(0, blank), "Bearer")) {
    return UserRef();
  }
  std::string token(header.substr(header.find_first_not_of(' ', blank)));
  if (auto it = static_tokens_.find(token); it != static_tokens_.end()) return it->second;
  TRY_ASSIGN(UserRef user, service_accounts_.verify(token, {}));
  if (!user) return make_error(Code::kUnauthorized, "invalid bearer token");
  return user;
}

Decision AuthenticatedOnly::authorize(const Attributes& attributes) {
  return {attributes.user && attributes.user->in_group(kAuthenticatedGroup), ""};
}

}  // namespace knarr::server
