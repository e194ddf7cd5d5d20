#include "server/registry/local_client.h"

#include "api/known_objects.h"
#include "api/object.h"
#include "base/format.h"
#include "base/log.h"
#include "net/url.h"
#include "server/status/errors.h"

namespace knarr::server {
namespace {

void read_query(Request& request, const std::string& text) {
  net::Query query = net::Query::parse(text);
  request.field_manager = query.get("fieldManager");
  request.dry_run = query.get("dryRun") == "All";
  request.force = query.get("force") == "true";
  if (query.has("force")) request.force_given = request.force;
  request.validation = api::FieldValidation::kIgnore;
}

Result<RequestPtr> to_request(const client::Request& from, UserRef user,
                              const std::string& user_agent) {
  auto request = std::make_shared<Request>();
  const client::Target& t = from.target;
  request->resource = api::find_resource(t.group, t.version, t.resource);
  if (request->resource == nullptr) return unknown_path();
  if (!t.subresource.empty()) {
    request->sub = request->resource->subresource(t.subresource);
    if (request->sub == nullptr) return unknown_path();
  }
  request->ns = t.ns;
  request->name = t.name;
  request->user = std::move(user);
  request->user_agent = user_agent;
  read_query(*request, from.query);
  return request;
}

// The answer as an object: stored ones in the version asked for, others with revision 0.
Result<ObjectRef> to_object(const Request& request, Answer answer) {
  if (answer.object != nullptr && presented_as_stored(*request.resource)) return answer.object;
  auto object = std::make_shared<Object>();
  if (answer.object != nullptr) {
    *object = *answer.object;
    object->json = presented_json(*request.resource, *answer.object);
  } else {
    object->json = std::move(answer.json);
  }
  return ObjectRef(std::move(object));
}

// One watch that lasts: whatever ends the cache's watch, it lists again and reports what differs.
class LastingWatch final : public client::Watch, public WatchSink {
 public:
  LastingWatch(Registry& registry, client::WatchTarget target, client::WatchHandler& handler)
      : registry_(registry), target_(std::move(target)), known_(handler) {
    retry_ = registry_.clock().timer([this] { begin(); });
    retry_->start(0);
  }

  void on_event(const WatchEvent& event) override {
    if (event.type == EventType::kDeleted) return known_.remove(event.object());
    known_.upsert(event.object());
  }

  void on_bookmark(kv::Revision, bool initial_end) override {
    if (initial_end) known_.end_list();
  }

  void on_error(const Error& error) override {
    base::log(base::Level::kDebug, "client", "watch {}: {}", target_.resource, error.message);
    retry_->start(0);
  }

 private:
  void begin() {
    watch_.reset();
    known_.begin_list();
    Request request;
    request.resource = api::find_resource(target_.group, target_.version, target_.resource);
    request.ns = target_.ns;
    RawListQuery raw;
    raw.watch = true;
    raw.label_selector = target_.label_selector;
    raw.field_selector = target_.field_selector;
    raw.allow_bookmarks = true;
    raw.send_initial_events = true;
    raw.resource_version_match = "NotOlderThan";
    if (request.resource == nullptr) return;
    Result<ListQuery> query = parse_list_query(*request.resource, raw);
    if (!query.ok()) {
      base::log(base::Level::kError, "client", "watch {}: {}", target_.resource,
                query.error().message);
      return;
    }
    Result<std::unique_ptr<server::Watch>> watch = registry_.watch(request, *query, *this);
    if (!watch.ok()) {
      retry_->start(1000);
      return;
    }
    watch_ = *std::move(watch);
    watch_->start();
  }

  Registry& registry_;
  client::WatchTarget target_;
  std::unique_ptr<Timer> retry_;
  std::unique_ptr<server::Watch> watch_;
  api::KnownObjects known_;
};

}  // namespace

LocalClient::LocalClient(Registry& registry, UserRef user, std::string user_agent)
    : registry_(registry), user_(std::move(user)), user_agent_(std::move(user_agent)) {}

void LocalClient::call(client::Request from, client::Reply reply) {
  Result<RequestPtr> made = to_request(from, user_, user_agent_);
  if (!made.ok()) return reply(std::move(made).error());
  RequestPtr request = *std::move(made);
  Done done = [request, reply = std::move(reply)](Result<Answer> answer) {
    if (!answer.ok()) return reply(std::move(answer).error());
    reply(to_object(*request, *std::move(answer)));
  };
  Body body{std::move(from.body), api::Media::kJson};
  switch (from.verb) {
    case client::Verb::kGet: return done(registry_.get_subresource(*request));
    case client::Verb::kCreate: return registry_.create(request, std::move(body), std::move(done));
    case client::Verb::kUpdate: return registry_.update(request, std::move(body), std::move(done));
    case client::Verb::kPatch:
      return registry_.patch(request, from.patch_type, std::move(body), std::move(done));
    case client::Verb::kDelete: return registry_.remove(request, std::move(body), std::move(done));
  }
}

std::unique_ptr<client::Watch> LocalClient::watch(client::WatchTarget target,
                                                  client::WatchHandler& handler) {
  return std::make_unique<LastingWatch>(registry_, std::move(target), handler);
}

UserRef privileged_user(const std::string& name) {
  auto user = std::make_shared<UserInfo>();
  user->name = name;
  user->groups = {kMastersGroup, kAuthenticatedGroup};
  return user;
}

}  // namespace knarr::server
