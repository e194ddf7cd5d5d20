#include "api/validation/warning_rules.h"

#include <algorithm>

#include "api/ip.h"
#include "api/names.h"
#include "api/quantity.h"
#include "api/validation/pem.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

using json::Value;

// Zeros before the digits of dotted numbers, which Go's old parser let pass.
std::string without_leading_zeros(std::string_view ip) {
  std::string out;
  for (size_t i = 0; i < ip.size(); i++) {
    bool begins = i == 0 || ip[i - 1] == '.' || ip[i - 1] == ':';
    bool more = i + 1 < ip.size() && ip[i + 1] >= '0' && ip[i + 1] <= '9';
    bool dotted = ip.find('.') != std::string_view::npos;
    if (dotted && (begins || out.empty() || out.back() == '.') && ip[i] == '0' && more) continue;
    out += ip[i];
  }
  return out;
}

// 1.2.3.4 of ::ffff:1.2.3.4, which Go's net.IP takes for the same.
IpAddress plain(const IpAddress& ip) {
  if (!ip.v6 || !ip.is_v4_mapped()) return ip;
  IpAddress out;
  std::copy(ip.bytes.begin() + 12, ip.bytes.end(), out.bytes.begin());
  return out;
}

bool is_private_key(std::string_view type) {
  constexpr std::string_view kKey = "PRIVATE KEY";
  return type == kKey || (type.size() > kKey.size() &&
                          type.substr(type.size() - kKey.size() - 1) == " PRIVATE KEY");
}

std::vector<std::string> types_of(const std::vector<PemBlock>& blocks) {
  std::vector<std::string> out;
  for (const PemBlock& b : blocks) out.push_back(b.type);
  return out;
}

// A SEQUENCE that ends where the bytes do.
bool is_der_sequence(std::string_view der) {
  auto at = [&](size_t i) { return static_cast<uint8_t>(der[i]); };
  if (der.size() < 2 || at(0) != 0x30) return false;
  size_t length = at(1);
  size_t head = 2;
  if (length >= 0x80) {
    size_t count = length & 0x7f;
    if (count == 0 || count > 4 || der.size() < 2 + count) return false;
    length = 0;
    for (size_t i = 0; i < count; i++) length = length << 8 | at(2 + i);
    head += count;
  }
  return der.size() == head + length;
}

}  // namespace

void warn(const Path& path, std::string_view sentence, Warnings& warnings) {
  warnings.push_back(fmt::format("{}: {}", path.text(), sentence));
}

std::string go_list(const std::vector<std::string>& list) {
  std::string out = "[";
  for (const std::string& s : list) {
    if (out.size() > 1) out += ' ';
    out += s;
  }
  return out + "]";
}

std::string_view deprecated_node_label(std::string_view key) {
  constexpr std::pair<std::string_view, std::string_view> kLabels[] = {
      {"beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"},
      {"beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"},
      {"failure-domain.beta.kubernetes.io/region",
       "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead"},
      {"failure-domain.beta.kubernetes.io/zone",
       "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"},
      {"beta.kubernetes.io/instance-type",
       "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"},
      {"app.kubernetes.io/created-by", "deprecated since v1.9"},
      {"scheduler.alpha.kubernetes.io/preferAvoidPods",
       "deprecated since v1.22; use Taints and Tolerations instead"},
      {"node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"},
  };
  for (const auto& [label, instead] : kLabels) {
    if (label == key) return instead;
  }
  return {};
}

void node_term_warnings(const Value& term, bool values, const Path& path, Warnings& warnings) {
  size_t i = 0;
  for (const Value& expression : term["matchExpressions"].elements()) {
    Path at = (path / "matchExpressions")[i++];
    std::string_view key = expression["key"].as_string();
    std::string_view instead = deprecated_node_label(key);
    if (!instead.empty()) warn(at / "key", fmt::format("{} is {}", key, instead), warnings);
    if (!values) continue;
    size_t j = 0;
    for (const Value& value : expression["values"].elements()) {
      Path here = (at / "values")[j++];
      for (const std::string& problem : check_label_value(value.as_string())) {
        warn(here, fmt::format("{} is invalid, {}", value.as_string(), problem), warnings);
      }
    }
  }
}

void claim_spec_warnings(const Value& spec, const Path& path, Warnings& warnings) {
  for (const char* list : {"requests", "limits"}) {
    const Value& storage = spec["resources"][list]["storage"];
    if (storage.is_null()) continue;
    Result<Quantity> quantity = Quantity::parse(storage.text());
    if (!quantity.ok() || quantity->milli_value() % 1000 == 0) continue;
    warn((path / "resources" / list).key("storage"),
         fmt::format("fractional byte value {} is invalid, must be an integer",
                     go_quote(quantity->text())),
         warnings);
  }
}

void ip_warnings(std::string_view text, const Path& path, Warnings& warnings) {
  std::optional<IpAddress> ip = IpAddress::parse(text);
  if (!ip || ip->is_v4_mapped()) {
    if (!ip) ip = IpAddress::parse(without_leading_zeros(text));
    if (!ip) return;
    warn(path,
         fmt::format("non-standard IP address {} is invalid: use {}", go_quote(text),
                     go_quote(plain(*ip).text())),
         warnings);
  } else if (ip->v6 && ip->text() != text) {
    warn(path,
         fmt::format("IPv6 address {} should be in RFC 5952 canonical format ({})", go_quote(text),
                     go_quote(ip->text())),
         warnings);
  }
}

void cidr_warnings(std::string_view text, const Path& path, Warnings& warnings) {
  std::optional<Cidr> cidr = Cidr::parse(text);
  bool standard = cidr && !cidr->address.is_v4_mapped();
  if (!cidr) cidr = Cidr::parse(without_leading_zeros(text));
  if (!cidr) return;
  bool canonical = cidr->is_canonical_network();
  Cidr network{cidr->network(), cidr->prefix};
  if (!canonical) {
    warn(path,
         fmt::format("CIDR value {} is ambiguous in this context (should be {} or {}?)",
                     go_quote(text), go_quote(network.text()),
                     go_quote(fmt::format("{}/{}", cidr->address.text(), cidr->address.bits()))),
         warnings);
  }
  if (!standard) {
    warn(path,
         fmt::format("non-standard CIDR value {} is invalid: use {}", go_quote(text),
                     go_quote(network.text())),
         warnings);
  } else if (canonical && cidr->address.v6 && cidr->text() != text) {
    warn(path,
         fmt::format("IPv6 CIDR value {} should be in RFC 5952 canonical format ({})",
                     go_quote(text), go_quote(cidr->text())),
         warnings);
  }
}

// crypto/tls's words, as far as they can be told without looking into the keys.
std::string key_pair_problem(const std::string& certificate, const std::string& key) {
  std::vector<PemBlock> blocks = pem_blocks(certificate);
  const PemBlock* found = nullptr;
  for (const PemBlock& b : blocks) {
    if (found == nullptr && b.type == "CERTIFICATE") found = &b;
  }
  if (found == nullptr) {
    if (blocks.empty()) return "tls: failed to find any PEM data in certificate input";
    if (blocks.size() == 1 && blocks[0].type.ends_with("PRIVATE KEY")) {
      return "tls: failed to find certificate PEM data in certificate input, but did find a "
             "private key; PEM inputs may have been switched";
    }
    return fmt::format(
        "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM "
        "blocks of the following types: {}",
        go_list(types_of(blocks)));
  }
  std::vector<PemBlock> keys = pem_blocks(key);
  bool has_key = false;
  for (const PemBlock& b : keys) has_key = has_key || is_private_key(b.type);
  if (!has_key) {
    if (keys.empty()) return "tls: failed to find any PEM data in key input";
    if (keys.size() == 1 && keys[0].type == "CERTIFICATE") {
      return "tls: found a certificate rather than a key in the PEM for the private key";
    }
    return fmt::format(
        "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after "
        "skipping PEM blocks of the following types: {}",
        go_list(types_of(keys)));
  }
  if (!is_der_sequence(found->bytes)) return "x509: malformed certificate";
  for (const PemBlock& b : keys) {
    if (!is_private_key(b.type)) continue;
    return is_der_sequence(b.bytes) ? "" : "tls: failed to parse private key";
  }
  return "";
}

}  // namespace knarr::api::rules
