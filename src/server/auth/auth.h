// Who asks, and whether they may: the seam between the API server's HTTP front and the ways to
// prove an identity or to decide. Everything on the loop thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "knarr/result.h"
#include "net/http.h"

namespace knarr::server {

// authentication.k8s.io UserInfo. Immutable once shared.
struct UserInfo {
  std::string name;
  std::string uid;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;
  // Not told to anyone: the fingerprint of the key of the certificate that the user showed.
  std::string key;

  bool in_group(const std::string& group) const {
    for (const std::string& g : groups) {
      if (g == group) return true;
    }
    return false;
  }
};

using UserRef = std::shared_ptr<const UserInfo>;

inline constexpr const char* kAnonymousUser = "system:anonymous";
inline constexpr const char* kUnauthenticatedGroup = "system:unauthenticated";
inline constexpr const char* kAuthenticatedGroup = "system:authenticated";
inline constexpr const char* kMastersGroup = "system:masters";

class Authenticator {
 public:
  virtual ~Authenticator() = default;

  // Calls done once, at once or later. A null user: the request carries no credential of a kind
  // this one knows. Error kUnauthorized: it carries one, and it is not good. Users that are found
  // have kAuthenticatedGroup among their groups.
  using Done = std::function<void(Result<UserRef>)>;
  virtual void authenticate(const net::Request& request, Done done) = 0;
};

// What the decision is about. For a request outside the resources only user, verb and path are set.
struct Attributes {
  UserRef user;
  std::string verb;  // get, list, watch, create, update, patch, delete, deletecollection; or the
                     // lower-case method for paths
  bool resource_request = false;
  std::string path;  // as asked
  std::string group;
  std::string version;
  std::string resource;
  std::string subresource;
  std::string ns;
  std::string name;
  // What the field selector of a list or watch asks for with "=".
  std::vector<std::pair<std::string, std::string>> fields;
};

// A rule of a Role or ClusterRole: of resources, or (with `paths` alone) of URLs outside them.
struct PolicyRule {
  std::vector<std::string> verbs;
  std::vector<std::string> groups;
  std::vector<std::string> resources;  // "pods", "pods/log", "*", "*/status"
  std::vector<std::string> names;      // empty: all
  std::vector<std::string> paths;      // "/healthz", "/api/*", "*"

  bool operator==(const PolicyRule&) const = default;
};

// Everything somebody may do in one namespace, as far as it can be listed.
struct AccessRules {
  std::vector<PolicyRule> rules;
  bool incomplete = false;
  std::string error;  // why rules may be missing
};

struct Decision {
  bool allowed = false;
  // Why; appended to the "cannot ..." text of a refusal when not empty.
  std::string reason;
  // Whoever may say what now: it is refused.
  bool denied = false;
};

class Authorizer {
 public:
  virtual ~Authorizer() = default;
  virtual Decision authorize(const Attributes& attributes) = 0;
  // In a namespace; "": of the whole cluster alone.
  virtual AccessRules rules_of(const UserRef& user, const std::string& ns) = 0;
};

}  // namespace knarr::server
