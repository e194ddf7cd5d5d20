#include "api/apply/managed_fields.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "api/apply/fields_of.h"
#include "api/apply/last_applied.h"
#include "api/apply/merge.h"
#include "api/apply/typed_check.h"

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

  // Who applies stays the same whatever version he does it through.
  bool same_owner(const Entry& o) const {
    return manager == o.manager && operation == o.operation && subresource == o.subresource &&
           (api_version == o.api_version || operation == "Apply");
  }
};

using Entries = std::vector<Entry>;

bool can_be_read(const json::Value& entries) {
  for (const json::Value& v : entries.elements()) {
    std::string_view operation = v["operation"].as_string();
    if (operation != "Apply" && operation != "Update") return false;
    if (v["apiVersion"].as_string().empty()) return false;
    if (v["fieldsType"].as_string() != "FieldsV1") return false;
  }
  return true;
}

// None when one of them makes no sense.
Entries read_entries(const json::Value& object) {
  Entries out;
  if (!can_be_read(object["metadata"]["managedFields"])) return out;
  for (const json::Value& v : object["metadata"]["managedFields"].elements()) {
    Entry entry{v["manager"].text(),     v["operation"].text(), v["apiVersion"].text(),
                v["subresource"].text(), v["time"].text(),      FieldSet::from_json(v["fieldsV1"])};
    auto it =
        std::find_if(out.begin(), out.end(), [&](const Entry& e) { return e.same_owner(entry); });
    if (it == out.end()) {
      out.push_back(std::move(entry));
    } else {
      *it = std::move(entry);  // of two alike, the last one counts
    }
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

// Update entries past the limit fold, oldest first, into one of the name "ancient-changes" a
// version: the second of a version makes it, and takes the first one in.
void fold_old_entries(Entries& entries) {
  std::vector<Entry*> updates;
  for (Entry& e : entries) {
    if (e.operation == "Update" && !e.set.empty()) updates.push_back(&e);
  }
  if (updates.size() <= kMaxUpdateEntries) return;
  std::sort(updates.begin(), updates.end(), [](const Entry* a, const Entry* b) {
    return std::tie(a->time, a->manager) < std::tie(b->time, b->manager);
  });
  std::map<std::string, Entry*> firsts;
  size_t left = updates.size();
  for (Entry* e : updates) {
    if (left <= kMaxUpdateEntries) break;
    auto [it, fresh] = firsts.try_emplace(e->api_version, e);
    if (fresh) continue;
    Entry& bucket = *it->second;
    bucket.manager = "ancient-changes";
    bucket.subresource.clear();
    bucket.set.add(e->set);
    bucket.time = e->time;
    e->set = FieldSet();
    left--;
  }
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
  // A subresource does not decide who owns what: there, what the client sends is not looked at.
  if (!writer.subresource.empty()) {
    const json::Value* live_entries = live["metadata"].find("managedFields");
    if (live_entries == nullptr) {
      now.member("metadata").erase("managedFields");
    } else {
      now.member("metadata").set("managedFields", *live_entries);
    }
  }
  const json::Value* given = now["metadata"].find("managedFields");
  bool reset = given != nullptr && given->is_array() &&
               (given->empty() || (given->size() == 1 && (*given)[0].empty()));
  if (reset) {
    now.member("metadata").erase("managedFields");
    return;
  }
  bool tracked = live["metadata"].has("managedFields");
  if (!tracked && given == nullptr && !live["metadata"]["uid"].is_null()) return;
  bool readable = given != nullptr && can_be_read(*given);
  Entries entries = read_entries(readable ? now : live);
  FieldChanges changes = compare_objects(type, live, now);
  drop_ignored(changes.changed, writer.ignored);
  drop_ignored(changes.removed, writer.ignored);
  take_from_others(entries, changes, nullptr);

  FieldSet mine = std::move(changes.changed);
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
  if (std::string problem = typed_problem(type, config); !problem.empty()) {
    const json::Value& meta = config["metadata"];
    bool core = writer.api_version.find('/') == std::string::npos;
    return make_error(Code::kUnknown, "failed to create typed patch object (" +
                                          meta["namespace"].text() + "/" + meta["name"].text() +
                                          "; " + (core ? "/" : "") + writer.api_version +
                                          ", Kind=" + config["kind"].text() + "): " + problem);
  }
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
    Entry before{"before-first-apply", "Update",    writer.api_version,
                 writer.subresource,   writer.time, FieldSet()};
    before.set = compare_objects(type, json::Value::object(), live).changed;
    drop_ignored(before.set, writer.ignored);
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
  drop_ignored(changes.changed, writer.ignored);
  drop_ignored(changes.removed, writer.ignored);
  std::vector<std::pair<const Entry*, FieldSet>> conflicts;
  for (const Entry& e : entries) {
    FieldSet both = e.set.common(changes.changed);
    both.prune();
    if (!both.empty()) conflicts.emplace_back(&e, std::move(both));
  }
  if (!conflicts.empty() && !options.force) {
    if (writer.manager == "kubectl") {
      FieldSet allowed = allowed_by_last_applied(type, bare, writer.api_version);
      for (auto& [entry, set] : conflicts) set.remove(allowed);
      std::erase_if(conflicts, [](const auto& conflict) { return conflict.second.empty(); });
    }
    if (!conflicts.empty()) return conflict_error(std::move(conflicts));
  }
  take_from_others(entries, changes, nullptr);

  strip_unowned(self.set);
  // An owner that changes no value gets no new time: the write is none.
  bool same = exists && changes.changed.empty() && changes.removed.empty();
  if (!same) self.time = writer.time;
  entries.push_back(std::move(self));
  for (std::string_view name : {"uid", "creationTimestamp", "generation"}) {
    const json::Value* v = live["metadata"].find(name);
    if (v != nullptr && !v->is_null()) merged.member("metadata").set(name, *v);
  }
  write_entries(merged, std::move(entries));
  if (writer.manager == "kubectl") renew_last_applied(merged, config);
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
