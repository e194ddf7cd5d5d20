#include "agent/cni/request.h"

#include <algorithm>

#include "api/ip.h"
#include "api/quantity.h"
#include "base/ascii.h"
#include "base/format.h"

namespace knarr::agent {

using json::Value;

namespace {

constexpr size_t kShownBytes = 4096;  // of what a plug-in wrote, in a message
constexpr int64_t kLeastRate = 1000, kMostRate = 1'000'000'000'000'000;  // bits a second
constexpr int64_t kBurst = 4294967295;

bool is_port(int64_t n) { return n > 0 && n <= 65535; }

Value port_mappings(const Pod& pod) {
  Value list = Value::array();
  for (const ContainerSpec& container : pod.containers()) {
    for (const Value& port : (*container.spec)["ports"].elements()) {
      if (!is_port(port["hostPort"].as_int()) || !is_port(port["containerPort"].as_int())) continue;
      list.push_back(Value::object({{"hostPort", port["hostPort"]},
                                    {"containerPort", port["containerPort"]},
                                    {"protocol", base::lower(port["protocol"].as_string("TCP"))},
                                    {"hostIP", port["hostIP"].as_string()}}));
    }
  }
  return list;
}

// 0 when the pod does not say.
Result<int64_t> rate_of(const Pod& pod, const char* annotation) {
  const Value& text = pod.metadata()["annotations"][annotation];
  if (text.is_null()) return 0;
  auto quantity = api::Quantity::parse(text.as_string());
  if (!quantity.ok()) return quantity.error();
  int64_t rate = quantity->value();
  if (rate < kLeastRate) {
    return make_error(Code::kInvalid, "resource is unreasonably small (< 1kbit)");
  }
  if (rate > kMostRate) {
    return make_error(Code::kInvalid, "resource is unreasonably large (> 1Pbit)");
  }
  return rate;
}

const char* name_of(CniCommand command) {
  switch (command) {
    case CniCommand::kAdd: return "ADD";
    case CniCommand::kDel: return "DEL";
    case CniCommand::kStatus: return "STATUS";
    case CniCommand::kGc: return "GC";
  }
  return "";
}

// Of an attachment, and not of the network as such.
bool is_of_one(CniCommand command) {
  return command == CniCommand::kAdd || command == CniCommand::kDel;
}

// DEL gets the result that is kept since 0.4.0.
bool takes_previous(const CniConfig& config, CniCommand command) {
  return command == CniCommand::kAdd || !config.version.starts_with("0.3.");
}

std::string quoted(std::string_view text) {
  std::string out;
  json::append_quoted(out, text.substr(0, kShownBytes));
  return out;
}

// Of an interface that the result lists: inside the pod, under this name. An address that names no
// interface is the pod's.
bool is_of(const Value& ip, const Value& result, const std::string& interface, bool& broken) {
  const Value& index = ip["interface"];
  if (!index.is_integer()) return true;
  int64_t i = index.as_int(-1);
  if (i < 0 || static_cast<size_t>(i) >= result["interfaces"].size()) {
    broken = true;
    return false;
  }
  return result["interfaces"][static_cast<size_t>(i)]["name"].as_string() == interface;
}

}  // namespace

std::string cni_args(const Pod& pod, const std::string& sandbox_id) {
  return fmt::format(
      "IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};K8S_POD_INFRA_CONTAINER_ID={};"
      "K8S_POD_UID={}",
      pod.ns(), pod.name(), sandbox_id, pod.uid());
}

Result<Value> cni_capabilities(const Pod& pod) {
  Value out = Value::object();
  Value ports = port_mappings(pod);
  if (!ports.empty()) out.set("portMappings", std::move(ports));
  TRY_ASSIGN(int64_t ingress, rate_of(pod, "kubernetes.io/ingress-bandwidth"));
  TRY_ASSIGN(int64_t egress, rate_of(pod, "kubernetes.io/egress-bandwidth"));
  if (ingress == 0 && egress == 0) return out;
  Value bandwidth = Value::object();
  if (ingress > 0) bandwidth.set("ingressRate", ingress).set("ingressBurst", kBurst);
  if (egress > 0) bandwidth.set("egressRate", egress).set("egressBurst", kBurst);
  out.set("bandwidth", std::move(bandwidth));
  return out;
}

std::string cni_input(const CniConfig& config, size_t index, CniCommand command,
                      const CniAttachment& attachment, const Value& previous) {
  const CniPlugin& plugin = config.plugins[index];
  Value conf = plugin.conf;
  conf.set("name", config.name);
  conf.set("cniVersion", config.version);
  if (command == CniCommand::kGc) {
    conf.set("cni.dev/valid-attachments", previous);
    conf.set("cni.dev/attachments", previous);  // the name in the first text of the specification
  }
  if (!is_of_one(command)) return json::write(conf);
  if (!previous.is_null() && takes_previous(config, command)) conf.set("prevResult", previous);
  Value runtime = Value::object();
  for (auto [capability, value] : attachment.capabilities.members()) {
    if (plugin.conf["capabilities"][capability].as_bool()) runtime.set(capability, value);
  }
  if (!runtime.empty()) conf.set("runtimeConfig", std::move(runtime));
  return json::write(conf);
}

std::vector<std::pair<std::string, std::string>> cni_environment(
    CniCommand command, const CniAttachment& attachment, const std::vector<std::string>& bin_dirs) {
  std::string path;
  for (const std::string& dir : bin_dirs) path += (path.empty() ? "" : ":") + dir;
  if (!is_of_one(command)) return {{"CNI_COMMAND", name_of(command)}, {"CNI_PATH", path}};
  return {{"CNI_COMMAND", name_of(command)}, {"CNI_CONTAINERID", attachment.sandbox_id},
          {"CNI_NETNS", attachment.netns},   {"CNI_IFNAME", attachment.interface},
          {"CNI_ARGS", attachment.args},     {"CNI_PATH", path}};
}

Result<Value> parse_cni_result(std::string_view output, const CniConfig& config) {
  auto parsed = json::parse(output);
  if (!parsed.ok() || !parsed->is_object()) {
    return make_error(Code::kInvalid,
                      "error converting result: " +
                          (parsed.ok() ? std::string("not an object") : parsed.error().message));
  }
  Value result = *std::move(parsed);
  if (result["cniVersion"].as_string().empty()) result.set("cniVersion", config.version);
  return result;
}

Result<std::vector<std::string>> cni_addresses(const Value& result, const std::string& interface) {
  std::vector<std::string> v4, v6;
  for (const Value& ip : result["ips"].elements()) {
    bool broken = false;
    bool ours = is_of(ip, result, interface, broken);
    if (broken) return make_error(Code::kInvalid, "invalid interface config: " + json::write(ip));
    auto cidr = api::Cidr::parse(ip["address"].as_string());
    if (!cidr) {
      return make_error(Code::kInvalid,
                        fmt::format("invalid CIDR address: {}", ip["address"].as_string()));
    }
    if (ours) (cidr->address.v6 ? v6 : v4).push_back(cidr->address.text());
  }
  v4.insert(v4.end(), v6.begin(), v6.end());
  if (!v4.empty()) return v4;
  return make_error(Code::kInvalid, "failed to find network info: no address for " + interface);
}

std::string cni_failure(std::string_view output, std::string_view diagnostics,
                        const std::string& ending) {
  if (output.empty()) {
    return diagnostics.empty() ? "netplugin failed with no error message: " + ending
                               : "netplugin failed: " + quoted(diagnostics);
  }
  auto said = json::parse(output);
  if (!said.ok() || !said->is_object()) {
    return fmt::format("netplugin failed but error parsing its diagnostic message {}: {}",
                       quoted(output), said.ok() ? "not an object" : said.error().message);
  }
  std::string message = (*said)["msg"].text();
  if (std::string details = (*said)["details"].text(); !details.empty()) {
    message += "; " + details;
  }
  return message.substr(0, kShownBytes);
}

}  // namespace knarr::agent
