#include "server/http/reply.h"

#include "api/codec/encode.h"
#include "api/codec/yaml.h"
#include "api/protobuf/protobuf.h"
#include "api/table/table.h"
#include "base/format.h"
#include "server/http/body.h"
#include "server/status/errors.h"

namespace knarr::server {
namespace {

using json::Value;

std::string warning_text(const std::string& warning) {
  std::string out = "299 - \"";
  for (char c : warning) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
  }
  return out + "\"";
}

void send_bytes(const Reply& reply, int code, net::Buffers body) {
  net::Headers headers = answer_headers(reply, content_type(reply.wanted.media));
  send_body(reply.exchange, code, std::move(headers), std::move(body), reply.clock);
}

Value page_metadata(const ListPage& page) {
  Value meta = Value::object();
  if (page.revision > 0) meta.set("resourceVersion", std::to_string(page.revision));
  if (!page.continue_token.empty()) meta.set("continue", page.continue_token);
  if (page.remaining) meta.set("remainingItemCount", *page.remaining);
  return meta;
}

// The package that holds the group's internal types, as 406 messages name it.
std::string_view package_of(std::string_view group) {
  if (group.empty() || group == "events.k8s.io") return "core";
  return group.substr(0, group.find('.'));
}

Error wrong_form(std::string_view group, std::string_view kind, bool list) {
  std::string_view asked = list ? "PartialObjectMetadata" : "PartialObjectMetadataList";
  std::string_view is = list ? "is a list" : "is not a list";
  return not_acceptable(fmt::format("you requested {}, but the requested object {} (*{}.{})", asked,
                                    is, package_of(group), kind));
}

// Metadata as it stands in the API server's internal types, where one annotation is a field.
Value inner_metadata(const Value& object) {
  Value meta = object["metadata"];
  Value* annotations = meta.find("annotations");
  if (annotations != nullptr && object["kind"].as_string() == "DaemonSet" &&
      annotations->erase("deprecated.daemonset.template.generation") && annotations->empty()) {
    meta.erase("annotations");
  }
  return meta;
}

bool send_protobuf(const Reply& reply, int code, std::string_view json) {
  std::optional<std::string> document = protobuf_of(json);
  if (!document) return false;
  net::Headers headers = answer_headers(reply, "application/vnd.kubernetes.protobuf");
  send_body(reply.exchange, code, std::move(headers), *std::move(document), reply.clock);
  return true;
}

// Objects as a list in JSON: their own bytes, joined.
class JsonList {
 public:
  JsonList(const api::ResourceInfo& resource, std::string head, std::vector<ObjectRef> items)
      : resource_(resource), head_(std::move(head)), items_(std::move(items)) {
    if (!items_.empty()) skip_ = type_meta_size(items_[0]->json);
  }

  net::Buffers next(size_t about) {
    net::Buffers out(std::exchange(head_, {}));
    for (; next_ < items_.size() && out.size() < about; next_++) {
      ObjectRef object = std::move(items_[next_]);
      if (next_ > 0) out.append(net::Slice::constant(","));
      if (presented_as_stored(resource_)) {
        out.append(net::Slice::constant("{"));
        out.append(net::Slice(object, std::string_view(object->json).substr(skip_)));
      } else {
        out.append(net::Slice(item_json(resource_, *object)));
      }
    }
    if (next_ == items_.size() && !std::exchange(ended_, true)) {
      out.append(net::Slice::constant("]}\n"));
    }
    return out;
  }

 private:
  const api::ResourceInfo& resource_;
  std::string head_;
  std::vector<ObjectRef> items_;
  size_t skip_ = 0;
  size_t next_ = 0;
  bool ended_ = false;
};

// Encodes a list in protobuf over several turns of the loop, then sends it: its beginning says how
// long it is.
class ProtobufListReply final : public std::enable_shared_from_this<ProtobufListReply> {
 public:
  ProtobufListReply(const Reply& reply, const api::ResourceInfo& resource, const api::Type& type,
                    ListPage page)
      : reply_(reply), resource_(resource), page_(std::move(page)), list_(type) {}

  void next() {
    if (!reply_.exchange->open()) return;
    for (size_t end = std::min(page_.items.size(), next_ + kAtOnce); next_ < end; next_++) {
      ObjectRef object = std::move(page_.items[next_]);
      std::string made;
      if (!presented_as_stored(resource_)) made = presented_json(resource_, *object);
      Result<Value> value = json::parse(made.empty() ? std::string_view(object->json) : made);
      if (!value.ok()) value = Value();
      list_.add(*value);
    }
    if (next_ == page_.items.size()) return send();
    reply_.clock->defer([self = shared_from_this()] { self->next(); });
  }

 private:
  static constexpr size_t kAtOnce = 100;

  void send() {
    net::Buffers body;
    for (std::string& part :
         list_.finish(resource_.api_version(), resource_.list_kind, page_metadata(page_))) {
      body.append(net::Slice(std::move(part)));
    }
    net::Headers headers = answer_headers(reply_, "application/vnd.kubernetes.protobuf");
    send_body(reply_.exchange, 200, std::move(headers), std::move(body), reply_.clock);
  }

  Reply reply_;
  const api::ResourceInfo& resource_;
  ListPage page_;
  api::ProtobufList list_;
  size_t next_ = 0;
};

std::string list_head(std::string_view kind, std::string_view version, const Value& meta) {
  return fmt::format("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{},\"items\":[", kind,
                     version, json::write(meta));
}

}  // namespace

std::optional<std::string> protobuf_of(std::string_view json) {
  Result<Value> value = json::parse(json);
  if (!value.ok()) return std::nullopt;
  std::string kind = (*value)["kind"].text();
  std::string version = (*value)["apiVersion"].text();
  std::string_view group;
  std::string_view v;
  if (!api::split_api_version(version, group, v)) return std::nullopt;
  const api::Type* type = api::find_type(group, v, kind);
  if (type == nullptr) type = api::find_type("meta.k8s.io", "v1", kind);
  if (type == nullptr) return std::nullopt;
  return api::encode_protobuf(*type, *value);
}

net::Headers answer_headers(const Reply& reply, std::string_view type) {
  net::Headers headers{{"Cache-Control", "no-cache, private"}};
  if (reply.exchange != nullptr) {
    std::string_view id = reply.exchange->request.headers.get(kAuditId);
    if (!id.empty()) headers.add(kAuditId, id);
  }
  if (!type.empty()) headers.add("Content-Type", type);
  if (reply.retry_after_seconds > 0) {
    headers.add("Retry-After", std::to_string(reply.retry_after_seconds));
  }
  for (size_t i = 0; i < reply.warnings.size(); i++) {
    bool repeated = false;
    for (size_t j = 0; j < i; j++) repeated = repeated || reply.warnings[j] == reply.warnings[i];
    if (!repeated) headers.add("Warning", warning_text(reply.warnings[i]));
  }
  return headers;
}

void send_json(const Reply& reply, int code, std::string json) {
  if (reply.wanted.protobuf && send_protobuf(reply, code, json)) return;
  if (reply.wanted.media == api::Media::kYaml) {
    Result<Value> value = json::parse(json);
    if (value.ok()) return send_bytes(reply, code, api::write_yaml(*value));
  }
  json += '\n';
  send_bytes(reply, code, std::move(json));
}

void send_status(const Reply& reply, const Error& error) {
  if (error.details != nullptr && error.details->retry_after_seconds > 0) {
    Reply later = reply;
    later.retry_after_seconds = error.details->retry_after_seconds;
    return send_json(later, http_status(error.code), status_json(error));
  }
  send_json(reply, http_status(error.code), status_json(error));
}

void send_error(const net::ExchangePtr& exchange, const Error& error) {
  Reply reply;
  reply.exchange = exchange;
  send_status(reply, error);
}

void send_text(const net::ExchangePtr& exchange, int code, std::string text) {
  Reply reply;
  reply.exchange = exchange;
  net::Headers headers = answer_headers(reply, "text/plain; charset=utf-8");
  headers.add("X-Content-Type-Options", "nosniff");
  exchange->respond(code, std::move(headers), std::move(text));
}

std::string partial_json(std::string_view object_json, std::string_view version) {
  Result<Value> value = json::parse(object_json);
  Value meta = value.ok() ? inner_metadata(*value) : Value::object();
  return json::write(Value::object({{"kind", "PartialObjectMetadata"},
                                    {"apiVersion", "meta.k8s.io/" + std::string(version)},
                                    {"metadata", std::move(meta)}}));
}

namespace {

Result<Value> table_value(const Reply& reply, std::string_view group, std::string_view plural,
                          std::vector<Value> values, Value metadata, bool columns, int64_t now_us) {
  const std::string& include = reply.include_object;
  if (!include.empty() && include != "None" && include != "Metadata" && include != "Object") {
    return bad_request(fmt::format(
        "Unable to convert to Table as requested: includeObject: Invalid value: \"{}\": must be "
        "'Metadata', 'Object', 'None', or empty",
        include));
  }
  api::Table table = api::to_table(group, plural, values, now_us);
  std::string version = "meta.k8s.io/" + reply.wanted.version;
  Value rows = Value::array();
  for (size_t i = 0; i < table.rows.size(); i++) {
    Value row = api::table_row_json(table.rows[i]);
    if (include == "Object") {
      row.set("object", std::move(values[i]));
    } else if (include != "None") {
      row.set("object", Value::object({{"kind", "PartialObjectMetadata"},
                                       {"apiVersion", version},
                                       {"metadata", inner_metadata(values[i])}}));
    } else {
      row.set("object", Value());
    }
    rows.push_back(std::move(row));
  }
  Value out = Value::object({{"kind", "Table"}, {"apiVersion", version}});
  out.set("metadata", std::move(metadata));
  out.set("columnDefinitions", columns ? api::table_columns_json(table) : Value());
  out.set("rows", std::move(rows));
  return out;
}

}  // namespace

Result<Value> table_of(const Reply& reply, const api::ResourceInfo& resource,
                       const std::vector<ObjectRef>& objects, Value metadata, bool columns,
                       int64_t now_us) {
  std::vector<Value> values;
  values.reserve(objects.size());
  for (const ObjectRef& object : objects) {
    Result<Value> value = json::parse(presented_json(resource, *object));
    values.push_back(value.ok() ? *std::move(value) : Value::object());
  }
  return table_value(reply, resource.group, resource.plural, std::move(values), std::move(metadata),
                     columns, now_us);
}

void send_virtual(const Reply& reply, int code, std::string json, int64_t now_us) {
  if (reply.wanted.form == Form::kPlain) return send_json(reply, code, std::move(json));
  Result<Value> value = json::parse(json);
  if (!value.ok() || (*value)["kind"].as_string() == "Status") {
    return send_json(reply, code, std::move(json));
  }
  if (reply.wanted.form == Form::kPartial) {
    return send_json(reply, code, partial_json(json, reply.wanted.version));
  }
  std::string kind = (*value)["kind"].text();
  std::string version = (*value)["apiVersion"].text();
  std::string_view group;
  std::string_view v;
  api::split_api_version(version, group, v);
  if (reply.wanted.form == Form::kPartialList) {
    return send_status(reply, wrong_form(group, kind, false));
  }
  Value meta = Value::object();
  std::string_view revision = (*value)["metadata"]["resourceVersion"].as_string();
  if (!revision.empty()) meta.set("resourceVersion", revision);
  Result<Value> table = table_value(reply, group, kind == "Scale" ? "scales" : "", {*value},
                                    std::move(meta), true, now_us);
  if (!table.ok()) return send_status(reply, table.error());
  send_json(reply, code, json::write(*table));
}

void send_object(const Reply& reply, int code, const api::ResourceInfo& resource,
                 const ObjectRef& object, int64_t now_us) {
  switch (reply.wanted.form) {
    case Form::kTable: {
      Value meta = Value::object();
      if (object->revision > 0) meta.set("resourceVersion", std::to_string(object->revision));
      Result<Value> table = table_of(reply, resource, {object}, std::move(meta), true, now_us);
      if (!table.ok()) return send_status(reply, table.error());
      return send_json(reply, code, json::write(*table));
    }
    case Form::kPartial:
      return send_json(reply, code,
                       partial_json(presented_json(resource, *object), reply.wanted.version));
    case Form::kPartialList:
      return send_status(reply, wrong_form(resource.group, resource.kind, false));
    default: break;
  }
  if (reply.wanted.media == api::Media::kYaml || reply.wanted.protobuf ||
      !presented_as_stored(resource)) {
    return send_json(reply, code, presented_json(resource, *object));
  }
  net::Buffers body(net::Slice(object, object->json));
  body.append(net::Slice::constant("\n"));
  send_bytes(reply, code, std::move(body));
}

void send_list(const Reply& reply, const api::ResourceInfo& resource, ListPage page,
               int64_t now_us) {
  Value meta = page_metadata(page);
  switch (reply.wanted.form) {
    case Form::kTable: {
      Result<Value> table = table_of(reply, resource, page.items, std::move(meta), true, now_us);
      if (!table.ok()) return send_status(reply, table.error());
      return send_json(reply, 200, json::write(*table));
    }
    case Form::kPartial:
      return send_status(reply, wrong_form(resource.group, resource.list_kind, true));
    case Form::kPartialList: {
      std::string out =
          list_head("PartialObjectMetadataList", "meta.k8s.io/" + reply.wanted.version, meta);
      for (size_t i = 0; i < page.items.size(); i++) {
        if (i > 0) out += ',';
        out += partial_json(page.items[i]->json, reply.wanted.version);
      }
      // Go writes a list that was never appended to as null.
      if (page.items.empty()) out.replace(out.size() - 1, 1, "null}");
      return send_json(reply, 200, page.items.empty() ? out : out + "]}");
    }
    default: break;
  }
  const api::Type* list = api::find_type(resource.group, resource.version, resource.list_kind);
  if (reply.wanted.protobuf && list != nullptr && reply.clock != nullptr) {
    return std::make_shared<ProtobufListReply>(reply, resource, *list, std::move(page))->next();
  }
  std::string head = list_head(resource.list_kind, resource.api_version(), meta);
  auto items = std::make_shared<JsonList>(resource, std::move(head), std::move(page.items));
  if (reply.wanted.media == api::Media::kYaml || reply.wanted.protobuf || reply.clock == nullptr) {
    std::string text = items->next(SIZE_MAX).text();
    text.pop_back();
    return send_json(reply, 200, std::move(text));
  }
  send_body(
      reply.exchange, 200, answer_headers(reply, content_type(reply.wanted.media)),
      [items](size_t about) { return items->next(about); }, *reply.clock);
}

}  // namespace knarr::server
