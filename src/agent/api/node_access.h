// Who may ask a node's own port what. The API server's certificate may ask everything. Others show
// a certificate of the cluster or a bearer token; the API server is asked who a token is of
// (TokenReview) and whether he may (SubjectAccessReview of nodes/metrics and the like, which is
// what `kubectl get --raw` of that path would want). What it says is remembered: who for two
// minutes, a yes for five, a no for half a minute. Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "knarr/client.h"
#include "knarr/clock.h"
#include "net/http.h"

namespace knarr::agent {

// What of nodes a request is about: one of these subresources, with that verb, is enough.
struct NodeAttributes {
  std::string verb;  // empty for methods that have none
  std::vector<std::string> subresources;
};
NodeAttributes node_attributes(std::string_view method, std::string_view path);

class NodeAccess {
 public:
  NodeAccess(Clock& clock, client::Client& client, std::string node_name);
  ~NodeAccess();

  // Calls `allowed`, at once or later, or answers the exchange itself.
  void check(const net::ExchangePtr& exchange, std::function<void()> allowed);

 private:
  // Of SubjectAccessReviewSpec: user, uid, groups, extra. Null: nobody.
  using User = json::Value;
  struct Known {
    int64_t until_ms = 0;
    User user;             // of a token
    bool allowed = false;  // of a review
  };
  struct Question;
  using QuestionRef = std::shared_ptr<Question>;

  const Known* known(const std::string& key);
  void remember(const std::string& key, Known answer, int64_t ttl_ms);
  void ask(const char* group, const char* resource, const char* kind, json::Value spec,
           std::function<void(Result<json::Value> status)> answered);
  void review_token(const QuestionRef& question, const std::string& token);
  // Asks about the first of the question's subresources that are left.
  void review(const QuestionRef& question);

  Clock& clock_;
  client::Client& client_;
  std::string node_name_;
  std::map<std::string, Known> known_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::agent
