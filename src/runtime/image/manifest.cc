#include "runtime/image/manifest.h"

#include <sys/utsname.h>

#include "base/format.h"
#include "base/json.h"
#include "runtime/image/digest.h"

namespace knarr::runtime {

namespace {

constexpr size_t kMaxEntries = 1024;
constexpr int64_t kMaxBlobBytes = int64_t{1} << 45;

Error invalid(std::string message) { return make_error(Code::kInvalid, std::move(message)); }

Result<Descriptor> parse_descriptor(const json::Value& value) {
  Descriptor d;
  d.media_type = value["mediaType"].text();
  d.digest = value["digest"].text();
  d.size_bytes = value["size"].as_int();
  if (!is_digest(d.digest)) return invalid(fmt::format("invalid digest \"{}\"", d.digest));
  if (d.size_bytes < 0 || d.size_bytes > kMaxBlobBytes) {
    return invalid(fmt::format("invalid size of {}: {}", d.digest, d.size_bytes));
  }
  const json::Value& platform = value["platform"];
  d.platform = {platform["os"].text(), platform["architecture"].text(), platform["variant"].text()};
  for (const auto& [key, text] : value["annotations"].members()) {
    d.annotations.emplace(key, text.text());
  }
  return d;
}

Result<std::vector<Descriptor>> parse_descriptors(const json::Value& array) {
  if (array.size() > kMaxEntries) return invalid("manifest has too many entries");
  std::vector<Descriptor> out;
  for (const json::Value& element : array.elements()) {
    TRY_ASSIGN(Descriptor d, parse_descriptor(element));
    out.push_back(std::move(d));
  }
  return out;
}

// How well an entry's variant serves: 0 not at all, more is better.
int rank_variant(const std::string& architecture, const std::string& have,
                 const std::string& want) {
  if (have == want) return 100;
  if (architecture == "arm") {
    int have_version = have.empty() ? 7 : have[have.size() - 1] - '0';
    int want_version = want.empty() ? 7 : want[want.size() - 1] - '0';
    return have_version >= 5 && have_version <= want_version ? have_version : 0;
  }
  std::string usual = architecture == "arm64" ? "v8" : architecture == "amd64" ? "v1" : "";
  auto normal = [&](const std::string& v) { return v == usual ? std::string() : v; };
  if (normal(have) == normal(want)) return 90;
  return normal(have).empty() ? 10 : 0;
}

}  // namespace

Platform Platform::host() {
  utsname name;
  std::string machine = uname(&name) == 0 ? name.machine : "x86_64";
  if (machine == "x86_64") return {"linux", "amd64", ""};
  if (machine == "aarch64") return {"linux", "arm64", "v8"};
  if (machine.starts_with("armv")) return {"linux", "arm", "v" + machine.substr(4, 1)};
  return {"linux", machine, ""};
}

Result<Manifest> parse_manifest(std::string_view text) {
  TRY_ASSIGN(json::Value value, json::parse(text));
  Manifest manifest;
  std::string media_type = value["mediaType"].text();
  if (value["schemaVersion"].as_int() == 1) {
    return invalid(
        "media type \"application/vnd.docker.distribution.manifest.v1+prettyjws\" is not "
        "supported");
  }
  if (value["manifests"].is_array()) {
    manifest.is_index = true;
    TRY_ASSIGN(manifest.manifests, parse_descriptors(value["manifests"]));
    return manifest;
  }
  if (!value["config"].is_object() || !value["layers"].is_array()) {
    return invalid(fmt::format("\"{}\" is not an image manifest", media_type));
  }
  TRY_ASSIGN(manifest.config, parse_descriptor(value["config"]));
  TRY_ASSIGN(manifest.layers, parse_descriptors(value["layers"]));
  for (const Descriptor& layer : manifest.layers) {
    if (layer.media_type.find("encrypted") != std::string::npos) {
      return invalid(fmt::format("layer {} is encrypted", layer.digest));
    }
  }
  return manifest;
}

const Descriptor* choose_platform(const std::vector<Descriptor>& manifests, const Platform& want) {
  const Descriptor* best = nullptr;
  int best_rank = 0;
  for (const Descriptor& d : manifests) {
    int rank = 1;
    if (!d.platform.architecture.empty()) {
      if (d.platform.os != want.os || d.platform.architecture != want.architecture) continue;
      rank = rank_variant(want.architecture, d.platform.variant, want.variant);
    }
    if (rank > best_rank) {
      best = &d;
      best_rank = rank;
    }
  }
  return best;
}

std::string accepted_manifest_types() {
  return "application/vnd.docker.distribution.manifest.v2+json, "
         "application/vnd.docker.distribution.manifest.list.v2+json, "
         "application/vnd.oci.image.manifest.v1+json, "
         "application/vnd.oci.image.index.v1+json, */*";
}

}  // namespace knarr::runtime
