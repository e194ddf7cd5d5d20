#include "agent/cni/config.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/format.h"

namespace knarr::agent {

using json::Value;

namespace {

// In their order.
constexpr std::array<std::string_view, 5> kVersions = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};

Error bad(std::string message) { return make_error(Code::kInvalid, std::move(message)); }

size_t rank_of(std::string_view version) {
  return static_cast<size_t>(std::find(kVersions.begin(), kVersions.end(), version) -
                             kVersions.begin());
}

// cniVersions (spec 1.1) offers several: the newest that is understood.
Result<std::string> version_of(const Value& conf) {
  size_t best = rank_of(conf["cniVersion"].as_string());
  bool known = best < kVersions.size();
  for (const Value& offered : conf["cniVersions"].elements()) {
    size_t rank = rank_of(offered.as_string());
    if (rank < kVersions.size() && (!known || rank > best)) {
      best = rank;
      known = true;
    }
  }
  if (known) return std::string(kVersions[best]);
  return bad(fmt::format("unsupported CNI version \"{}\"", conf["cniVersion"].as_string()));
}

// It is part of file names and of arguments.
bool is_network_name(std::string_view name) {
  if (name.empty() || isalnum(static_cast<unsigned char>(name[0])) == 0) return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return isalnum(c) != 0 || c == '_' || c == '.' || c == '-';
  });
}

Result<CniPlugin> plugin_of(const Value& conf) {
  if (!conf.is_object()) return bad("error parsing configuration: not an object");
  std::string type = conf["type"].text();
  if (type.empty()) return bad("error parsing configuration: missing 'type'");
  bool is_file_name = type.find('/') == std::string::npos && type.find('\0') == std::string::npos &&
                      type != "." && type != "..";
  if (!is_file_name) return bad("invalid plugin name: " + type);
  return CniPlugin{std::move(type), conf};
}

}  // namespace

Result<CniConfig> parse_cni_config(std::string_view text, CniForm form) {
  auto parsed = json::parse(text);
  if (!parsed.ok()) return bad("error parsing configuration: " + parsed.error().message);
  const Value& conf = *parsed;
  if (!conf.is_object()) return bad("error parsing configuration: not an object");
  CniConfig config;
  config.name = conf["name"].text();
  if (config.name.empty()) return bad("error parsing configuration: no name");
  if (!is_network_name(config.name)) {
    return bad("invalid characters found in network name: " + config.name);
  }
  TRY_ASSIGN(config.version, version_of(conf));
  if (form == CniForm::kSingle) {
    TRY_ASSIGN(CniPlugin plugin, plugin_of(conf));
    config.plugins.push_back(std::move(plugin));
    return config;
  }
  if (!conf.has("plugins")) return bad("error parsing configuration list: no 'plugins' key");
  if (!conf["plugins"].is_array()) {
    return bad("error parsing configuration list: invalid 'plugins' type");
  }
  for (const Value& element : conf["plugins"].elements()) {
    TRY_ASSIGN(CniPlugin plugin, plugin_of(element));
    config.plugins.push_back(std::move(plugin));
  }
  if (config.plugins.empty()) return bad("error parsing configuration list: no plugins in list");
  config.disable_gc = conf["disableGC"].as_bool() || conf["disableGC"].as_string() == "true";
  return config;
}

Result<CniForm> cni_form_of(std::string_view file_name) {
  if (file_name.ends_with(".conflist")) return CniForm::kList;
  if (file_name.ends_with(".conf") || file_name.ends_with(".json")) return CniForm::kSingle;
  return make_error(Code::kNotFound, "not a network configuration");
}

bool knows_status_and_gc(const CniConfig& config) {
  return rank_of(config.version) >= rank_of("1.1.0");
}

Value cni_config_list(const CniConfig& config) {
  Value plugins = Value::array();
  for (const CniPlugin& plugin : config.plugins) plugins.push_back(plugin.conf);
  return Value::object({{"cniVersion", config.version},
                        {"name", config.name},
                        {"plugins", std::move(plugins)},
                        {"disableGC", config.disable_gc}});
}

}  // namespace knarr::agent
