// configMap, secret, downwardAPI and projected volumes: files gathered from objects, kept up to
// date as the objects change, and service account tokens, renewed before they expire.
//
// Every object is watched by name, so that a change reaches the files without polling. A token is
// asked for once, and again when four fifths of its time are over.
#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "agent/volumes/mount_point.h"
#include "agent/volumes/payload.h"
#include "agent/volumes/volume.h"
#include "base/file.h"
#include "base/log.h"
#include "base/time.h"

namespace knarr::agent {

using json::Value;
using Kind = PayloadSource::Kind;

namespace {

constexpr int64_t kTokenRetryMs = 30 * 1000;

// The newest state of one configMap or secret.
class WatchedObject final : public client::WatchHandler {
 public:
  WatchedObject(client::Client& client, const std::string& ns, const PayloadSource& source,
                std::function<void()> changed)
      : changed_(std::move(changed)) {
    const char* resource = source.kind == Kind::kSecret ? "secrets" : "configmaps";
    watch_ = client.watch({"", "v1", resource, ns, "", "metadata.name=" + source.name}, *this);
  }
  void on_upsert(const ObjectRef& object) override {
    auto value = json::parse(object->json);
    object_ = value.ok() ? *std::move(value) : Value();
    if (synced_) changed_();
  }
  void on_delete(const ObjectRef&) override {
    object_ = Value();
    if (synced_) changed_();
  }
  void on_synced() override {
    synced_ = true;
    changed_();
  }
  bool synced() const { return synced_; }
  const Value& object() const { return object_; }

 private:
  std::function<void()> changed_;
  std::unique_ptr<client::Watch> watch_;
  Value object_;  // null: does not exist
  bool synced_ = false;
};

class Projected final : public Volume {
 public:
  explicit Projected(VolumeContext context) : context_(std::move(context)) {
    in_memory_ = !context_.spec().has("configMap");
  }
  ~Projected() override { *alive_ = false; }

  void set_up(Callback<void> done) override {
    done_ = std::move(done);
    begin();
    write_when_ready();
  }
  std::string path() const override { return context_.folder; }
  bool read_only() const override { return true; }
  void update(const PodRef& pod) override {
    context_.pod = pod;
    if (written_) write_when_ready();
  }

 private:
  struct Token {
    std::string text;
    bool asked = false;
    std::string error;
    std::unique_ptr<Timer> renewal;
  };

  // Starts what is not yet started: a watch an object, a request a token.
  void begin() {
    std::vector<PayloadSource> sources = payload_sources(context_.spec());
    for (size_t i = 0; i < sources.size(); i++) {
      const PayloadSource& source = sources[i];
      if (source.kind == Kind::kServiceAccountToken) {
        if (tokens_[i].text.empty() && !tokens_[i].asked) ask_token(i, source);
      } else if (source.kind != Kind::kDownwardApi && objects_.count(key(source)) == 0) {
        objects_[key(source)] = nullptr;  // a watch may answer at once
        objects_[key(source)] = std::make_unique<WatchedObject>(
            *context_.client, context_.pod->ns(), source, [this] { schedule(); });
      }
    }
  }

  static std::string key(const PayloadSource& source) {
    return (source.kind == Kind::kSecret ? "s/" : "c/") + source.name;
  }

  // Not from within a watch's own call.
  void schedule() {
    std::weak_ptr<bool> alive = alive_;
    context_.clock->defer([this, alive] {
      if (!alive.expired()) write_when_ready();
    });
  }

  bool ready() const {
    for (const auto& [name, object] : objects_) {
      if (!object || !object->synced()) return false;
    }
    for (const auto& [index, token] : tokens_) {
      if (token.text.empty() && token.error.empty()) return false;
    }
    return true;
  }

  // One write at a time: what changes meanwhile is written after it.
  void write_when_ready() {
    if (!ready()) return;
    if (writing_) {
      again_ = true;
      return;
    }
    auto payload = gather();
    if (!payload.ok()) return answer(payload.error());
    writing_ = true;
    std::weak_ptr<bool> alive = alive_;
    context_.run(
        [folder = context_.folder, in_memory = in_memory_, payload = *std::move(payload),
         owner = context_.ownership(true), now_us = context_.clock->now_us()] {
          return write(folder, in_memory, payload, owner, now_us);
        },
        [this, alive](const Result<void>& result) {
          if (alive.expired()) return;
          writing_ = false;
          if (std::exchange(again_, false)) return write_when_ready();
          answer(result);
        });
  }

  void answer(const Result<void>& result) {
    if (result.ok()) written_ = true;
    if (done_) {
      auto done = std::exchange(done_, nullptr);
      done(result);
    } else if (!result.ok()) {
      // A running pod keeps the files it has.
      base::log(base::Level::kWarning, "agent", "volume {} of {}: {}", context_.name,
                context_.pod->full_name(), result.error().message);
    }
  }

  Result<Payload> gather() {
    mode_t mode = default_mode(context_.spec());
    Payload payload;
    std::vector<PayloadSource> sources = payload_sources(context_.spec());
    for (size_t i = 0; i < sources.size(); i++) {
      const PayloadSource& source = sources[i];
      switch (source.kind) {
        case Kind::kServiceAccountToken: {
          Token& token = tokens_[i];
          if (token.text.empty()) {
            std::string why = std::exchange(token.error, "");
            return make_error(Code::kServiceUnavailable, "failed to fetch token: " + why);
          }
          payload[(*source.spec)["path"].text()] = token_file(*context_.pod, token.text, mode);
          break;
        }
        case Kind::kDownwardApi:
          TRY(add_downward(source, *context_.pod, *context_.node, {}, mode, payload));
          break;
        default: TRY(add_object(source, objects_[key(source)]->object(), mode, payload));
      }
    }
    return payload;
  }

  static Result<void> write(const std::string& folder, bool in_memory, const Payload& payload,
                            const Ownership& owner, int64_t now_us) {
    TRY(base::make_dirs(folder));
    if (in_memory) {
      TRY(mount_tmpfs(folder, 0));
    } else if (chmod(folder.c_str(), 0777) != 0) {
      return errno_error(errno, "chmod " + folder);
    }
    TRY(write_payload(folder, payload, owner, now_us));
    return give_to_group(folder, owner);
  }

  void ask_token(size_t index, const PayloadSource& source) {
    tokens_[index].asked = true;
    const Pod& pod = *context_.pod;
    Value bound = Value::object(
        {{"apiVersion", "v1"}, {"kind", "Pod"}, {"name", pod.name()}, {"uid", pod.uid()}});
    Value spec =
        Value::object({{"expirationSeconds", (*source.spec)["expirationSeconds"].as_int(3600)},
                       {"boundObjectRef", bound}});
    std::string audience = (*source.spec)["audience"].text();
    spec.set("audiences", audience.empty() ? Value::array() : Value::array({audience}));
    client::Request request;
    request.verb = client::Verb::kCreate;
    std::string account(pod.spec()["serviceAccountName"].as_string("default"));
    request.target = {"", "v1", "serviceaccounts", pod.ns(), account, "token"};
    request.body = json::write(Value::object(
        {{"apiVersion", "authentication.k8s.io/v1"}, {"kind", "TokenRequest"}, {"spec", spec}}));
    std::weak_ptr<bool> alive = alive_;
    context_.client->call(std::move(request), [this, alive, index](Result<ObjectRef> reply) {
      if (alive.expired()) return;
      got_token(index, reply);
    });
  }

  void got_token(size_t index, const Result<ObjectRef>& reply) {
    Token& token = tokens_[index];
    token.asked = false;
    auto answer = reply.ok() ? json::parse((*reply)->json) : Result<Value>(reply.error());
    int64_t renew_ms = kTokenRetryMs;
    if (answer.ok()) {
      token.text = (*answer)["status"]["token"].text();
      auto expires = base::parse_time((*answer)["status"]["expirationTimestamp"].as_string());
      if (expires.ok()) renew_ms = (*expires - context_.clock->now_us()) / 1000 * 4 / 5;
    } else {
      token.error = answer.error().message;
    }
    token.renewal = context_.clock->timer([this, index] {
      std::vector<PayloadSource> sources = payload_sources(context_.spec());
      if (index < sources.size()) ask_token(index, sources[index]);
    });
    if (!token.text.empty()) token.renewal->start(std::max(renew_ms, kTokenRetryMs));
    schedule();
  }

  VolumeContext context_;
  bool in_memory_ = false;
  bool written_ = false;
  bool writing_ = false, again_ = false;
  Callback<void> done_;
  std::map<std::string, std::unique_ptr<WatchedObject>> objects_;
  std::map<size_t, Token> tokens_;  // by index of the source
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

std::unique_ptr<Volume> make_projected(VolumeContext context) {
  return std::make_unique<Projected>(std::move(context));
}

}  // namespace knarr::agent
