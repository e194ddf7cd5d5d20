#include "api/apply/managed_fields.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "api/apply/fields_of.h"
#include "api/apply/merge.h"

namespace knarr::api {
namespace {

constexpr size_t kMaxUpdateEntries = 10;

struct Entry {
  std::string manager;
  std::string operation;
  std::string api_version;
  std::string subresource;
  std::string time;
  FieldSet set;

  bool same_owner(const Entry& o) const {
    return manager == o.manager && operation == o.operation && api_version == o.api_version &&
           subresource == o.subresource;
  }
};

using Entries = std::vector<Entry>;

Entries read_entries(const json::Value& object) {
  Entries out;
  for (const json::Value& v : object["metadata"]["managedFields"].elements()) {
    out.push_back(Entry{v["manager"].text(), v["operation"].text(), v["apiVersion"].text(),
                        v["subresource"].text(), v["time"].text(),
                        FieldSet::from_json(v["fieldsV1"])});
  }
  return out;
}

json::Value entry_json(const Entry& entry) {
  json::Value v = json::Value::object();
  v.set("manager", entry.manager);
  v.set("operation", entry.operation);
  v.set("apiVersion", entry.api_version);
  if (!entry.time.empty()) v.set("time", entry.time);
  v.set("fieldsType", "FieldsV1");
  v.set("fieldsV1", entry.set.to_json());
  if (!entry.subresource.empty()) v.set("subresource", entry.subresource);
  return v;
}

void write_entries(json::Value& object, Entries entries) {
  std::erase_if(entries, [](const Entry& e) { return e.set.empty(); });
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.operation, a.time, a.manager, a.api_version, a.subresource) <
           std::tie(b.operation, b.time, b.manager, b.api_version, b.subresource);
  });
  json::Value& meta = object.member("metadata");
  if (entries.empty()) {
    meta.erase("managedFields");
    return;
  }
  json::Value list = json::Value::array();
  for (const Entry& e : entries) list.push_back(entry_json(e));
  meta.set("managedFields", std::move(list));
}

// Update entries past the limit fold, oldest first, into one of the name "ancient-changes".
void fold_old_entries(Entries& entries) {
  std::vector<Entry*> updates;
  for (Entry& e : entries) {
    if (e.operation == "Update" && e.subresource.empty()) updates.push_back(&e);
  }
  if (updates.size() <= kMaxUpdateEntries) return;
  std::sort(updates.begin(), updates.end(), [](const Entry* a, const Entry* b) {
    return std::tie(a->time, a->manager) < std::tie(b->time, b->manager);
  });
  std::map<std::string, Entry> buckets;
  size_t left = updates.size();
  for (Entry* e : updates) {
    if (left <= kMaxUpdateEntries) break;
    auto [it, fresh] = buckets.try_emplace(
        e->api_version, Entry{"ancient-changes", "Update", e->api_version, "", e->time, {}});
    it->second.set.add(e->set);
    it->second.time = e->time;
    e->set = FieldSet();
    if (!fresh) left--;
  }
  for (auto& [version, bucket] : buckets) entries.push_back(std::move(bucket));
}

void drop_ignored(FieldSet& set, const FieldSet& ignored) {
  for (const auto& [element, inner] : ignored.children) {
    auto it = set.children.find(element);
    if (it == set.children.end()) continue;
    if (inner.member) {
      set.children.erase(it);
    } else {
      drop_ignored(it->second, inner);
      if (it->second.empty()) set.children.erase(it);
    }
  }
}

// What a change takes from the owners it does not belong to.
void take_from_others(Entries& entries, const FieldChanges& changes, const Entry* except) {
  for (Entry& e : entries) {
    if (except != nullptr && e.same_owner(*except)) continue;
    e.set.remove(changes.changed);
    e.set.remove(changes.removed);
  }
}

Error conflict_error(std::vector<std::pair<const Entry*, FieldSet>> conflicts) {
  std::sort(conflicts.begin(), conflicts.end(),
            [](const auto& a, const auto& b) { return a.first->manager < b.first->manager; });
  auto details = std::make_shared<ErrorDetails>();
  std::string lines;
  size_t count = 0;
  for (const auto& [entry, set] : conflicts) count += set.paths().size();
  for (const auto& [entry, set] : conflicts) {
    std::string whose = "\"" + entry->manager + "\"";
    if (!entry->subresource.empty()) whose += " with subresource \"" + entry->subresource + "\"";
    if (entry->operation == "Update") whose += " using " + entry->api_version;
    std::vector<std::string> paths = set.paths();
    if (!lines.empty()) lines += "\n";
    lines += (count > 1 ? "conflicts with " : "conflict with ") + whose + ":";
    for (const std::string& path : paths) {
      lines += count > 1 ? "\n- " + path : " " + path;
      details->causes.push_back({"FieldManagerConflict", "conflict with " + whose, path});
    }
  }
  return Error{Code::kConflict,
               "Apply failed with " + std::to_string(count) +
                   (count == 1 ? " conflict: " : " conflicts: ") + lines,
               details};
}

// Takes out of `merged` what this applier owned before and no longer names, unless others own it.
json::Value prune_unnamed(const Type& type, const json::Value& merged, const FieldSet& last,
                          const Entries& entries, const FieldSet& now) {
  FieldSet last_named = with_named_parents(type, last);
  json::Value pruned = without_fields(type, merged, last_named);
  FieldSet merged_set = with_named_parents(type, fields_of(type, merged));

  FieldSet owned = now;
  for (const Entry& e : entries) owned.add(e.set);
  FieldSet keep = with_named_parents(type, fields_of(type, pruned));
  keep.add(with_named_parents(type, owned));
  FieldSet gone = merged_set;
  gone.remove(keep);
  pruned = without_fields(type, merged, gone);

  FieldSet dangling = merged_set;
  dangling.remove(with_named_parents(type, fields_of(type, pruned)));
  return without_fields(type, merged, dangling.common(last_named));
}

}  // namespace

std::string manager_of_user_agent(std::string_view user_agent) {
  std::string out;
  for (char c : user_agent.substr(0, user_agent.find('/'))) {
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f && out.size() < 128) out += c;
  }
  return out;
}

void update_managed_fields(const Type& type, const json::Value& live, json::Value& now,
                           const Writer& writer) {
  const json::Value* given = now["metadata"].find("managedFields");
  bool reset = given != nullptr && given->is_array() &&
               (given->empty() || (given->size() == 1 && (*given)[0].empty()));
  if (reset) {
    now.member("metadata").erase("managedFields");
    return;
  }
  bool creating = live["metadata"]["name"].empty() && live["metadata"]["uid"].is_null();
  bool tracked = live["metadata"].has("managedFields");
  if (!creating && !tracked && given == nullptr && !live["metadata"]["uid"].is_null()) {
    return;
  }
  Entries entries = read_entries(given != nullptr ? now : live);
  FieldChanges changes = compare_objects(type, live, now);
  take_from_others(entries, changes, nullptr);

  FieldSet mine = std::move(changes.changed);
  drop_ignored(mine, writer.ignored);
  strip_unowned(mine);
  if (!mine.empty()) {
    Entry self{writer.manager, "Update", writer.api_version, writer.subresource, writer.time, {}};
    auto it = std::find_if(entries.begin(), entries.end(),
                           [&](const Entry& e) { return e.same_owner(self); });
    if (it == entries.end()) it = entries.insert(entries.end(), std::move(self));
    it->set.add(mine);
    it->time = writer.time;
  }
  fold_old_entries(entries);
  write_entries(now, std::move(entries));
}

Result<json::Value> apply_config(const Type& type, const json::Value& live,
                                 const json::Value& config, const ApplyOptions& options) {
  const Writer& writer = options.writer;
  Entries entries = read_entries(live);
  Entry self{writer.manager, "Apply", writer.api_version, writer.subresource, writer.time, {}};
  FieldSet last;
  self.time.clear();
  for (const Entry& e : entries) {
    if (!e.same_owner(self)) continue;
    last = e.set;
    self.time = e.time;
  }
  bool exists = !live["metadata"]["uid"].is_null();
  if (exists && entries.empty()) {
    Entry before{"before-first-apply", "Update", writer.api_version, "", writer.time, {}};
    before.set = fields_of(type, live);
    strip_unowned(before.set);
    entries.push_back(std::move(before));
  }
  std::erase_if(entries, [&](const Entry& e) { return e.same_owner(self); });

  json::Value bare = live;
  if (json::Value* meta = bare.find("metadata")) meta->erase("managedFields");
  json::Value merged = merge_config(type, bare, config);
  self.set = fields_of(type, config);
  drop_ignored(self.set, writer.ignored);
  if (!last.empty()) merged = prune_unnamed(type, merged, last, entries, self.set);

  FieldChanges changes = compare_objects(type, bare, merged);
  std::vector<std::pair<const Entry*, FieldSet>> conflicts;
  for (const Entry& e : entries) {
    FieldSet both = e.set.common(changes.changed);
    both.prune();
    if (!both.empty()) conflicts.emplace_back(&e, std::move(both));
  }
  if (!conflicts.empty() && !options.force) return conflict_error(std::move(conflicts));
  take_from_others(entries, changes, nullptr);

  strip_unowned(self.set);
  // An owner that changes no value gets no new time: the write is none.
  bool same = exists && changes.changed.empty() && changes.removed.empty();
  if (!same) self.time = writer.time;
  entries.push_back(std::move(self));
  for (std::string_view name : {"name", "namespace", "uid", "creationTimestamp", "generation"}) {
    const json::Value* v = live["metadata"].find(name);
    if (v != nullptr && !v->is_null()) merged.member("metadata").set(name, *v);
  }
  write_entries(merged, std::move(entries));
  return merged;
}

void keep_times_of_noop(const json::Value& live, json::Value& now) {
  const json::Value& before = live["metadata"]["managedFields"];
  json::Value* after = now.member("metadata").find("managedFields");
  if (after == nullptr || before.size() != after->size()) return;
  json::Value stamped = now;
  json::Value& list = *stamped.member("metadata").find("managedFields");
  for (json::Value& entry : list.elements()) {
    for (const json::Value& old : before.elements()) {
      if (entry["manager"] == old["manager"] && entry["operation"] == old["operation"] &&
          entry["apiVersion"] == old["apiVersion"] && entry["subresource"] == old["subresource"]) {
        if (const json::Value* time = old.find("time")) {
          entry.set("time", *time);
        } else {
          entry.erase("time");
        }
      }
    }
  }
  if (stamped == live) now = std::move(stamped);
}

}  // namespace knarr::api
