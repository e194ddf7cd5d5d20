#include "agent/dns/custom_dns.h"

#include <algorithm>
#include <charconv>

#include "agent/dns/corefile.h"
#include "api/ip.h"
#include "api/names.h"
#include "base/ascii.h"
#include "base/format.h"

namespace knarr::agent {

using json::Value;

namespace {

// They change no answer, or are what knarr does anyway.
const std::set<std::string_view> kPassedOver = {"errors", "log",     "cache",       "loop",
                                                "reload", "health",  "ready",       "prometheus",
                                                "debug",  "minimal", "loadbalance", "bufsize"};
// Of forward: how, not whom.
const std::set<std::string_view> kForwardOptions = {
    "policy", "max_fails", "health_check", "expire", "prefer_udp", "force_tcp", "max_concurrent"};

Error bad(std::string message) { return make_error(Code::kInvalid, std::move(message)); }

// "corp.example", "corp.example.", "dns://corp.example:53": lower case, without the last dot.
Result<std::string> zone_of(std::string_view text) {
  std::string zone = base::lower(text);
  if (zone.starts_with("dns://")) zone = zone.substr(6);
  if (size_t colon = zone.rfind(':'); colon != std::string::npos) {
    if (zone.substr(colon) != ":53")
      return bad(fmt::format("zone {}: only port 53 is there", text));
    zone.resize(colon);
  }
  if (zone.ends_with(".")) zone.pop_back();
  if (!zone.empty() && (zone.size() > 253 || zone.find("..") != std::string::npos ||
                        zone[0] == '.' || zone.find_first_of("/\\*@") != std::string::npos)) {
    return bad(fmt::format("\"{}\" is no zone", text));
  }
  return zone;
}

Result<DnsTarget> target_of(std::string_view text) {
  if (text.starts_with("dns://")) text.remove_prefix(6);
  if (auto ip = api::IpAddress::parse(text)) return DnsTarget{ip->text(), 53};
  std::string_view host = text.substr(0, text.rfind(':'));
  std::string_view port = host.size() < text.size() ? text.substr(host.size() + 1) : "";
  if (host.starts_with("[") && host.ends_with("]")) host = host.substr(1, host.size() - 2);
  auto ip = api::IpAddress::parse(host);
  uint16_t number = 0;
  auto end = std::from_chars(port.data(), port.data() + port.size(), number);
  bool whole = end.ec == std::errc() && end.ptr == port.data() + port.size() && number > 0;
  if (!ip || !whole) {
    return bad(fmt::format("\"{}\" is no name server: an address, or address:port", text));
  }
  return DnsTarget{ip->text(), number};
}

// "192.0.2.1 a.example b.example"
Result<void> add_hosts(const std::vector<std::string>& words, bool reverse, DnsBlock& block) {
  auto ip = api::IpAddress::parse(words[0]);
  if (!ip || words.size() < 2) return bad("not an address with names: " + words[0]);
  for (size_t i = 1; i < words.size(); i++) {
    TRY_ASSIGN(std::string name, zone_of(words[i]));
    block.hosts[name].push_back(ip->text());
    if (reverse) block.reverse[ip->text()].push_back(name);
  }
  return {};
}

Result<void> read_hosts(const CorefileLine& line, bool overrides, DnsBlock& block) {
  if (line.words.size() > 1) return bad("hosts: files are not read, only what stands in its block");
  bool reverse = true;
  for (const auto& words : line.block) reverse &= words[0] != "no_reverse";
  block.falls_through |= overrides;
  for (const auto& words : line.block) {
    if (words[0] == "ttl" || words[0] == "reload" || words[0] == "no_reverse") continue;
    if (words[0] == "fallthrough") {
      block.falls_through = true;
      continue;
    }
    TRY(add_hosts(words, reverse, block));
  }
  return {};
}

Result<void> read_rewrite(const CorefileLine& line, DnsBlock& block) {
  std::vector<std::string> words(line.words.begin() + 1, line.words.end());
  auto drop = [&words](std::initializer_list<std::string_view> any) {
    bool is = !words.empty() && std::find(any.begin(), any.end(), words[0]) != any.end();
    if (is) words.erase(words.begin());
    return is;
  };
  drop({"stop", "continue"});
  if (!drop({"name"}) || !line.block.empty()) {
    return bad("rewrite: only \"rewrite name [exact|suffix] FROM TO\" is understood");
  }
  DnsRewrite rewrite;
  rewrite.suffix = drop({"suffix"});
  if (!rewrite.suffix) drop({"exact"});
  if (words.size() == 4 && words[2] == "answer" && words[3] == "auto") words.resize(2);
  if (words.size() != 2) {
    return bad("rewrite: only \"rewrite name [exact|suffix] FROM TO\" is understood");
  }
  // Suffixes begin with their dot where the zone itself is not meant.
  auto plain = [](std::string text) {
    text = base::lower(text);
    if (text.size() > 1 && text.ends_with(".")) text.pop_back();
    return text;
  };
  rewrite.from = plain(words[0]);
  rewrite.to = plain(words[1]);
  block.rewrites.push_back(std::move(rewrite));
  return {};
}

// Into the blocks of the zones (one, "", for an override).
Result<void> read_forward(const CorefileLine& line, bool overrides, DnsBlock& block,
                          std::map<std::string, DnsBlock>& blocks) {
  if (line.words.size() < 3) return bad("forward: FROM TO...");
  for (const auto& option : line.block) {
    if (kForwardOptions.count(option[0]) == 0) {
      return bad(fmt::format("forward: \"{}\" is not understood", option[0]));
    }
  }
  TRY_ASSIGN(std::string from, zone_of(line.words[1]));
  if (!from.empty() && !overrides) return bad("forward: of a server block, all names: \".\"");
  DnsBlock& to = from.empty() ? block : blocks[from];
  for (size_t i = 2; i < line.words.size(); i++) {
    if (overrides && line.words[i] == "/etc/resolv.conf") continue;  // as it is anyway
    TRY_ASSIGN(DnsTarget target, target_of(line.words[i]));
    to.targets.push_back(std::move(target));
  }
  return {};
}

Result<void> read_directives(const std::vector<CorefileLine>& lines, bool overrides,
                             DnsBlock& block, std::map<std::string, DnsBlock>& blocks) {
  for (const CorefileLine& line : lines) {
    const std::string& name = line.words[0];
    Result<void> read;
    if (name == "forward") {
      read = read_forward(line, overrides, block, blocks);
    } else if (name == "hosts") {
      read = read_hosts(line, overrides, block);
    } else if (name == "rewrite") {
      read = read_rewrite(line, block);
    } else if (kPassedOver.count(name) == 0) {
      read = bad(fmt::format("\"{}\" is not understood", name));
    }
    if (!read.ok()) return bad(fmt::format("line {}: {}", line.number, read.error().message));
  }
  return {};
}

using Blocks = std::map<std::string, DnsBlock>;

Result<Blocks> read_servers(const std::string& text) {
  TRY_ASSIGN(std::vector<CorefileServer> servers, parse_corefile(text));
  Blocks out;
  for (const CorefileServer& server : servers) {
    DnsBlock block;
    TRY(read_directives(server.directives, false, block, out));
    if (block.targets.empty() && block.hosts.empty()) {
      return bad(fmt::format("line {}: neither forward nor hosts", server.number));
    }
    for (std::string word : server.zones) {
      if (word.ends_with(",")) word.pop_back();
      TRY_ASSIGN(std::string zone, zone_of(word));
      if (zone.empty()) {
        return bad(fmt::format("line {}: for all names, a key NAME.override", server.number));
      }
      if (!out.emplace(zone, block).second) {
        return bad(fmt::format("line {}: zone {} is there twice", server.number, zone));
      }
    }
  }
  return out;
}

Result<Blocks> read_override(const std::string& text) {
  TRY_ASSIGN(std::vector<CorefileLine> lines, parse_directives(text));
  Blocks out;
  DnsBlock block;
  TRY(read_directives(lines, true, block, out));
  out[""] = std::move(block);
  return out;
}

Result<std::vector<DnsTarget>> read_targets(const Value& list) {
  std::vector<DnsTarget> out;
  if (!list.is_array() || list.empty()) return bad("not a list of name servers");
  for (const Value& element : list.elements()) {
    TRY_ASSIGN(DnsTarget target, target_of(element.as_string()));
    out.push_back(std::move(target));
  }
  return out;
}

Result<Blocks> read_stub_domains(const std::string& text) {
  TRY_ASSIGN(Value domains, json::parse(text));
  if (!domains.is_object()) return bad("not an object of domains");
  Blocks out;
  for (auto [domain, servers] : domains.members()) {
    TRY_ASSIGN(std::string zone, zone_of(domain));
    if (zone.empty()) return bad("for all names, the key upstreamNameservers");
    TRY_ASSIGN(out[zone].targets, read_targets(servers));
  }
  return out;
}

Result<Blocks> read_upstreams(const std::string& text) {
  TRY_ASSIGN(Value list, json::parse(text));
  Blocks out;
  TRY_ASSIGN(out[""].targets, read_targets(list));
  return out;
}

Result<Blocks> read_host_lines(const std::string& text) {
  TRY_ASSIGN(std::vector<CorefileLine> lines, parse_directives(text));
  Blocks out;
  for (const CorefileLine& line : lines) {
    auto added = line.block.empty() ? add_hosts(line.words, true, out[""]) : bad("not an address");
    if (!added.ok()) return bad(fmt::format("line {}: {}", line.number, added.error().message));
  }
  out[""].falls_through = true;
  return out;
}

Result<Blocks> read_key(std::string_view key, const std::string& text) {
  if (key.ends_with(".server")) return read_servers(text);
  if (key.ends_with(".override")) return read_override(text);
  if (key == "stubDomains") return read_stub_domains(text);
  if (key == "upstreamNameservers") return read_upstreams(text);
  if (key == "hosts" || key == "NodeHosts") return read_host_lines(text);
  return bad(
      "not a key of knarr-dns: NAME.server, NAME.override, stubDomains, upstreamNameservers, "
      "hosts");
}

void append(DnsBlock& to, DnsBlock&& from) {
  to.targets.insert(to.targets.end(), from.targets.begin(), from.targets.end());
  for (auto& [name, addresses] : from.hosts) {
    auto& all = to.hosts[name];
    all.insert(all.end(), addresses.begin(), addresses.end());
  }
  for (auto& [address, names] : from.reverse) {
    auto& all = to.reverse[address];
    all.insert(all.end(), names.begin(), names.end());
  }
  to.falls_through |= from.falls_through;
  to.rewrites.insert(to.rewrites.end(), from.rewrites.begin(), from.rewrites.end());
}

}  // namespace

CustomDns parse_custom_dns(const Value& data) {
  CustomDns out;
  for (auto [key, value] : data.members()) {
    auto blocks = read_key(key, value.text());
    if (!blocks.ok()) {
      out.problems.push_back(fmt::format("{}: {}", key, blocks.error().message));
      continue;
    }
    for (auto& [zone, block] : *blocks) append(out.blocks[zone], std::move(block));
  }
  return out;
}

bool is_in_zone(std::string_view name, std::string_view zone) {
  if (zone.empty()) return true;
  if (!name.ends_with(zone)) return false;
  return name.size() == zone.size() || name[name.size() - zone.size() - 1] == '.';
}

const std::pair<const std::string, DnsBlock>* CustomDns::block_of(std::string_view name,
                                                                  std::string_view than) const {
  const std::pair<const std::string, DnsBlock>* found = nullptr;
  size_t longest = than.size();
  for (const auto& entry : blocks) {
    const std::string& zone = entry.first;
    if (zone.empty() || !is_in_zone(name, zone) || zone.size() < longest) continue;
    found = &entry;
    longest = zone.size();
  }
  return found;
}

std::string rewritten(const std::vector<DnsRewrite>& rewrites, std::string_view name) {
  for (const DnsRewrite& rewrite : rewrites) {
    if (!rewrite.suffix && name == rewrite.from) return rewrite.to;
    if (rewrite.suffix && name.ends_with(rewrite.from)) {
      return std::string(name.substr(0, name.size() - rewrite.from.size())) + rewrite.to;
    }
  }
  return {};
}

}  // namespace knarr::agent
