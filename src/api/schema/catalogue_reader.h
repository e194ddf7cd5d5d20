// Reads the schema catalogue (format: catalogue/README.md). Part of the generator, which runs on
// the machine that builds; not of the library.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace knarr::api {

struct FieldLine {
  std::string name;
  std::string type;  // as written, without the pointer's star
  int number = 0;
  bool type_meta = false;
  bool inline_struct = false;
  bool optional = false;
  bool omit_empty = false;
  bool pointer = false;
  std::string description;
  std::map<std::string, std::string> markers;  // "" for one without a value

  bool has(const std::string& marker) const { return markers.count(marker) != 0; }
  std::string get(const std::string& marker) const {
    auto it = markers.find(marker);
    return it == markers.end() ? "" : it->second;
  }
};

struct TypeLine {
  std::string name;
  bool atomic = false;
  bool hook = false;
  std::vector<FieldLine> fields;
};

struct SubresourceLine {
  std::string name;
  std::string kind;
  std::string verbs;
};

struct ResourceLine {
  std::string plural;
  std::string kind;
  bool namespaced = false;
  std::map<std::string, std::string> markers;
  std::string verbs;
  std::string key_prefix;
  std::string storage_version;
  std::string storage_hash;
  std::vector<SubresourceLine> subresources;
};

struct GroupVersion {
  std::string group;  // as in the catalogue: "core", "meta", "apps"
  std::string version;
  int order = 99;
  std::vector<ResourceLine> resources;
  std::vector<TypeLine> types;

  std::string ref() const { return group + "/" + version; }
};

// Ends the process with file and line when the text is malformed.
GroupVersion read_catalogue(const std::string& path);

std::vector<std::string> split(const std::string& text, char separator);

}  // namespace knarr::api
