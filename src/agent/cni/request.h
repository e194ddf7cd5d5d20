// What a CNI plug-in is asked, and what it answers: the configuration on its standard input, its
// environment, its result or its error. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/cni/config.h"
#include "agent/pod.h"
#include "base/json.h"
#include "knarr/result.h"

namespace knarr::agent {

struct CniAttachment {
  std::string sandbox_id;
  std::string netns;  // path; empty when the namespace is gone
  std::string interface = "eth0";
  std::string args;          // CNI_ARGS
  json::Value capabilities;  // by name, for plug-ins that declare them: portMappings, bandwidth
};

enum class CniCommand { kAdd, kDel, kStatus, kGc };

// K8S_POD_NAME and its like: who the pod is.
std::string cni_args(const Pod& pod, const std::string& sandbox_id);
// Of the pod's ports and annotations. kInvalid for a bandwidth that makes no sense.
Result<json::Value> cni_capabilities(const Pod& pod);

// What plug-in `index` reads; `previous` is the result so far, or the one that is kept (null:
// none); of GC the list of what is attached, each {"containerID", "ifname"}.
std::string cni_input(const CniConfig& config, size_t index, CniCommand command,
                      const CniAttachment& attachment, const json::Value& previous);
// On top of our own environment.
std::vector<std::pair<std::string, std::string>> cni_environment(
    CniCommand command, const CniAttachment& attachment, const std::vector<std::string>& bin_dirs);

// The result of an ADD, with its version, as the next plug-in and DEL get it.
Result<json::Value> parse_cni_result(std::string_view output, const CniConfig& config);
// The addresses of the interface, IPv4 first. kInvalid when there is none.
Result<std::vector<std::string>> cni_addresses(const json::Value& result,
                                               const std::string& interface);
// Why a plug-in failed, from what it said; `ending` is how it ended ("exit status 1").
std::string cni_failure(std::string_view output, std::string_view diagnostics,
                        const std::string& ending);

}  // namespace knarr::agent
