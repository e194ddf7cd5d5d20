#include "server/http/watch_stream.h"

#include <algorithm>

#include "api/codec/encode.h"
#include "api/protobuf/protobuf.h"
#include "base/log.h"
#include "server/status/errors.h"

namespace knarr::server {
namespace {

using json::Value;

// A reader that lets this much wait, beyond what it was sent at the start, is cut off and lists
// again.
constexpr size_t kQueueLimit = 8 * 1024 * 1024;
constexpr size_t kGatheredBytes = 64 * 1024;

// Numbers of shared encodings; the rest is made for each watcher.
constexpr int kPartialJson = 0;
constexpr int kProtobuf = 1;
constexpr int kPartialProtobuf = 2;

std::string_view type_name(EventType type) {
  switch (type) {
    case EventType::kAdded: return "ADDED";
    case EventType::kModified: return "MODIFIED";
    default: return "DELETED";
  }
}

// An event on the wire: a line of JSON, or a frame of protobuf.
std::string frame(bool protobuf, std::string_view type, std::string_view object) {
  if (protobuf) {
    std::optional<std::string> document = protobuf_of(object);
    return api::encode_protobuf_event(type, document ? *document : "");
  }
  std::string out;
  out.reserve(object.size() + type.size() + 24);
  out.append("{\"type\":\"").append(type).append("\",\"object\":").append(object).append("}\n");
  return out;
}

// The same line, around the object's own bytes.
net::Buffers json_line(EventType type, const ObjectRef& object) {
  net::Buffers out;
  switch (type) {
    case EventType::kAdded: out = "{\"type\":\"ADDED\",\"object\":"; break;
    case EventType::kModified: out = "{\"type\":\"MODIFIED\",\"object\":"; break;
    default: out = "{\"type\":\"DELETED\",\"object\":"; break;
  }
  out.append(net::Slice(object, object->json));
  out.append(net::Slice::constant("}\n"));
  return out;
}

class WatchStream final : public WatchSink, public std::enable_shared_from_this<WatchStream> {
 public:
  WatchStream(Registry& registry, Reply reply, const api::ResourceInfo& resource)
      : registry_(registry), reply_(std::move(reply)), resource_(resource) {}

  void begin(const Request& request, const ListQuery& query, int64_t timeout_ms) {
    Result<std::unique_ptr<Watch>> watch = registry_.watch(request, query, *this);
    if (!watch.ok() && watch.error().code != Code::kExpired) {
      return send_status(reply_, watch.error());
    }
    if (reply_.wanted.form == Form::kTable) {
      Result<Value> probe = table_of(reply_, resource_, {}, Value::object(), false, 0);
      if (!probe.ok()) return send_status(reply_, probe.error());
    }
    const net::ExchangePtr& exchange = reply_.exchange;
    exchange->start(200,
                    answer_headers(reply_, reply_.wanted.protobuf
                                               ? "application/vnd.kubernetes.protobuf;stream=watch"
                                               : "application/json"));
    if (!watch.ok()) return on_error(watch.error());
    auto self = shared_from_this();
    exchange->on_close([self] { self->stop(); });
    timer_ = registry_.clock().timer([this] { finish(); });
    timer_->start(timeout_ms);
    watch_ = *std::move(watch);
    watch_->start();
    send_gathered();
    start_bytes_ = exchange->queued_bytes();
  }

  void on_event(const WatchEvent& event) override {
    if (over_) return;
    if (reply_.wanted.form == Form::kPartialList) return;
    if (!event.past && too_slow()) {
      base::log(base::Level::kInfo, "http", "watch of {}: reader too slow, closed",
                resource_.plural);
      auto self = shared_from_this();
      reply_.exchange->abort();
      return stop();
    }
    if (reply_.wanted.form == Form::kTable) return write(table_line(event));
    bool shared = reply_.wanted.form == Form::kPlain ? presented_as_stored(resource_)
                                                     : reply_.wanted.version == "v1";
    if (!shared) return write(encode(event.type, *event.object()));
    bool plain = reply_.wanted.form == Form::kPlain;
    if (plain && !reply_.wanted.protobuf) {
      return send(json_line(event.type, event.object()), event.past);
    }
    int encoding = !reply_.wanted.protobuf ? kPartialJson : plain ? kProtobuf : kPartialProtobuf;
    Encoded text = event.encoded(
        encoding, [this](EventType type, const Object& object) { return encode(type, object); });
    send(net::Buffers(std::move(text)), event.past);
  }

  void on_bookmark(kv::Revision revision, bool initial_end) override {
    if (over_ || reply_.wanted.form == Form::kPartialList) return;
    Value meta = Value::object({{"resourceVersion", std::to_string(revision)}});
    if (initial_end) {
      meta.set("annotations", Value::object({{"k8s.io/initial-events-end", "true"}}));
    }
    Value object = Value::object(
        {{"kind", resource_.kind}, {"apiVersion", resource_.api_version()}, {"metadata", meta}});
    std::string json = api::encode_json(*resource_.type, object);
    if (reply_.wanted.form == Form::kPartial) json = partial_json(json, reply_.wanted.version);
    if (reply_.wanted.form == Form::kTable) {
      auto shown = std::make_shared<Object>();
      shown->json = json;
      shown->revision = revision;
      write(line("BOOKMARK", table_json(shown)));
      return;
    }
    write(line("BOOKMARK", json));
  }

  void on_error(const Error& error) override {
    if (over_) return;
    write(line("ERROR", status_json(error)));
    finish();
  }

 private:
  bool too_slow() {
    size_t queued = reply_.exchange->queued_bytes();
    start_bytes_ = std::min(start_bytes_, queued);
    return queued > start_bytes_ + kQueueLimit;
  }

  std::string line(std::string_view type, std::string_view object) const {
    return frame(reply_.wanted.protobuf, type, object);
  }

  std::string encode(EventType type, const Object& object) const {
    if (reply_.wanted.form == Form::kPartial) {
      return line(type_name(type), partial_json(object.json, reply_.wanted.version));
    }
    if (presented_as_stored(resource_)) return line(type_name(type), object.json);
    return line(type_name(type), presented_json(resource_, object));
  }

  std::string table_json(const ObjectRef& object) {
    Value meta = Value::object({{"resourceVersion", std::to_string(object->revision)}});
    Result<Value> table = table_of(reply_, resource_, {object}, std::move(meta), !told_columns_,
                                   registry_.clock().now_us());
    told_columns_ = true;
    return table.ok() ? json::write(*table) : "null";
  }

  std::string table_line(const WatchEvent& event) {
    return line(type_name(event.type), table_json(event.object()));
  }

  void write(std::string text) { send(net::Buffers(std::move(text)), false); }

  // What is told at the start comes all at once, and goes in few writes.
  void send(net::Buffers bytes, bool gather) {
    gathered_.append(std::move(bytes));
    if (!gather || gathered_.size() >= kGatheredBytes) send_gathered();
  }
  void send_gathered() {
    if (!gathered_.empty()) reply_.exchange->write(std::exchange(gathered_, {}));
  }

  void finish() {
    if (over_) return;
    send_gathered();
    auto self = shared_from_this();
    reply_.exchange->finish();
    stop();
  }

  void stop() {
    over_ = true;
    watch_.reset();
    if (timer_ != nullptr) timer_->stop();
  }

  Registry& registry_;
  Reply reply_;
  const api::ResourceInfo& resource_;
  std::unique_ptr<Watch> watch_;
  std::unique_ptr<Timer> timer_;
  net::Buffers gathered_;
  size_t start_bytes_ = 0;  // at most so much of the start still waits
  bool over_ = false;
  bool told_columns_ = false;
};

}  // namespace

void stream_watch(Registry& registry, Reply reply, const Request& request, const ListQuery& query,
                  int64_t timeout_ms) {
  std::make_shared<WatchStream>(registry, std::move(reply), *request.resource)
      ->begin(request, query, timeout_ms);
}

}  // namespace knarr::server
