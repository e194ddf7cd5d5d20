#include "agent/proxy/service_watch.h"

#include "base/log.h"

namespace knarr::agent {

class ServiceWatch::Handler final : public client::WatchHandler {
 public:
  Handler(ServiceWatch& watch, bool slices) : watch_(watch), slices_(slices) {}

  void on_upsert(const ObjectRef& object) override {
    auto parsed = json::parse(object->json);
    if (!parsed.ok()) {
      base::log(base::Level::kWarning, "proxy", "{}: {}", object->name.text(),
                parsed.error().message);
      return;
    }
    if (slices_) {
      put_slice(object->name, *parsed);
    } else {
      put_service(object, *parsed);
    }
  }

  void on_delete(const ObjectRef& last) override {
    if (slices_) {
      forget_slice(last->name);
      watch_.told();
    } else {
      watch_.state_.services.erase(last->name);
      watch_.objects_.erase(last->name);
      watch_.changed(last->name);
    }
  }

  void on_synced() override {
    (slices_ ? watch_.slices_synced_ : watch_.services_synced_) = true;
    watch_.told();
  }

 private:
  void put_service(const ObjectRef& object, const json::Value& json) {
    watch_.objects_[object->name] = object;
    ServiceView view = parse_service(json);
    auto [it, added] = watch_.state_.services.try_emplace(object->name);
    if (!added && it->second == view) return;
    it->second = std::move(view);
    watch_.changed(object->name);
  }

  void put_slice(const NamespacedName& name, const json::Value& json) {
    SliceView view = parse_slice(json);
    auto owner = watch_.slice_owner_.find(name);
    if (owner != watch_.slice_owner_.end() && owner->second != view.service) forget_slice(name);
    watch_.slice_owner_[name] = view.service;
    SliceView& slot = watch_.state_.slices[{name.ns, view.service}][name.name];
    if (slot == view) return;
    slot = std::move(view);
    watch_.changed({name.ns, slot.service});
  }

  void forget_slice(const NamespacedName& name) {
    auto owner = watch_.slice_owner_.find(name);
    if (owner == watch_.slice_owner_.end()) return;
    watch_.changed_.insert({name.ns, owner->second});
    auto of_service = watch_.state_.slices.find({name.ns, owner->second});
    if (of_service != watch_.state_.slices.end()) {
      of_service->second.erase(name.name);
      if (of_service->second.empty()) watch_.state_.slices.erase(of_service);
    }
    watch_.slice_owner_.erase(owner);
  }

  ServiceWatch& watch_;
  bool slices_;
};

ServiceWatch::ServiceWatch(client::Client& client) : client_(client) {}

ServiceWatch::~ServiceWatch() = default;

void ServiceWatch::start() {
  service_handler_ = std::make_unique<Handler>(*this, false);
  slice_handler_ = std::make_unique<Handler>(*this, true);
  service_watch_ = client_.watch({"", "v1", "services", "", "", ""}, *service_handler_);
  slice_watch_ =
      client_.watch({"discovery.k8s.io", "v1", "endpointslices", "", "", ""}, *slice_handler_);
}

void ServiceWatch::changed(const NamespacedName& service) {
  changed_.insert(service);
  told();
}

void ServiceWatch::told() {
  if (synced() && change_fn_) change_fn_();
}

std::vector<json::Value> ServiceWatch::services(const std::string& ns) const {
  std::vector<json::Value> out;
  auto add = [&out](const ObjectRef& object) {
    auto parsed = json::parse(object->json);
    if (parsed.ok()) out.push_back(*std::move(parsed));
  };
  NamespacedName api{"default", "kubernetes"};
  for (auto it = objects_.lower_bound({ns, ""}); it != objects_.end() && it->first.ns == ns; ++it) {
    add(it->second);
  }
  auto it = objects_.find(api);
  if (ns != api.ns && it != objects_.end()) add(it->second);
  return out;
}

}  // namespace knarr::agent
