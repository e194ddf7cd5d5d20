#include "server/auth/token_file.h"

#include <vector>

#include "base/format.h"

namespace knarr::server {
namespace {

std::vector<std::string> split(std::string_view line, bool quotes) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (char c : line) {
    if (quotes && c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      out.emplace_back();
    } else if (c != '\r') {
      out.back() += c;
    }
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<TokenFile>> TokenFile::parse(std::string_view csv) {
  auto file = std::make_unique<TokenFile>();
  int number = 0;
  while (!csv.empty()) {
    size_t end = csv.find('\n');
    std::string_view line = csv.substr(0, end);
    csv.remove_prefix(end == std::string_view::npos ? csv.size() : end + 1);
    number++;
    if (line.empty() || line.front() == '#') continue;
    std::vector<std::string> fields = split(line, true);
    if (fields.size() < 3 || fields[0].empty()) {
      return make_error(
          Code::kBadRequest,
          fmt::format("token file: line {}: want token,user,uid[,\"groups\"]", number));
    }
    auto user = std::make_shared<UserInfo>();
    user->name = fields[1];
    user->uid = fields[2];
    if (fields.size() > 3 && !fields[3].empty()) user->groups = split(fields[3], false);
    user->groups.push_back(kAuthenticatedGroup);
    file->users_[fields[0]] = std::move(user);
  }
  return file;
}

std::string_view bearer_token(const net::Request& request) {
  std::string_view value = request.headers.get("Authorization");
  if (value.size() < 7 || !net::equal_ignoring_case(value.substr(0, 7), "bearer ")) return {};
  value.remove_prefix(7);
  while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  return value;
}

void TokenFile::authenticate(const net::Request& request, Done done) {
  std::string_view token = bearer_token(request);
  if (token.empty()) return done(UserRef());
  auto it = users_.find(std::string(token));
  if (it == users_.end()) return done(make_error(Code::kUnauthorized, "Unauthorized"));
  done(it->second);
}

}  // namespace knarr::server
