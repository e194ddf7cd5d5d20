#include "agent/remote/remote_watch.h"

#include <algorithm>

#include "base/log.h"

namespace knarr::agent {

namespace {

constexpr size_t kMostUnread = 64 * 1024 * 1024;  // one event

}  // namespace

int64_t retry_delay_ms(int failures, Random& random) {
  if (failures <= 1) return 0;
  int64_t delay = std::min<int64_t>(int64_t{200} << std::min(failures - 2, 10), 30000);
  return delay / 2 + static_cast<int64_t>(random.below(static_cast<uint64_t>(delay / 2 + 1)));
}

RemoteWatch::RemoteWatch(RemoteClient& client, client::WatchTarget target,
                         client::WatchHandler& handler)
    : client_(client),
      target_(std::move(target)),
      handler_(handler),
      resource_(api::find_resource(target_.group, target_.version, target_.resource)),
      known_(*this),
      retry_(client.loop_.timer([this] { begin(); })) {
  if (resource_ == nullptr) {
    base::log(base::Level::kError, "client", "watch {}: no such resource", target_.resource);
    return;
  }
  retry_->start(0);
}

void RemoteWatch::begin() {
  if (client_.options_.memory != nullptr) client_.options_.memory->begins(target_);
  if (revision_ == 0) known_.begin_list();
  unread_.clear();
  status_ = 0;
  server_ = client_.servers_.current();
  net::ResponseEvents events;
  events.on_headers = [this](int status, const net::Headers&) {
    status_ = status;
    if (status == 200) client_.servers_.answered(server_);
  };
  events.on_data = [this](std::string_view bytes) { take(bytes); };
  events.on_end = [this](const net::Headers&) {
    if (status_ == 200) return again();
    Result<ObjectRef> answer = read_answer(
        {target_.group, target_.version, target_.resource, target_.ns, "", ""}, status_, unread_);
    if (!answer.ok() && is_absence(answer.error())) leave_server();
    lost(answer.ok() ? make_error(Code::kInternalError, "an answer that is no watch")
                     : answer.error());
  };
  events.on_error = [this](const Error& error) {
    leave_server();
    lost(error);
  };
  net::ClientRequest request = client_.prepare("GET", watch_path(target_, revision_));
  request.timeout_ms = client_.options_.call_timeout_ms;
  call_ = client_.http_.send(std::move(request), std::move(events));
}

void RemoteWatch::leave_server() { client_.servers_.failed(server_, client_.loop_.monotonic_ms()); }

void RemoteWatch::take(std::string_view bytes) {
  unread_ += bytes;
  if (status_ != 200) return;
  size_t at = 0;
  // The handler may end this watch.
  std::weak_ptr<bool> alive = known_.alive();
  for (size_t end; (end = unread_.find('\n', at)) != std::string::npos; at = end + 1) {
    bool goes_on = event(unread_.substr(at, end - at));
    if (alive.expired() || !goes_on) return;
  }
  unread_.erase(0, at);
  if (unread_.size() > kMostUnread) lost(make_error(Code::kInternalError, "an event without end"));
}

bool RemoteWatch::event(const std::string& line) {
  if (line.empty()) return true;
  Result<WireEvent> read = read_event(*resource_, line);
  if (!read.ok()) {
    lost(read.error());
    return false;
  }
  std::weak_ptr<bool> alive = known_.alive();
  switch (read->type) {
    case WireEvent::Type::kUpsert: known_.upsert(read->object); break;
    case WireEvent::Type::kDelete: known_.remove(read->object); break;
    case WireEvent::Type::kBookmark:
      if (read->initial_end) known_.end_list();
      break;
    case WireEvent::Type::kError:
      // The point to resume from is forgotten there, or was never known.
      if (read->error.code == Code::kExpired || read->error.code == Code::kGone) revision_ = 0;
      lost(read->error);
      return false;
  }
  if (alive.expired()) return false;
  if (known_.listing()) return true;
  // Who only ever gets the beginning of the list waits longer each time.
  failures_ = 0;
  revision_ = read->revision;
  return true;
}

void RemoteWatch::on_upsert(const ObjectRef& object) {
  Memory* memory = client_.options_.memory;
  if (memory != nullptr && !recalling_) memory->keep(target_, object);
  handler_.on_upsert(object);
}

void RemoteWatch::on_delete(const ObjectRef& last) {
  if (client_.options_.memory != nullptr) client_.options_.memory->forget(target_, last->name);
  handler_.on_delete(last);
}

void RemoteWatch::on_synced() {
  synced_ = true;
  Memory* memory = client_.options_.memory;
  if (memory != nullptr && !recalling_) memory->whole(target_, known_.names());
  handler_.on_synced();
}

// As if it were the server's list; an uncertain memory is none. What the server has no more is told
// as deleted when it is back.
void RemoteWatch::recall() {
  std::weak_ptr<bool> alive = known_.alive();
  std::optional<std::vector<ObjectRef>> kept = client_.options_.memory->all(target_);
  if (!kept) return;
  recalling_ = true;
  known_.begin_list();
  for (const ObjectRef& object : *kept) {
    known_.upsert(object);
    if (alive.expired()) return;
  }
  known_.end_list();
  if (alive.expired()) return;
  recalling_ = false;
}

void RemoteWatch::lost(const Error& error) {
  if (!synced_ && client_.options_.memory != nullptr && is_absence(error)) {
    std::weak_ptr<bool> alive = known_.alive();
    recall();
    if (alive.expired()) return;
  }
  if (error.code == Code::kExpired || error.code == Code::kGone) revision_ = 0;
  base::log(failures_ == 1 ? base::Level::kWarning : base::Level::kDebug, "client",
            "watch {} of {}: {}", target_.resource, server_, error.message);
  again();
}

void RemoteWatch::again() {
  failures_++;
  retry_->start(retry_delay_ms(failures_, client_.random_));
  call_.reset();
}

}  // namespace knarr::agent
