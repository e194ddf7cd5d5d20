#include "server/controllers/garbage_collector.h"

#include <algorithm>

#include "api/resource.h"
#include "api/view/meta.h"

namespace knarr::server {

namespace {
constexpr const char* kForeground = "foregroundDeletion";
constexpr const char* kOrphan = "orphan";

bool has_finalizer(const json::Value& value, std::string_view finalizer) {
  for (const json::Value& f : value["metadata"]["finalizers"].elements()) {
    if (f.as_string() == finalizer) return true;
  }
  return false;
}
}  // namespace

GarbageCollector::GarbageCollector(const ControllerContext& context, Discover discover)
    : Controller(context, "garbage-collector-controller", 64),
      discover_(std::move(discover)),
      known_(discover_()) {}

std::vector<GroupResource> GarbageCollector::watches() const {
  std::vector<GroupResource> all;
  for (const DeletableResource& r : known_) {
    if (r.plural != "events") all.push_back({r.group, r.plural});
  }
  return all;
}

void GarbageCollector::want(const GroupResource& r, const NamespacedName& name) {
  enqueue({r.group + "\n" + r.resource + "\n" + name.ns, name.name});
}

void GarbageCollector::on_change(const GroupResource& resource, const ObjectRef& previous,
                                 const ObjectRef& object) {
  if (object == nullptr) {
    context_.cache.for_each_owned(
        previous->uid,
        [&](const GroupResource& r, const ObjectRef& dependent) { want(r, dependent->name); });
    // Owners that wait in the foreground for this one.
    for (const OwnerRef& owner : previous->owners) {
      ObjectRef found;
      presence(owner, previous->name.ns, &found);
      if (found == nullptr || !found->deleting) continue;
      std::string_view group, version;
      if (!api::split_api_version(owner.api_version, group, version)) continue;
      for (const DeletableResource& r : known_) {
        if (r.group == group && r.kind == owner.kind) want({r.group, r.plural}, found->name);
      }
    }
    return;
  }
  bool owners_changed =
      previous == nullptr || previous->owners.size() != object->owners.size() ||
      !std::equal(object->owners.begin(), object->owners.end(), previous->owners.begin(),
                  [](const OwnerRef& a, const OwnerRef& b) {
                    return a.uid == b.uid && a.block_owner_deletion == b.block_owner_deletion;
                  });
  if (object->deleting || (owners_changed && !object->owners.empty())) want(resource, object->name);
  if (owners_changed && previous != nullptr) {
    for (const OwnerRef& owner : previous->owners) {
      ObjectRef found;
      presence(owner, previous->name.ns, &found);
      std::string_view group, version;
      if (found == nullptr || !found->deleting ||
          !api::split_api_version(owner.api_version, group, version)) {
        continue;
      }
      for (const DeletableResource& r : known_) {
        if (r.group == group && r.kind == owner.kind) want({r.group, r.plural}, found->name);
      }
    }
  }
}

const DeletableResource* GarbageCollector::find(const GroupResource& resource) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    for (const DeletableResource& r : known_) {
      if (r.group == resource.group && r.plural == resource.resource) return &r;
    }
    if (attempt == 0) known_ = discover_();
  }
  return nullptr;
}

GarbageCollector::Presence GarbageCollector::presence(const OwnerRef& owner, const std::string& ns,
                                                      ObjectRef* found) {
  std::string_view group, version;
  if (!api::split_api_version(owner.api_version, group, version)) return Presence::kUnknown;
  for (const DeletableResource& r : known_) {
    if (r.group != group || r.kind != owner.kind) continue;
    ObjectRef object =
        context_.cache.get({{r.group, r.plural}, {r.namespaced ? ns : "", owner.name}});
    if (object == nullptr || object->uid != owner.uid) return Presence::kAbsent;
    if (found != nullptr) *found = object;
    return Presence::kHere;
  }
  return Presence::kUnknown;
}

client::Target GarbageCollector::target(const ObjectKey& key) {
  const DeletableResource* r = find(key.resource);
  return {key.resource.group,    r != nullptr ? r->version : "v1",
          key.resource.resource, key.name.ns,
          key.name.name,         ""};
}

void GarbageCollector::remove(const PassRef& pass, const ObjectKey& key, const ObjectRef& object,
                              const char* propagation) {
  json::Value options =
      json::Value::object({{"kind", "DeleteOptions"},
                           {"apiVersion", "v1"},
                           {"propagationPolicy", propagation},
                           {"preconditions", json::Value::object({{"uid", object->uid}})}});
  pass->remove({client::Verb::kDelete, target(key), json::write(options), {}, {}});
}

void GarbageCollector::reconcile(const NamespacedName& packed, const PassRef& pass) {
  size_t first = packed.ns.find('\n');
  size_t second = packed.ns.find('\n', first + 1);
  ObjectKey key{{packed.ns.substr(0, first), packed.ns.substr(first + 1, second - first - 1)},
                {packed.ns.substr(second + 1), packed.name}};
  ObjectRef object = context_.cache.get(key);
  if (object == nullptr) return;
  if (!object->deleting) {
    if (!object->owners.empty()) collect(pass, key, object);
    return;
  }
  json::Value value = api::decode(*object);
  if (has_finalizer(value, kOrphan)) {
    orphan(pass, key, object);
  } else if (has_finalizer(value, kForeground)) {
    foreground(pass, key, object);
  }
}

// Owners of three sorts: solid ones keep it; dangling ones are taken from it while a solid one is
// left; owners that wait for it in the foreground make it go, in the foreground if it has
// dependents of its own.
void GarbageCollector::collect(const PassRef& pass, const ObjectKey& key, const ObjectRef& object) {
  std::vector<std::string> dangling, waiting;
  bool solid = false;
  for (const OwnerRef& owner : object->owners) {
    ObjectRef found;
    switch (presence(owner, object->name.ns, &found)) {
      case Presence::kUnknown: solid = true; break;
      case Presence::kAbsent: dangling.push_back(owner.uid); break;
      case Presence::kHere:
        if (found->deleting && has_finalizer(api::decode(*found), kForeground)) {
          waiting.push_back(owner.uid);
        } else {
          solid = true;
        }
        break;
    }
  }
  if (solid) {
    if (dangling.empty() && waiting.empty()) return;
    json::Value references = json::Value::array();
    for (const auto* list : {&dangling, &waiting}) {
      for (const std::string& uid : *list) {
        references.push_back(json::Value::object({{"$patch", "delete"}, {"uid", uid}}));
      }
    }
    json::Value patch = json::Value::object(
        {{"metadata", json::Value::object(
                          {{"uid", object->uid}, {"ownerReferences", std::move(references)}})}});
    pass->remove({client::Verb::kPatch,
                  target(key),
                  json::write(patch),
                  client::PatchType::kStrategicMerge,
                  {}});
    return;
  }
  bool has_dependents = false, circle = false;
  context_.cache.for_each_owned(object->uid, [&](const GroupResource&, const ObjectRef& d) {
    has_dependents = true;
    circle |= d->deleting && has_finalizer(api::decode(*d), kForeground);
  });
  bool in_foreground = !waiting.empty() && has_dependents;
  if (in_foreground && circle) unblock(pass, key, object);
  json::Value value = api::decode(*object);
  const char* propagation = has_finalizer(value, kOrphan)                        ? "Orphan"
                            : has_finalizer(value, kForeground) || in_foreground ? "Foreground"
                                                                                 : "Background";
  remove(pass, key, object, propagation);
}

// Two that wait for each other would wait forever: this one stops holding its owners back.
void GarbageCollector::unblock(const PassRef& pass, const ObjectKey& key, const ObjectRef& object) {
  json::Value references = json::Value::array();
  for (const OwnerRef& owner : object->owners) {
    references.push_back(json::Value::object({{"uid", owner.uid}, {"blockOwnerDeletion", false}}));
  }
  json::Value patch = json::Value::object(
      {{"metadata",
        json::Value::object({{"uid", object->uid}, {"ownerReferences", std::move(references)}})}});
  pass->remove({client::Verb::kPatch,
                target(key),
                json::write(patch),
                client::PatchType::kStrategicMerge,
                {}});
}

void GarbageCollector::foreground(const PassRef& pass, const ObjectKey& key,
                                  const ObjectRef& object) {
  bool blocked = false;
  context_.cache.for_each_owned(object->uid,
                                [&](const GroupResource& r, const ObjectRef& dependent) {
                                  for (const OwnerRef& owner : dependent->owners) {
                                    if (owner.uid == object->uid && owner.block_owner_deletion)
                                      blocked = true;
                                  }
                                  if (dependent->deleting) return;
                                  want(r, dependent->name);
                                });
  if (!blocked) drop_finalizer(pass, key, object, kForeground);
}

void GarbageCollector::orphan(const PassRef& pass, const ObjectKey& key, const ObjectRef& object) {
  std::vector<Item> dependents;
  context_.cache.for_each_owned(object->uid, [&](const GroupResource& r, const ObjectRef& d) {
    dependents.push_back({r, d});
  });
  for (const Item& d : dependents) {
    json::Value patch = json::Value::object(
        {{"metadata",
          json::Value::object(
              {{"uid", d.object->uid},
               {"ownerReferences", json::Value::array({json::Value::object(
                                       {{"$patch", "delete"}, {"uid", object->uid}})})}})}});
    pass->remove({client::Verb::kPatch,
                  target({d.resource, d.object->name}),
                  json::write(patch),
                  client::PatchType::kStrategicMerge,
                  {}});
  }
  pass->join([this, pass, key, object] {
    if (!pass->failed()) drop_finalizer(pass, key, object, kOrphan);
  });
}

void GarbageCollector::drop_finalizer(const PassRef& pass, const ObjectKey& key,
                                      const ObjectRef& object, const char* finalizer) {
  ObjectRef now = context_.cache.get(key);
  if (now == nullptr || now->uid != object->uid) return;
  json::Value changed = api::decode(*now);
  json::Value kept = json::Value::array();
  for (const json::Value& f : changed["metadata"]["finalizers"].elements()) {
    if (f.as_string() != finalizer) kept.push_back(f);
  }
  json::Value patch = json::Value::object(
      {{"metadata",
        json::Value::object({{"resourceVersion", changed["metadata"]["resourceVersion"]},
                             {"finalizers", kept.empty() ? json::Value() : std::move(kept)}})}});
  pass->write(
      {client::Verb::kPatch, target(key), json::write(patch), client::PatchType::kMerge, {}},
      [pass](Result<ObjectRef> answer) {
        if (!answer.ok() && answer.error().code != Code::kNotFound) {
          pass->fail(answer.error());
        }
      });
}

}  // namespace knarr::server
