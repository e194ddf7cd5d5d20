#include "server/controllers/history.h"

#include <algorithm>

#include "api/view/meta.h"
#include "server/controllers/pods.h"

namespace knarr::server {

std::vector<Revision> decode_revisions(const std::vector<ObjectRef>& objects) {
  std::vector<Revision> revisions;
  for (const ObjectRef& object : objects) {
    Revision r{object, api::decode(*object), object->name.name, 0};
    r.number = r.value["revision"].as_int();
    revisions.push_back(std::move(r));
  }
  std::sort(revisions.begin(), revisions.end(), [](const Revision& a, const Revision& b) {
    if (a.number != b.number) return a.number < b.number;
    int64_t x = api::creation_time(a.value), y = api::creation_time(b.value);
    return x != y ? x < y : a.name < b.name;
  });
  return revisions;
}

json::Value revision_data(const json::Value& pod_template) {
  json::Value t = pod_template;
  t.set("$patch", "replace");
  return json::Value::object({{"spec", json::Value::object({{"template", std::move(t)}})}});
}

json::Value template_of(const Revision& revision) {
  json::Value t = revision.pod_template();
  t.erase("$patch");
  return t;
}

namespace {

json::Value new_revision(const ResourceName& owner_resource, const json::Value& owner,
                         const std::string& hash, int64_t number, RevisionStyle style) {
  const json::Value& meta = owner["metadata"];
  json::Value labels = owner["spec"]["template"]["metadata"]["labels"];
  labels.member(style.hash_label) = json::Value(hash);
  json::Value revision_meta = json::Value::object({{"name", meta["name"].text() + "-" + hash},
                                                   {"namespace", meta["namespace"]},
                                                   {"labels", std::move(labels)}});
  if (!meta["annotations"].empty()) revision_meta.set("annotations", meta["annotations"]);
  json::Value reference = api::controller_reference(owner);
  reference.set("apiVersion", owner_resource.api_version()).set("kind", owner_resource.kind);
  revision_meta.set("ownerReferences", json::Value::array({std::move(reference)}));
  return json::Value::object({{"apiVersion", "apps/v1"},
                              {"kind", "ControllerRevision"},
                              {"metadata", std::move(revision_meta)},
                              {"data", revision_data(owner["spec"]["template"])},
                              {"revision", number}});
}

}  // namespace

CurrentRevision sync_revision(const ControllerContext& context, const PassRef& pass,
                              const ResourceName& owner_resource, const json::Value& owner,
                              const std::vector<Revision>& revisions, RevisionStyle style) {
  const json::Value& count = owner["status"]["collisionCount"];
  CurrentRevision current{nullptr, count.as_int()};
  json::Value data = revision_data(owner["spec"]["template"]);
  int64_t next = revisions.empty() ? 1 : revisions.back().number + 1;
  for (auto it = revisions.rbegin(); it != revisions.rend(); ++it) {
    if (!(it->value["data"] == data)) continue;
    if (it == revisions.rbegin()) {
      current.found = &*it;
      return current;
    }
    // Gone back to: it becomes the newest.
    json::Value changed = it->value;
    changed.set("revision", next);
    pass->write(update_request(kControllerRevisions, changed));
    return current;
  }
  std::string hash =
      safe_hash(owner["spec"]["template"], current.collisions > 0 ? &current.collisions : nullptr);
  json::Value made = new_revision(owner_resource, owner, hash, next, style);
  std::string ns = owner["metadata"]["namespace"].text();
  std::string name = made["metadata"]["name"].text();
  pass->write(create_request(kControllerRevisions, ns, std::move(made)),
              [pass, &context, owner_resource, owner, ns, name, data](Result<ObjectRef> answer) {
                if (answer.ok()) return;
                if (answer.error().code != Code::kAlreadyExists) return pass->fail(answer.error());
                ObjectRef taken = context.get(kControllerRevisions, {ns, name});
                if (taken != nullptr && api::decode(*taken)["data"] == data &&
                    taken->controller() != nullptr &&
                    taken->controller()->uid == owner["metadata"]["uid"].as_string()) {
                  return pass->again_after_ms(1);
                }
                json::Value changed = owner;
                json::Value& status = changed.member("status");
                status.set("collisionCount", status["collisionCount"].as_int() + 1);
                pass->write(update_request(owner_resource, changed, "status"));
              });
  return current;
}

void truncate_revisions(const PassRef& pass, const json::Value& owner,
                        const std::vector<Revision>& revisions,
                        const std::vector<std::string>& live_names) {
  std::vector<const Revision*> dead;
  for (const Revision& r : revisions) {
    if (std::find(live_names.begin(), live_names.end(), r.name) == live_names.end()) {
      dead.push_back(&r);
    }
  }
  int64_t limit = api::int_field(owner["spec"], "revisionHistoryLimit", 10);
  int64_t surplus = static_cast<int64_t>(dead.size()) - limit;
  for (int64_t i = 0; i < surplus; ++i) {
    const ObjectRef& object = dead[static_cast<size_t>(i)]->object;
    pass->remove(delete_request(kControllerRevisions, object->name, object->uid));
  }
}

}  // namespace knarr::server
