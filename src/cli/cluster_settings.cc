#include "cli/cluster_settings.h"

#include "agent/remote/remote_watch.h"
#include "api/view/meta.h"
#include "base/log.h"
#include "knarr/names.h"

namespace knarr::cli {

namespace {

struct Setting {
  const char* name;  // the flag's
  std::string NodeOptions::*member;
};
constexpr Setting kSettings[] = {
    {"cluster-cidr", &NodeOptions::cluster_cidr},
    {"service-cidr", &NodeOptions::service_cidr},
    {"cluster-dns", &NodeOptions::cluster_dns},
    {"cluster-domain", &NodeOptions::cluster_domain},
    {"network-backend", &NodeOptions::network_backend},
    {"vxlan-port", &NodeOptions::vxlan_port},
};

}  // namespace

json::Value cluster_settings(const NodeOptions& options) {
  json::Value data = json::Value::object();
  for (const Setting& s : kSettings) data.set(s.name, options.*s.member);
  return data;
}

void take_cluster_settings(const json::Value& data, NodeOptions& options) {
  for (const Setting& s : kSettings) {
    if (data.has(s.name)) options.*s.member = data[s.name].text();
  }
}

client::Request publish_settings(const NodeOptions& options) {
  json::Value object = json::Value::object(
      {{"apiVersion", "v1"},
       {"kind", "ConfigMap"},
       {"metadata",
        json::Value::object({{"name", kClusterConfigMap}, {"namespace", kSystemNamespace}})},
       {"data", cluster_settings(options)}});
  client::Request request;
  request.verb = client::Verb::kPatch;
  request.patch_type = client::PatchType::kApply;
  request.target = {"", "v1", "configmaps", kSystemNamespace, kClusterConfigMap, ""};
  request.query = "fieldManager=knarr&force=true";
  request.body = json::write(object);
  return request;
}

ClusterSettings::ClusterSettings(Clock& clock, Random& random, client::Client& client,
                                 NodeOptions& options)
    : random_(random), client_(client), options_(options), retry_(clock.timer([this] { ask(); })) {}

ClusterSettings::~ClusterSettings() = default;

void ClusterSettings::fetch(std::function<void()> known) {
  known_ = std::move(known);
  ask();
}

void ClusterSettings::ask() {
  client::Request request;
  request.target = {"", "v1", "configmaps", kSystemNamespace, kClusterConfigMap, ""};
  client_.call(std::move(request),
               [this, alive = std::weak_ptr<bool>(alive_)](const Result<ObjectRef>& reply) {
                 if (!alive.expired()) answered(reply);
               });
}

void ClusterSettings::answered(const Result<ObjectRef>& reply) {
  if (reply.ok()) {
    take_cluster_settings(api::decode(**reply)["data"], options_);
    auto known = std::exchange(known_, nullptr);
    if (known) known();
    return;
  }
  failures_++;
  // Said at first and then each time the waiting has got long.
  bool loud = failures_ == 1 || failures_ > 6;
  base::log(loud ? base::Level::kWarning : base::Level::kDebug, "join",
            "settings of the cluster: {}", reply.error().message);
  retry_->start(agent::retry_delay_ms(failures_ + 1, random_));
}

}  // namespace knarr::cli
