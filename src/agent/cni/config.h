// A network configuration of the container network interface (CNI, spec 1.1): which plug-ins attach
// a pod, in which order, and what each is told. Read as libcni reads it; versions before 0.3.0 have
// no chains and are refused. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "knarr/result.h"

namespace knarr::agent {

struct CniPlugin {
  std::string type;  // the name of its executable
  json::Value conf;  // as written
};

struct CniConfig {
  std::string name;
  std::string version;
  std::vector<CniPlugin> plugins;  // at least one
  bool disable_gc = false;
};

enum class CniForm { kList, kSingle };  // *.conflist; *.conf and *.json

Result<CniConfig> parse_cni_config(std::string_view text, CniForm form);

// The form of a file of this name; kNotFound when it is none for us.
Result<CniForm> cni_form_of(std::string_view file_name);

// Whether plug-ins are asked for their status, and told what is still attached: since 1.1.0.
bool knows_status_and_gc(const CniConfig& config);

// As a list that parse_cni_config reads again.
json::Value cni_config_list(const CniConfig& config);

}  // namespace knarr::agent
