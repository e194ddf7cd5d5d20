#include "agent/dns/custom_dns_watch.h"

#include "base/log.h"
#include "knarr/names.h"

namespace knarr::agent {

CustomDnsWatch::CustomDnsWatch(client::Client& client, const Clock& clock,
                               const std::string& node_name, Changed changed)
    : client_(client),
      changed_(std::move(changed)),
      events_(client, clock, "knarr-dns", node_name) {}

void CustomDnsWatch::start() {
  watch_ = client_.watch(
      {"", "v1", "configmaps", kSystemNamespace, "", std::string("metadata.name=") + kDnsConfigMap},
      *this);
}

void CustomDnsWatch::on_upsert(const ObjectRef& object) {
  auto map = json::parse(object->json);
  if (!map.ok()) return;
  CustomDns custom = parse_custom_dns((*map)["data"]);
  map->set("apiVersion", "v1").set("kind", "ConfigMap");
  for (const std::string& problem : custom.problems) {
    base::log(base::Level::kWarning, "dns", "ConfigMap {}: {}", object->name.text(), problem);
    events_.record(*map, api::EventType::kWarning, "InvalidDNSConfig", problem);
  }
  changed_(std::move(custom));
}

void CustomDnsWatch::on_delete(const ObjectRef&) { changed_({}); }

}  // namespace knarr::agent
