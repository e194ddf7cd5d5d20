#include "server/controllers/claim.h"

#include "api/view/meta.h"

namespace knarr::server {

Claim claim_of(const Object& object, const std::string& owner_uid, bool owner_deleting,
               bool selected) {
  const OwnerRef* controller = object.controller();
  if (controller != nullptr) {
    if (controller->uid != owner_uid) return Claim::kIgnore;
    if (selected) return Claim::kKeep;
    return owner_deleting ? Claim::kIgnore : Claim::kRelease;
  }
  if (owner_deleting || object.deleting || !selected) return Claim::kIgnore;
  return Claim::kAdopt;
}

namespace {

json::Value adopt_patch(const Object& object, const json::Value& owner, const char* finalizer) {
  json::Value meta = json::Value::object(
      {{"uid", object.uid},
       {"ownerReferences", json::Value::array({api::controller_reference(owner)})}});
  if (finalizer != nullptr) meta.set("finalizers", json::Value::array({finalizer}));
  return json::Value::object({{"metadata", std::move(meta)}});
}

json::Value release_patch(const Object& object, const std::string& owner_uid,
                          const char* finalizer) {
  json::Value gone = json::Value::object({{"$patch", "delete"}, {"uid", owner_uid}});
  json::Value meta = json::Value::object(
      {{"uid", object.uid}, {"ownerReferences", json::Value::array({std::move(gone)})}});
  if (finalizer != nullptr) {
    meta.set("$deleteFromPrimitiveList/finalizers", json::Value::array({finalizer}));
  }
  return json::Value::object({{"metadata", std::move(meta)}});
}

}  // namespace

Claimed claim_objects(const ControllerContext& context, const PassRef& pass,
                      const ResourceName& resource, const json::Value& owner,
                      const api::LabelMatch& selector,
                      const std::function<bool(const Object&)>& may_adopt, const char* finalizer) {
  const json::Value& meta = owner["metadata"];
  std::string uid = meta["uid"].text();
  bool deleting = meta.has("deletionTimestamp");
  Claimed claimed;
  auto patch = [&](const ObjectRef& object, const json::Value& body) {
    claimed.changing = true;
    pass->write(patch_request(resource, object->name, body), [pass](Result<ObjectRef> answer) {
      // Gone, or another of the name: nothing left to claim. Invalid: no such reference any more.
      if (answer.ok() || answer.error().code == Code::kNotFound ||
          answer.error().code == Code::kInvalid) {
        return;
      }
      pass->fail(answer.error());
    });
  };
  // Collected first: writing from inside a visit is not allowed.
  std::vector<ObjectRef> adopt, release;
  context.cache.for_each(resource.key(), meta["namespace"].text(), [&](const ObjectRef& object) {
    switch (claim_of(*object, uid, deleting, selector.matches(*object))) {
      case Claim::kKeep: claimed.objects.push_back(object); break;
      case Claim::kAdopt:
        if (!may_adopt || may_adopt(*object)) adopt.push_back(object);
        break;
      case Claim::kRelease: release.push_back(object); break;
      case Claim::kIgnore: break;
    }
    return true;
  });
  for (const ObjectRef& o : adopt) patch(o, adopt_patch(*o, owner, finalizer));
  for (const ObjectRef& o : release) patch(o, release_patch(*o, uid, finalizer));
  return claimed;
}

std::vector<ObjectRef> controlled_objects(const ControllerContext& context,
                                          const ResourceName& resource,
                                          const std::string& owner_uid) {
  std::vector<ObjectRef> objects;
  GroupResource wanted = resource.key();
  context.cache.for_each_owned(owner_uid, [&](const GroupResource& r, const ObjectRef& object) {
    const OwnerRef* controller = object->controller();
    if (r == wanted && controller != nullptr && controller->uid == owner_uid) {
      objects.push_back(object);
    }
  });
  return objects;
}

}  // namespace knarr::server
