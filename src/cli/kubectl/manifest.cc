#include "cli/kubectl/manifest.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "api/codec/yaml.h"
#include "api/selector.h"
#include "base/file.h"
#include "base/format.h"
#include "cli/kubectl/bad.h"
#include "net/url.h"

namespace knarr::kubectl {

namespace {

Result<std::string> read_stdin() {
  std::string text;
  char buffer[65536];
  while (true) {
    ssize_t n = read(STDIN_FILENO, buffer, sizeof buffer);
    if (n == 0) return text;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "read stdin");
    text.append(buffer, static_cast<size_t>(n));
  }
}

Result<std::string> download(const std::string& address) {
  TRY_ASSIGN(net::Url url, net::parse_url(address));
  ClientConfig config;
  config.server = url.scheme + "://" + url.authority();
  TRY_ASSIGN(auto http, HttpSession::open(config));
  HttpAsk ask;
  ask.target = url.query.empty() ? url.path : url.path + "?" + url.query;
  TRY_ASSIGN(HttpAnswer answer, http->send(ask));
  if (answer.status != 200) {
    return bad(fmt::format("unable to read URL \"{}\", server reported {}, status code={}", address,
                           answer.status, answer.status));
  }
  return std::move(answer.body);
}

bool is_manifest_name(const std::string& name) {
  return name.ends_with(".json") || name.ends_with(".yaml") || name.ends_with(".yml");
}

Result<void> list_folder(const std::string& folder, bool recursive,
                         std::vector<std::string>& files) {
  DIR* dir = opendir(folder.c_str());
  if (dir == nullptr) return errno_error(errno, "open " + folder);
  std::vector<std::string> names;
  while (dirent* entry = readdir(dir)) {
    if (std::string name = entry->d_name; name != "." && name != "..") names.push_back(name);
  }
  closedir(dir);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    std::string path = (folder.ends_with('/') ? folder : folder + "/") + name;
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) continue;
    if (S_ISDIR(info.st_mode)) {
      if (recursive) TRY(list_folder(path, recursive, files));
    } else if (is_manifest_name(name)) {
      files.push_back(path);
    }
  }
  return {};
}

Result<void> read_source(const std::string& source, bool recursive,
                         std::vector<Manifest>& manifests) {
  auto take = [&](Result<std::string> text, const std::string& name) -> Result<void> {
    if (!text.ok()) return text.error();
    TRY_ASSIGN(std::vector<Manifest> found, parse_manifests(*text, name));
    for (Manifest& manifest : found) manifests.push_back(std::move(manifest));
    return {};
  };
  if (source == "-") return take(read_stdin(), "STDIN");
  if (source.starts_with("http://") || source.starts_with("https://")) {
    return take(download(source), source);
  }
  struct stat info {};
  if (stat(source.c_str(), &info) != 0) {
    return bad(fmt::format("the path \"{}\" does not exist", source));
  }
  if (!S_ISDIR(info.st_mode)) return take(base::read_file(source), source);
  std::vector<std::string> files;
  TRY(list_folder(source, recursive, files));
  if (files.empty()) {
    return bad(fmt::format("error reading [{}]: recognized file extensions are [.json .yaml .yml]",
                           source));
  }
  for (const std::string& file : files) TRY(take(base::read_file(file), file));
  return {};
}

}  // namespace

Result<std::vector<Manifest>> parse_manifests(std::string_view text, const std::string& source) {
  auto documents = api::parse_yaml_stream(text);
  if (!documents.ok()) {
    return bad(fmt::format("error parsing {}: error converting YAML to JSON: {}", source,
                           documents.error().message));
  }
  std::vector<Manifest> manifests;
  auto add = [&](json::Value object) -> Result<void> {
    if (object["kind"].as_string().empty()) {
      return bad(
          fmt::format("error validating \"{}\": error validating data: kind not set", source));
    }
    if (object["apiVersion"].as_string().empty()) {
      return bad(fmt::format("error validating \"{}\": error validating data: apiVersion not set",
                             source));
    }
    manifests.push_back({std::move(object), source});
    return {};
  };
  for (json::Value& document : *documents) {
    if (!document.is_object()) {
      return bad(fmt::format("error parsing {}: the object is not a map", source));
    }
    bool list = document["kind"].as_string().ends_with("List") && document["items"].is_array();
    if (!list) {
      TRY(add(std::move(document)));
      continue;
    }
    for (json::Value& item : document.member("items").elements()) TRY(add(std::move(item)));
  }
  return manifests;
}

Result<std::vector<Manifest>> read_manifests(Session&, const Flags& flags) {
  std::vector<Manifest> manifests;
  for (const std::string& source : flags.all("filename")) {
    TRY(read_source(source, flags.yes("recursive"), manifests));
  }
  return manifests;
}

Result<void> keep_selected(const Flags& flags, std::vector<Manifest>& manifests) {
  if (!flags.has("selector")) return {};
  TRY_ASSIGN(api::LabelSelector selector, api::LabelSelector::parse(flags.text("selector")));
  std::erase_if(manifests, [&](const Manifest& manifest) {
    return !selector.matches(manifest.object["metadata"]["labels"]);
  });
  return {};
}

std::string field_validation(const Flags& flags) {
  std::string value = flags.text("validate", "true");
  if (value == "false" || value == "ignore") return "Ignore";
  return value == "warn" ? "Warn" : "Strict";
}

Result<Target> target_of(Session& session, Manifest& manifest) {
  json::Value& object = manifest.object;
  json::Value& metadata = object.member("metadata");
  if (!metadata.is_object()) metadata = json::Value::object();
  std::string name = metadata["name"].text();
  std::string ns = metadata["namespace"].text();
  auto resource = session.kind(object["apiVersion"].text(), object["kind"].text());
  if (!resource.ok()) {
    if (resource.error().code != Code::kBadRequest || resource.error().details) {
      return resource.error();
    }
    return bad(
        fmt::format("resource mapping not found for name: \"{}\" namespace: \"{}\" from "
                    "\"{}\": {}\nensure CRDs are installed first",
                    name, ns, manifest.source, resource.error().message));
  }
  if (!(*resource)->namespaced) {
    metadata.erase("namespace");
    ns.clear();
  } else if (ns.empty()) {
    ns = session.ns();
    metadata.set("namespace", ns);
  } else if (session.ns_given() && ns != session.ns()) {
    return bad(
        fmt::format("the namespace from the provided object \"{}\" does not match the "
                    "namespace \"{}\". You must pass '--namespace={}' to perform this "
                    "operation.",
                    ns, session.ns(), ns));
  }
  return Target{*resource, ns, name, {}, manifest.source};
}

}  // namespace knarr::kubectl
