#include "server/manifests/manifest_record.h"

#include <algorithm>

#include "base/file.h"

namespace knarr::server {

namespace {

json::Value to_json(const ManifestRef& ref) {
  return json::Value::object({{"group", ref.group},
                              {"version", ref.version},
                              {"resource", ref.resource},
                              {"namespace", ref.name.ns},
                              {"name", ref.name.name}});
}

ManifestRef from_json(const json::Value& value) {
  return {value["group"].text(),
          value["version"].text(),
          value["resource"].text(),
          {value["namespace"].text(), value["name"].text()}};
}

}  // namespace

Result<void> ManifestRecord::load(const std::string& path) {
  path_ = path;
  if (!base::file_exists(path)) return {};
  TRY_ASSIGN(saved_, base::read_file(path));
  TRY_ASSIGN(json::Value value, json::parse(saved_));
  for (json::Member file : value.members()) {
    std::vector<ManifestRef>& refs = files_[std::string(file.key)];
    for (const json::Value& ref : file.value.elements()) refs.push_back(from_json(ref));
  }
  return {};
}

Result<void> ManifestRecord::save() {
  json::Value value = json::Value::object();
  for (const auto& [file, refs] : files_) {
    json::Value list = json::Value::array();
    for (const ManifestRef& ref : refs) list.push_back(to_json(ref));
    value.set(file, std::move(list));
  }
  std::string text = json::write(value);
  if (text == saved_ || (files_.empty() && saved_.empty())) return {};
  TRY(base::write_file(path_, text, 0600));
  saved_ = std::move(text);
  return {};
}

void ManifestRecord::add(const std::string& file, const std::vector<ManifestRef>& refs) {
  std::vector<ManifestRef>& known = files_[file];
  for (const ManifestRef& ref : refs) {
    bool there = std::any_of(known.begin(), known.end(),
                             [&](const ManifestRef& k) { return k.same_object(ref); });
    if (!there) known.push_back(ref);
  }
}

void ManifestRecord::set(const std::string& file, std::vector<ManifestRef> refs) {
  if (refs.empty()) {
    files_.erase(file);
  } else {
    files_[file] = std::move(refs);
  }
}

}  // namespace knarr::server
