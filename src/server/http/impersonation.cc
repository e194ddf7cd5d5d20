#include "server/http/impersonation.h"

#include <algorithm>

#include "api/names.h"
#include "api/validation/errors.h"
#include "base/ascii.h"
#include "base/format.h"
#include "knarr/names.h"
#include "net/url.h"
#include "server/status/errors.h"

namespace knarr::server {
namespace {

constexpr std::string_view kPrefix = "Impersonate-";
constexpr std::string_view kUser = "Impersonate-User";
constexpr std::string_view kUid = "Impersonate-Uid";
constexpr std::string_view kGroup = "Impersonate-Group";
constexpr std::string_view kExtra = "impersonate-extra-";
constexpr std::string_view kServiceAccount = "system:serviceaccount:";

UserInfo wanted_user(const net::Headers& headers) {
  UserInfo user;
  user.name = headers.get(kUser);
  user.uid = headers.get(kUid);
  for (std::string_view group : headers.all(kGroup)) user.groups.emplace_back(group);
  for (net::Headers::Field field : headers) {
    std::string name = base::lower(field.name);
    if (!name.starts_with(kExtra)) continue;
    std::string key = name.substr(kExtra.size());
    if (Result<std::string> decoded = net::percent_decode(key); decoded.ok()) key = *decoded;
    user.extra[key].emplace_back(field.value);
  }
  return user;
}

std::string go_strings(const std::vector<std::string>& list) {
  if (list.empty()) return "[]string(nil)";
  std::string out = "[]string{";
  for (const std::string& s : list) {
    if (out.back() != '{') out += ", ";
    out += api::go_quote(s);
  }
  return out + "}";
}

Error no_user_named(const UserInfo& user) {
  std::string extra = "map[string][]string(nil)";
  if (!user.extra.empty()) {
    extra = "map[string][]string{";
    for (const auto& [key, values] : user.extra) {
      if (extra.back() != '{') extra += ", ";
      extra += api::go_quote(key) + ":" + go_strings(values);
    }
    extra += "}";
  }
  return bad_request(fmt::format(
      "requested &user.DefaultInfo{{Name:\"\", UID:{}, Groups:{}, Extra:{}}} without impersonating "
      "a user name",
      api::go_quote(user.uid), go_strings(user.groups), extra));
}

// Namespace and name of a service account; false when it is another user.
bool is_service_account(std::string_view user, std::string_view& ns, std::string_view& name) {
  if (!user.starts_with(kServiceAccount)) return false;
  user.remove_prefix(kServiceAccount.size());
  size_t colon = user.find(':');
  if (colon == std::string_view::npos) return false;
  ns = user.substr(0, colon);
  name = user.substr(colon + 1);
  return api::is_dns1123_label(ns) && api::is_dns1123_subdomain(name);
}

bool has(const std::vector<std::string>& list, std::string_view one) {
  return std::find(list.begin(), list.end(), one) != list.end();
}

// What everyone gets who is not anonymous, and what a service account is.
void add_groups(UserInfo& user) {
  std::string_view ns;
  std::string_view name;
  if (user.groups.empty() && is_service_account(user.name, ns, name)) {
    user.groups = {"system:serviceaccounts", "system:serviceaccounts:" + std::string(ns)};
  }
  bool known = has(user.groups, kAuthenticatedGroup) || has(user.groups, kUnauthenticatedGroup);
  if (known) return;
  user.groups.emplace_back(user.name == kAnonymousUser ? kUnauthenticatedGroup
                                                       : kAuthenticatedGroup);
}

std::string_view mode_of(std::string_view user) {
  std::string_view ns;
  std::string_view name;
  if (is_service_account(user, ns, name)) return "serviceaccount";
  return user.starts_with(kNodeUserPrefix) ? "arbitrary-node" : "user-info";
}

// Each thing that is impersonated, as the authoriser is asked about it.
std::vector<Attributes> parts_of(const UserInfo& user, const UserRef& caller,
                                 const std::string& verb) {
  std::vector<Attributes> out;
  auto add = [&](std::string group, std::string resource, std::string subresource,
                 std::string name) {
    Attributes a;
    a.user = caller;
    a.verb = verb;
    a.resource_request = true;
    a.group = std::move(group);
    a.version = "v1";
    a.resource = std::move(resource);
    a.subresource = std::move(subresource);
    a.name = std::move(name);
    out.push_back(std::move(a));
  };
  std::string_view ns;
  std::string_view name;
  if (is_service_account(user.name, ns, name)) {
    add("", "serviceaccounts", "", std::string(name));
    out.back().ns = ns;
  } else {
    add("", "users", "", user.name);
  }
  for (const std::string& group : user.groups) add("", "groups", "", group);
  if (!user.uid.empty()) add("authentication.k8s.io", "uids", "", user.uid);
  for (const auto& [key, values] : user.extra) {
    for (const std::string& value : values) {
      add("authentication.k8s.io", "userextras", key, value);
    }
  }
  return out;
}

bool all_allowed(const std::vector<Attributes>& parts, Authorizer& authorizer) {
  return std::all_of(parts.begin(), parts.end(),
                     [&](const Attributes& part) { return authorizer.authorize(part).allowed; });
}

}  // namespace

bool asks_to_impersonate(const net::Headers& headers) {
  for (net::Headers::Field field : headers) {
    // Every request comes by here: nothing is copied for those that do not ask.
    if (field.value.empty() || field.name.size() < kUid.size() ||
        !net::equal_ignoring_case(field.name.substr(0, kPrefix.size()), kPrefix)) {
      continue;
    }
    std::string name = base::lower(field.name);
    if (name == "impersonate-user" || name == "impersonate-uid" || name == "impersonate-group" ||
        name.starts_with(kExtra)) {
      return true;
    }
  }
  return false;
}

void drop_impersonation(net::Headers& headers) {
  std::vector<std::string> names;
  for (net::Headers::Field field : headers) {
    if (net::equal_ignoring_case(field.name.substr(0, kPrefix.size()), kPrefix)) {
      names.emplace_back(field.name);
    }
  }
  for (const std::string& name : names) headers.remove(name);
}

Result<Impersonation> impersonate(const net::Headers& headers, const Attributes& request,
                                  Authorizer& authorizer) {
  UserInfo wanted = wanted_user(headers);
  if (wanted.name.empty()) return no_user_named(wanted);
  Impersonation out;
  std::string mode(mode_of(wanted.name));
  out.refused = request;
  out.refused.verb = fmt::format("impersonate-on:{}:{}", mode, request.verb);
  out.decision = authorizer.authorize(out.refused);
  bool constrained = out.decision.allowed &&
                     all_allowed(parts_of(wanted, request.user, "impersonate:" + mode), authorizer);
  if (!constrained && !all_allowed(parts_of(wanted, request.user, "impersonate"), authorizer)) {
    return out;
  }
  add_groups(wanted);
  out.user = std::make_shared<const UserInfo>(std::move(wanted));
  return out;
}

}  // namespace knarr::server
