// A line a fact; see catalogue/README.md. Errors end the build with the file and line.
#include "catalogue_reader.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace knarr::api {

namespace {

struct Line {
  std::string path;
  int number = 0;
  std::vector<std::string> words;
};

[[noreturn]] void fail(const Line& line, const std::string& why) {
  std::fprintf(stderr, "%s:%d: %s\n", line.path.c_str(), line.number, why.c_str());
  std::exit(1);
}

std::string unescape(std::string text) {
  for (char& c : text) {
    if (c == '~') c = ' ';
  }
  return text;
}

std::map<std::string, std::string> read_markers(const Line& line, size_t from) {
  std::map<std::string, std::string> markers;
  for (size_t i = from; i < line.words.size(); i++) {
    const std::string& word = line.words[i];
    size_t equals = word.find('=');
    std::string value = equals == std::string::npos ? "" : unescape(word.substr(equals + 1));
    if (!markers.emplace(word.substr(0, equals), value).second) fail(line, "repeated " + word);
  }
  return markers;
}

void read_group(const Line& line, GroupVersion& out) {
  if (line.words.size() < 3) fail(line, "group NAME VERSION");
  out.group = line.words[1];
  out.version = line.words[2];
  auto markers = read_markers(line, 3);
  if (markers.count("order") != 0) out.order = std::atoi(markers["order"].c_str());
}

void read_resource(const Line& line, GroupVersion& out) {
  if (line.words.size() < 4) fail(line, "resource PLURAL KIND SCOPE");
  ResourceLine& r = out.resources.emplace_back();
  r.plural = line.words[1];
  r.kind = line.words[2];
  r.namespaced = line.words[3] == "namespaced";
  r.markers = read_markers(line, 4);
}

bool read_resource_fact(const Line& line, GroupVersion& out) {
  const auto& w = line.words;
  if (out.resources.empty() || !out.types.empty()) return false;
  ResourceLine& r = out.resources.back();
  if (w[0] == "verbs" && w.size() == 2) {
    r.verbs = w[1];
  } else if (w[0] == "store" && w.size() == 4) {
    r.key_prefix = w[1];
    r.storage_version = w[2];
    r.storage_hash = w[3];
  } else if (w[0] == "sub" && w.size() == 4) {
    r.subresources.push_back({w[1], w[2], w[3]});
  } else {
    return false;
  }
  return true;
}

void read_type(const Line& line, GroupVersion& out) {
  if (line.words.size() < 2) fail(line, "type NAME");
  TypeLine& t = out.types.emplace_back();
  t.name = line.words[1];
  auto markers = read_markers(line, 2);
  t.atomic = markers.count("atomic") != 0;
  t.hook = markers.count("hook") != 0;
}

void read_field(const Line& line, const std::string& description, GroupVersion& out) {
  const auto& w = line.words;
  if (out.types.empty()) fail(line, "a field outside a type");
  FieldLine& f = out.types.back().fields.emplace_back();
  f.description = description;
  if (w[0] == "typemeta") {
    f.type_meta = true;
    return;
  }
  if (w.size() < 3) fail(line, "NUMBER NAME TYPE");
  if (w[0] == "inline") {
    f.inline_struct = true;
    f.number = std::atoi(w[1].c_str());
    f.type = w[2];
    return;
  }
  f.number = w[0] == "-" ? 0 : std::atoi(w[0].c_str());
  if (w[0] != "-" && f.number <= 0) fail(line, "not a protobuf number: " + w[0]);
  f.name = w[1];
  f.markers = read_markers(line, 3);
  bool question = f.name.back() == '?';
  if (question) f.name.pop_back();
  f.optional = question || f.has("optional");
  f.omit_empty = question || f.has("omitempty");
  f.pointer = w[2][0] == '*';
  f.type = w[2].substr(f.pointer ? 1 : 0);
}

}  // namespace

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

GroupVersion read_catalogue(const std::string& path) {
  GroupVersion out;
  std::ifstream file(path);
  Line line{path, 0, {}};
  for (std::string text; std::getline(file, text);) {
    line.number++;
    std::string description;
    if (size_t dash = text.find(" -- "); dash != std::string::npos) {
      description = text.substr(dash + 4);
      text.resize(dash);
    }
    line.words = split(text, ' ');
    if (line.words.empty()) continue;
    const std::string& first = line.words[0];
    if (first == "group") {
      read_group(line, out);
    } else if (first == "resource") {
      read_resource(line, out);
    } else if (first == "type") {
      read_type(line, out);
    } else if (!read_resource_fact(line, out)) {
      read_field(line, description, out);
    }
  }
  if (out.group.empty()) fail(line, "no group");
  return out;
}

}  // namespace knarr::api
