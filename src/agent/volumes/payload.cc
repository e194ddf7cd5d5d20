#include "agent/volumes/payload.h"

#include "agent/environment.h"
#include "base/format.h"

namespace knarr::agent {

using json::Value;

namespace {

PayloadSource source_of(PayloadSource::Kind kind, const Value& spec, const char* name_key) {
  return {kind, spec[name_key].text(), &spec};
}

mode_t item_mode(const Value& item, mode_t fallback) {
  return static_cast<mode_t>(item["mode"].as_int(fallback));
}

std::map<std::string, std::string> contents_of(const Value& object, bool secret) {
  std::map<std::string, std::string> data = object_data(object, secret);
  for (auto [key, value] : object["binaryData"].members()) {
    data[std::string(key)] = bytes_of(value.as_string());
  }
  return data;
}

// That all containers run as; -1 when they differ, or an image decides.
int64_t only_user(const Pod& pod) {
  int64_t user = -1;
  bool first = true;
  for (const ContainerSpec& c : pod.containers()) {
    const Value& own = (*c.spec)["securityContext"]["runAsUser"];
    int64_t here =
        own.is_integer() ? own.as_int() : pod.spec()["securityContext"]["runAsUser"].as_int(-1);
    if (here < 0 || (!first && here != user)) return -1;
    user = here;
    first = false;
  }
  return user;
}

}  // namespace

PayloadFile token_file(const Pod& pod, std::string token, mode_t mode) {
  int64_t user = only_user(pod);
  bool shared = user < 0 && !pod.spec()["securityContext"]["fsGroup"].is_integer();
  return {std::move(token), shared ? mode : 0600, user};
}

std::vector<PayloadSource> payload_sources(const Value& volume) {
  using Kind = PayloadSource::Kind;
  if (volume.has("configMap")) return {source_of(Kind::kConfigMap, volume["configMap"], "name")};
  if (volume.has("secret")) return {source_of(Kind::kSecret, volume["secret"], "secretName")};
  if (volume.has("downwardAPI")) return {source_of(Kind::kDownwardApi, volume["downwardAPI"], "")};
  std::vector<PayloadSource> sources;
  for (const Value& s : volume["projected"]["sources"].elements()) {
    if (s.has("configMap")) sources.push_back(source_of(Kind::kConfigMap, s["configMap"], "name"));
    if (s.has("secret")) sources.push_back(source_of(Kind::kSecret, s["secret"], "name"));
    if (s.has("downwardAPI")) {
      sources.push_back(source_of(Kind::kDownwardApi, s["downwardAPI"], ""));
    }
    if (s.has("serviceAccountToken")) {
      sources.push_back(source_of(Kind::kServiceAccountToken, s["serviceAccountToken"], ""));
    }
  }
  return sources;
}

mode_t default_mode(const Value& volume) {
  for (const char* kind : {"configMap", "secret", "downwardAPI", "projected"}) {
    if (volume.has(kind)) return static_cast<mode_t>(volume[kind]["defaultMode"].as_int(0644));
  }
  return 0644;
}

Result<void> add_object(const PayloadSource& source, const Value& object, mode_t mode,
                        Payload& payload) {
  bool secret = source.kind == PayloadSource::Kind::kSecret;
  bool optional = (*source.spec)["optional"].as_bool();
  if (object.is_null()) {
    if (optional) return {};
    return make_error(Code::kNotFound, fmt::format("{} \"{}\" not found",
                                                   secret ? "secret" : "configmap", source.name));
  }
  std::map<std::string, std::string> data = contents_of(object, secret);
  const Value& items = (*source.spec)["items"];
  if (items.empty()) {
    for (auto& [key, content] : data) payload[key] = {content, mode};
    return {};
  }
  for (const Value& item : items.elements()) {
    auto it = data.find(item["key"].text());
    if (it != data.end()) {
      payload[item["path"].text()] = {it->second, item_mode(item, mode)};
    } else if (!optional) {
      return make_error(Code::kNotFound,
                        fmt::format("references non-existent {} key: {}",
                                    secret ? "secret" : "config", item["key"].as_string()));
    }
  }
  return {};
}

Result<void> add_downward(const PayloadSource& source, const Pod& pod, const NodeFacts& node,
                          const std::vector<std::string>& pod_ips, mode_t mode, Payload& payload) {
  for (const Value& item : (*source.spec)["items"].elements()) {
    std::string content;
    if (item["fieldRef"].is_object()) {
      TRY_ASSIGN(content,
                 field_value(pod, item["fieldRef"]["fieldPath"].as_string(), node, pod_ips));
    } else {
      TRY_ASSIGN(content, resource_value(pod, item["resourceFieldRef"], nullptr, node));
    }
    payload[item["path"].text()] = {content, item_mode(item, mode)};
  }
  return {};
}

}  // namespace knarr::agent
