#include "server/http/media.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <vector>

#include "base/ascii.h"
#include "server/status/errors.h"

namespace knarr::server {
namespace {

constexpr std::string_view kProtobuf = "application/vnd.kubernetes.protobuf";

struct Clause {
  std::string type;
  std::string as, group, version;
  double q = 1;
};

template <typename Fn>
void split(std::string_view text, char by, Fn fn) {
  while (true) {
    size_t at = text.find(by);
    fn(base::trim(text.substr(0, at)));
    if (at == std::string_view::npos) return;
    text.remove_prefix(at + 1);
  }
}

std::vector<Clause> parse(std::string_view accept) {
  std::vector<Clause> out;
  split(accept, ',', [&](std::string_view part) {
    if (part.empty()) return;
    Clause c;
    bool first = true;
    split(part, ';', [&](std::string_view piece) {
      if (first) {
        c.type = base::lower(piece);
        first = false;
        return;
      }
      size_t eq = piece.find('=');
      if (eq == std::string_view::npos) return;
      std::string_view key = base::trim(piece.substr(0, eq));
      std::string value(base::trim(piece.substr(eq + 1)));
      if (key == "as") c.as = value;
      if (key == "g") c.group = value;
      if (key == "v") c.version = value;
      if (key == "q") c.q = std::strtod(value.c_str(), nullptr);
    });
    if (c.q == 0) c.q = 1;
    out.push_back(std::move(c));
  });
  std::stable_sort(out.begin(), out.end(),
                   [](const Clause& a, const Clause& b) { return a.q > b.q; });
  return out;
}

bool form_of(const Clause& c, Accepts accepts, Form& form) {
  if (c.as.empty()) {
    form = Form::kPlain;
    return true;
  }
  if (accepts == Accepts::kDiscovery) {
    form = Form::kDiscovery;
    return c.as == "APIGroupDiscoveryList" && c.group == "apidiscovery.k8s.io" && c.version == "v2";
  }
  if ((accepts != Accepts::kForms && accepts != Accepts::kStream) || c.group != "meta.k8s.io" ||
      (c.version != "v1" && c.version != "v1beta1")) {
    return false;
  }
  if (c.as == "Table")
    form = Form::kTable;
  else if (c.as == "PartialObjectMetadata")
    form = Form::kPartial;
  else if (c.as == "PartialObjectMetadataList")
    form = Form::kPartialList;
  else
    return false;
  return true;
}

}  // namespace

Result<Wanted> negotiate(std::string_view accept, Accepts accepts) {
  Wanted wanted;
  if (base::trim(accept).empty() || accept == "application/json") return wanted;
  std::vector<Clause> clauses = parse(accept);
  bool known = false;
  for (const Clause& c : clauses) {
    bool json = c.type == "application/json" || c.type == "*/*";
    bool yaml = c.type == "application/yaml";
    bool protobuf = c.type == kProtobuf;
    known = known || json || yaml || protobuf;
    if (!json && !yaml && !protobuf) continue;
    Form form = Form::kPlain;
    if (!form_of(c, accepts, form)) continue;
    // A Table has no protobuf form, a stream no YAML form.
    if (protobuf && form == Form::kTable) continue;
    if (yaml && accepts == Accepts::kStream) continue;
    wanted.form = form;
    wanted.protobuf = protobuf;
    wanted.media = yaml ? api::Media::kYaml : api::Media::kJson;
    wanted.version = c.version;
    return wanted;
  }
  if (!known && accepts != Accepts::kDiscovery) {
    std::string message =
        "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, "
        "application/vnd.kubernetes.protobuf";
    if (accepts == Accepts::kStream) {
      message +=
          ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
    }
    Error error = not_acceptable(std::move(message));
    error.details = std::make_shared<ErrorDetails>();
    return error;
  }
  return not_acceptable(
      "only the following media types are accepted: application/json, application/yaml, "
      "application/vnd.kubernetes.protobuf");
}

std::optional<std::string_view> accepted_type(std::string_view accept,
                                              std::initializer_list<std::string_view> offered) {
  if (base::trim(accept).empty()) return *offered.begin();
  for (const Clause& c : parse(accept)) {
    for (std::string_view type : offered) {
      std::string_view main = type.substr(0, type.find('/') + 1);
      if (c.type == type || c.type == "*/*" || c.type == std::string(main) + "*") return type;
    }
  }
  return std::nullopt;
}

std::optional<api::Media> media_of(std::string_view type) {
  std::string t = base::lower(base::trim(type.substr(0, type.find(';'))));
  if (t.empty() || t == "application/json") return api::Media::kJson;
  if (t == "application/yaml") return api::Media::kYaml;
  return std::nullopt;
}

bool is_protobuf(std::string_view type) {
  return base::trim(type.substr(0, type.find(';'))) == kProtobuf;
}

std::optional<client::PatchType> patch_type_of(std::string_view type) {
  std::string_view t = base::trim(type.substr(0, type.find(';')));
  if (t == "application/json-patch+json") return client::PatchType::kJson;
  if (t == "application/merge-patch+json") return client::PatchType::kMerge;
  if (t == "application/strategic-merge-patch+json") return client::PatchType::kStrategicMerge;
  if (t == "application/apply-patch+yaml") return client::PatchType::kApply;
  return std::nullopt;
}

std::string_view content_type(api::Media media) {
  return media == api::Media::kYaml ? "application/yaml" : "application/json";
}

}  // namespace knarr::server
