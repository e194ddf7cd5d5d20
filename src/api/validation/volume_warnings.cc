// Files of one volume that would lie in one place.
#include "api/validation/warning_rules.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

using json::Value;

struct Place {
  std::string path;
  std::string source;  // of projected volumes

  std::string text() const {
    if (source.empty()) return go_quote(path);
    return fmt::format("{} ({})", go_quote(path), source);
  }
};

void add_items(const Value& items, const std::string& source, std::vector<Place>& out) {
  for (const Value& item : items.elements()) out.push_back({item["path"].text(), source});
}

std::string named(const char* kind, const Value& name) {
  return fmt::format("{} {}", kind, go_quote(name.as_string()));
}

// What one source of a projected volume brings.
std::vector<Place> projected(const Value& source) {
  std::vector<Place> out;
  auto one = [&](const Value& path, const std::string& what) {
    out.push_back({path.text(), what});
  };
  const Value& bundle = source["clusterTrustBundle"];
  const Value& certificate = source["podCertificate"];
  if (!source["configMap"]["items"].is_null()) {
    add_items(source["configMap"]["items"], named("ConfigMap", source["configMap"]["name"]), out);
  } else if (!source["secret"]["items"].is_null()) {
    add_items(source["secret"]["items"], named("Secret", source["secret"]["name"]), out);
  } else if (!source["downwardAPI"]["items"].is_null()) {
    add_items(source["downwardAPI"]["items"], "DownwardAPI", out);
  } else if (!source["serviceAccountToken"].is_null()) {
    one(source["serviceAccountToken"]["path"], "ServiceAccountToken");
  } else if (!bundle.is_null()) {
    const Value& name = bundle["name"].is_null() ? bundle["signerName"] : bundle["name"];
    one(bundle["path"], named("ClusterTrustBundle", name));
  } else if (!certificate.is_null()) {
    for (auto [member, what] :
         {std::pair{"certificateChainPath", "PodCertificate chain"},
          std::pair{"keyPath", "PodCertificate key"},
          std::pair{"credentialBundlePath", "PodCertificate credential bundle"}}) {
      if (!certificate[member].as_string().empty()) one(certificate[member], what);
    }
  }
  return out;
}

bool overlap(const Place& a, const Place& b) {
  if (a.path.empty() || b.path.empty()) return false;
  std::string first = a.path + "/";
  std::string second = b.path + "/";
  return first.starts_with(second) || second.starts_with(first);
}

void compare(const std::vector<Place>& places, const std::string& volume, Warnings& warnings) {
  std::vector<Place> before;
  for (Place place : places) {
    while (!place.path.empty() && place.path.back() == '/') place.path.pop_back();
    for (const Place& other : before) {
      if (!overlap(place, other)) continue;
      warnings.push_back(
          fmt::format("{}: overlapping paths: {} with {}", volume, place.text(), other.text()));
    }
    before.push_back(std::move(place));
  }
}

bool is_empty_projection(const Value& source) {
  for (const auto& [key, value] : source.members()) {
    if (!value.is_null()) return false;
  }
  return true;
}

}  // namespace

void volume_path_warnings(const Value& volumes, Warnings& warnings) {
  for (const Value& v : volumes.elements()) {
    std::string name = fmt::format("volume {}", go_quote(v["name"].as_string()));
    auto items = [&](const char* source, const std::string& what) {
      std::vector<Place> places;
      add_items(v[source]["items"], "", places);
      compare(places, fmt::format("{} ({})", name, what), warnings);
    };
    items("configMap", named("ConfigMap", v["configMap"]["name"]));
    items("secret", named("Secret", v["secret"]["secretName"]));
    items("downwardAPI", "DownwardAPI");
    std::vector<Place> places;
    for (const Value& source : v["projected"]["sources"].elements()) {
      if (is_empty_projection(source)) {
        warnings.push_back(name + " (Projected) has no sources provided");
      }
      for (Place& place : projected(source)) places.push_back(std::move(place));
    }
    compare(places, name + " (Projected)", warnings);
  }
}

}  // namespace knarr::api::rules
