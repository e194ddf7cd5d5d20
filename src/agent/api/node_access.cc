#include "agent/api/node_access.h"

#include <algorithm>

#include "api/view/meta.h"
#include "base/ascii.h"
#include "base/format.h"
#include "base/log.h"
#include "knarr/names.h"
#include "net/pki.h"

namespace knarr::agent {

using json::Value;

namespace {

constexpr int64_t kUserMs = 120000;
constexpr int64_t kAllowedMs = 300000;
constexpr int64_t kRefusedMs = 30000;
constexpr size_t kMostKnown = 1024;
constexpr std::string_view kBearer = "bearer ";

bool is_below(std::string_view path, std::string_view root) {
  return path == root || (path.starts_with(root) && path[root.size()] == '/');
}

void answer(const net::ExchangePtr& exchange, int status, std::string text) {
  exchange->respond(status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(text));
}

Value list_of(const std::vector<std::string>& items) {
  Value list = Value::array();
  for (const std::string& item : items) list.push_back(item);
  return list;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// Null: it shows none that counts.
const net::PeerCertificate* certificate_of(const net::Request& request, int64_t now_seconds) {
  const net::PeerCertificate* shown =
      request.connection ? request.connection->certificate.get() : nullptr;
  bool good = shown != nullptr && shown->verified && shown->not_after >= now_seconds;
  return good ? shown : nullptr;
}

std::string token_of(const net::Request& request) {
  std::string_view header = request.headers.get("authorization");
  if (base::lower(header.substr(0, kBearer.size())) != kBearer) return {};
  return std::string(header.substr(kBearer.size()));
}

}  // namespace

NodeAttributes node_attributes(std::string_view method, std::string_view path) {
  struct Row {
    std::string_view from, to;
  };
  constexpr Row verbs[] = {{"POST", "create"},
                           {"GET", "get"},
                           {"PUT", "update"},
                           {"PATCH", "patch"},
                           {"DELETE", "delete"}};
  // Rights to these alone are finer than those to all that is not named here.
  constexpr Row fine[] = {{"/pods", "pods"},
                          {"/healthz", "healthz"},
                          {"/configz", "configz"},
                          {"/statusz", "statusz"},
                          {"/runningpods", "pods"}};
  constexpr Row own[] = {{"/stats", "stats"},
                         {"/metrics", "metrics"},
                         {"/logs", "log"},
                         {"/checkpoint", "checkpoint"}};
  NodeAttributes attributes;
  for (const Row& row : verbs) {
    if (method == row.from) attributes.verb = row.to;
  }
  for (const Row& row : fine) {
    if (is_below(path, row.from)) attributes.subresources.emplace_back(row.to);
  }
  std::string_view rest = "proxy";
  for (const Row& row : own) {
    if (is_below(path, row.from)) rest = row.to;
  }
  attributes.subresources.emplace_back(rest);
  return attributes;
}

// One exchange while its user and rights are looked for.
struct NodeAccess::Question {
  net::ExchangePtr exchange;
  std::function<void()> allowed;
  NodeAttributes attributes;
  User user;
  size_t at = 0;  // the subresource that is asked about
};

NodeAccess::NodeAccess(Clock& clock, client::Client& client, std::string node_name)
    : clock_(clock), client_(client), node_name_(std::move(node_name)) {}

NodeAccess::~NodeAccess() = default;

void NodeAccess::check(const net::ExchangePtr& exchange, std::function<void()> allowed) {
  const net::Request& request = exchange->request;
  auto question = std::make_shared<Question>();
  const net::PeerCertificate* shown = certificate_of(request, clock_.now_us() / 1000000);
  if (shown != nullptr) {
    const std::vector<std::string>& groups = shown->organizations;
    if (std::count(groups.begin(), groups.end(), kApiServerGroup) > 0) return allowed();
    Value all = list_of(groups);
    all.push_back("system:authenticated");
    question->user = Value::object({{"user", shown->common_name}, {"groups", std::move(all)}});
  }
  std::string token = token_of(request);
  if (shown == nullptr && token.empty()) return answer(exchange, 401, "Unauthorized");
  question->attributes = node_attributes(request.method, request.path);
  question->exchange = exchange;
  question->allowed = std::move(allowed);
  if (shown != nullptr) return review(question);
  review_token(question, token);
}

const NodeAccess::Known* NodeAccess::known(const std::string& key) {
  auto it = known_.find(key);
  if (it == known_.end()) return nullptr;
  if (it->second.until_ms > clock_.monotonic_ms()) return &it->second;
  known_.erase(it);
  return nullptr;
}

// Whoever sends ever other tokens must not fill the memory.
void NodeAccess::remember(const std::string& key, Known answer, int64_t ttl_ms) {
  int64_t now = clock_.monotonic_ms();
  if (known_.size() >= kMostKnown) {
    std::erase_if(known_, [now](const auto& entry) { return entry.second.until_ms <= now; });
    if (known_.size() >= kMostKnown) known_.clear();
  }
  answer.until_ms = now + ttl_ms;
  known_[key] = std::move(answer);
}

void NodeAccess::ask(const char* group, const char* resource, const char* kind, Value spec,
                     std::function<void(Result<Value> status)> answered) {
  client::Request request;
  request.verb = client::Verb::kCreate;
  request.target = {group, "v1", resource, "", "", ""};
  request.body = json::write(Value::object(
      {{"apiVersion", std::string(group) + "/v1"}, {"kind", kind}, {"spec", std::move(spec)}}));
  client_.call(std::move(request),
               [answered = std::move(answered), kind,
                alive = std::weak_ptr<bool>(alive_)](const Result<ObjectRef>& reply) {
                 if (alive.expired()) return;
                 if (reply.ok()) return answered(api::decode(**reply)["status"]);
                 base::log(base::Level::kWarning, "kubelet", "{}: {}", kind, reply.error().message);
                 answered(reply.error());
               });
}

void NodeAccess::review_token(const QuestionRef& question, const std::string& token) {
  std::string key = "token " + net::fingerprint(token);
  auto found = [this, question](const User& user) {
    if (user.is_null()) return answer(question->exchange, 401, "Unauthorized");
    question->user = user;
    review(question);
  };
  if (const Known* before = known(key)) return found(User(before->user));
  ask("authentication.k8s.io", "tokenreviews", "TokenReview", Value::object({{"token", token}}),
      [this, key, found](Result<Value> status) {
        if (!status.ok()) return found({});
        User user;
        if ((*status)["authenticated"].as_bool()) {
          const Value& told = (*status)["user"];
          user = Value::object({{"user", told["username"]}});
          for (const char* member : {"uid", "groups", "extra"}) {
            if (told.has(member)) user.set(member, told[member]);
          }
        }
        remember(key, {0, user, false}, kUserMs);
        found(user);
      });
}

void NodeAccess::review(const QuestionRef& question) {
  const NodeAttributes& attributes = question->attributes;
  auto about = [&](std::string_view what) {
    return fmt::format("user={}, verb={}, resource=nodes, {}", question->user["user"].as_string(),
                       attributes.verb, what);
  };
  if (question->at == attributes.subresources.size()) {
    std::string all = "subresource(s)=[" + joined(attributes.subresources) + "]";
    return answer(question->exchange, 403, fmt::format("Forbidden ({})", about(all)));
  }
  const std::string& subresource = attributes.subresources[question->at];
  Value spec = question->user;
  spec.set("resourceAttributes", Value::object({{"verb", attributes.verb},
                                                {"version", "v1"},
                                                {"resource", "nodes"},
                                                {"subresource", subresource},
                                                {"name", node_name_}}));
  std::string key = "review " + json::write(spec);
  auto decided = [this, question](bool allowed) {
    if (allowed) return question->allowed();
    question->at++;
    review(question);
  };
  if (const Known* before = known(key)) return decided(before->allowed);
  std::string error = fmt::format("Authorization error ({})", about("subresource=" + subresource));
  ask("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview", std::move(spec),
      [this, key, question, decided, error = std::move(error)](const Result<Value>& status) {
        if (!status.ok()) return answer(question->exchange, 500, error);
        bool allowed = (*status)["allowed"].as_bool();
        remember(key, {0, {}, allowed}, allowed ? kAllowedMs : kRefusedMs);
        decided(allowed);
      });
}

}  // namespace knarr::agent
