#include "agent/dns/custom_dns.h"

#include <catch2/catch.hpp>

#include "agent/dns/cache.h"
#include "agent/dns/corefile.h"
#include "base/format.h"

using namespace knarr;
using namespace knarr::agent;
namespace dns = knarr::net::dns;

namespace {

CustomDns custom(const std::string& key, const std::string& text) {
  return parse_custom_dns(json::Value::object({{key, text}}));
}

// "zone: server server | name=address name=address | ~ | from>to", "!" and the problem.
std::string shown(const CustomDns& custom) {
  std::string out;
  for (const auto& [zone, block] : custom.blocks) {
    out += (out.empty() ? "" : "; ") + (zone.empty() ? "." : zone) + ":";
    for (const DnsTarget& t : block.targets) {
      out += " " + t.address + (t.port == 53 ? "" : fmt::format("#{}", t.port));
    }
    for (const auto& [name, addresses] : block.hosts) {
      for (const std::string& address : addresses) out += " " + name + "=" + address;
    }
    if (block.falls_through) out += " ~";
    for (const DnsRewrite& r : block.rewrites) {
      out += fmt::format(" {}{}>{}", r.suffix ? "*" : "", r.from, r.to);
    }
  }
  for (const std::string& problem : custom.problems) out += "!" + problem;
  return out;
}

}  // namespace

TEST_CASE("knarr-dns: keys, and what is refused of them") {
  struct {
    const char *key, *text, *shown;
  } rows[] = {
      {"stubDomains", R"({"Corp.Example.":["10.0.0.1","10.0.0.2:5353"],"x":["fd00::1"]})",
       "corp.example: 10.0.0.1 10.0.0.2#5353; x: fd00::1"},
      {"stubDomains", R"({"x":["ns.example"]})",
       "!stubDomains: \"ns.example\" is no name server: an address, or address:port"},
      {"stubDomains", R"({"x":[]})", "!stubDomains: not a list of name servers"},
      {"upstreamNameservers", R"(["9.9.9.9","[fd00::1]:54"])", ".: 9.9.9.9 fd00::1#54"},
      {"hosts", "# ours\n10.0.0.5 a.example B.example\n",
       ".: a.example=10.0.0.5 b.example=10.0.0.5 ~"},
      {"NodeHosts", "10.0.0.5\n", "!NodeHosts: line 1: not an address with names: 10.0.0.5"},
      {"example.server",
       "example.com:53 other.example {\n  errors\n  cache 30\n  forward . 10.1.0.1 dns://10.1.0.2 "
       "{\n"
       "    policy sequential\n  }\n}\n",
       "example.com: 10.1.0.1 10.1.0.2; other.example: 10.1.0.1 10.1.0.2"},
      {"example.server",
       "example.com {\n  hosts {\n    10.0.0.1 a.example.com\n    fallthrough\n  }\n}",
       "example.com: a.example.com=10.0.0.1 ~"},
      {"example.server", "example.com {\n  template IN A {\n  }\n}",
       "!example.server: line 2: \"template\" is not understood"},
      {"example.server", "example.com {\n  forward . tls://9.9.9.9\n}",
       "!example.server: line 2: \"tls://9.9.9.9\" is no name server: an address, or address:port"},
      {"example.server", "example.com {\n  log\n}",
       "!example.server: line 1: neither forward nor hosts"},
      {"example.server", ". {\n  forward . 9.9.9.9\n}",
       "!example.server: line 1: for all names, a key NAME.override"},
      {"example.server", "example.com:5353 {\n  forward . 9.9.9.9\n}",
       "!example.server: zone example.com:5353: only port 53 is there"},
      {"example.server", "example.com {\n  forward . 9.9.9.9\n",
       "!example.server: line 1: a block is not closed"},
      {"example.server", "forward . 9.9.9.9",
       "!example.server: line 1: not the head of a server block: zones and \"{\""},
      {"more.override",
       "log\nrewrite name exact old.example new.example\nrewrite stop name suffix .a .b answer "
       "auto\n"
       "forward . 9.9.9.9\nforward sub.example 10.0.0.9\nhosts {\n 10.0.0.1 h.example\n}",
       ".: 9.9.9.9 h.example=10.0.0.1 ~ old.example>new.example *.a>.b; sub.example: 10.0.0.9"},
      {"more.override", "rewrite type ANY HINFO",
       "!more.override: line 1: rewrite: only \"rewrite name [exact|suffix] FROM TO\" is "
       "understood"},
      {"more.override", "hosts /etc/hosts",
       "!more.override: line 1: hosts: files are not read, only what stands in its block"},
      {"Corefile", ".:53 {}",
       "!Corefile: not a key of knarr-dns: NAME.server, NAME.override, stubDomains, "
       "upstreamNameservers, hosts"},
  };
  for (const auto& row : rows) CHECK(shown(custom(row.key, row.text)) == row.shown);
}

TEST_CASE("knarr-dns: the longest zone has a name") {
  CustomDns c = custom("stubDomains", R"({"example":["1.1.1.1"],"a.example":["1.1.1.2"],
      "local":["1.1.1.3"],"prod.svc.cluster.local":["1.1.1.4"]})");
  auto zone = [&](std::string_view name, std::string_view than) {
    const auto* found = c.block_of(name, than);
    return found == nullptr ? "" : found->first;
  };
  CHECK(zone("x.a.example", "") == "a.example");
  CHECK(zone("xa.example", "") == "example");
  CHECK(zone("example", "") == "example");
  CHECK(zone("example.org", "") == "");
  CHECK(zone("web.default.svc.cluster.local", "cluster.local") == "");
  CHECK(zone("db.prod.svc.cluster.local", "cluster.local") == "prod.svc.cluster.local");
  CHECK(zone("printer.local", "") == "local");
}

TEST_CASE("cache: what is kept, and how long") {
  dns::Record a{"x.example", dns::kA, dns::kClassIn, 20, dns::Address{"10.0.0.1"}};
  dns::Record soa{"example", dns::kSoa, dns::kClassIn, 100, dns::Soa{"a", "b", 1, 2, 3, 4, 7}};
  dns::Message answer;
  answer.answers = {a};
  CHECK(cache_seconds(answer) == 20);
  answer.answers[0].ttl_seconds = 3600;
  CHECK(cache_seconds(answer) == DnsCache::kMostSeconds);
  answer.truncated = true;
  CHECK(cache_seconds(answer) == 0);
  dns::Message none;
  CHECK(cache_seconds(none) == 0);
  none.authorities = {soa};
  CHECK(cache_seconds(none) == 7);
  none.rcode = dns::kNxDomain;
  CHECK(cache_seconds(none) == 7);
  none.rcode = dns::kServFail;
  CHECK(cache_seconds(none) == 0);
  dns::Message foreign;
  foreign.answers = {{"x", dns::kMx, dns::kClassIn, 20, dns::Raw{"abc"}}};
  CHECK(cache_seconds(foreign) == 0);
}

TEST_CASE("cache: time passes, and there is a bound") {
  DnsCache cache(2);
  dns::Message answer;
  answer.answers = {{"x", dns::kA, dns::kClassIn, 20, dns::Address{"10.0.0.1"}}};
  DnsCache::Key one{"", "one", dns::kA}, two{"", "two", dns::kA}, three{"", "three", dns::kA};
  cache.put(one, answer, 1000);
  CHECK(cache.find(one, 6500)->answers[0].ttl_seconds == 15);
  CHECK(!cache.find({"", "one", dns::kAaaa}, 6500));
  CHECK(!cache.find({"z", "one", dns::kA}, 6500));
  cache.put(two, answer, 7000);
  REQUIRE(cache.find(one, 8000));
  cache.put(three, answer, 8000);  // two has not been asked for
  CHECK(cache.find(one, 8000));
  CHECK(!cache.find(two, 8000));
  CHECK(!cache.find(one, 21000));
  CHECK(cache.size() == 1);
}
