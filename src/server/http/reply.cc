#include "server/http/reply.h"

#include "api/codec/yaml.h"
#include "api/protobuf/protobuf.h"
#include "base/format.h"
#include "server/http/body.h"
#include "server/http/reply_forms.h"
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

bool send_protobuf(const Reply& reply, int code, std::string_view json) {
  std::optional<std::string> document = protobuf_of(json);
  if (!document) return false;
  net::Headers headers = answer_headers(reply, "application/vnd.kubernetes.protobuf");
  send_body(reply.exchange, code, std::move(headers), *std::move(document), reply.clock);
  return true;
}

}  // namespace

std::optional<std::string> protobuf_of(std::string_view json) {
  std::optional<api::TypeMeta> meta = api::type_meta_of(json);
  std::string_view group;
  std::string_view v;
  if (!meta || !api::split_api_version(meta->api_version, group, v)) return std::nullopt;
  const api::Type* type = api::find_type(group, v, meta->kind);
  if (type == nullptr) type = api::find_type("meta.k8s.io", "v1", meta->kind);
  if (type == nullptr) return std::nullopt;
  return api::encode_protobuf(*type, json);
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
  Result<void> known = check_include_object(reply);
  if (!known.ok()) return send_status(reply, known.error());
  Value table = table_value(reply, group, kind == "Scale" ? "scales" : "", {*value},
                            std::move(meta), true, now_us);
  send_json(reply, code, json::write(table));
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

}  // namespace knarr::server
