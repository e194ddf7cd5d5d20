#include "agent/dns/records.h"

#include <catch2/catch.hpp>

#include "base/format.h"

using namespace knarr;
using namespace knarr::agent;
namespace dns = knarr::net::dns;

namespace {

void put_service(ServiceState& state, const char* ns, const char* name, const char* spec) {
  ServiceView view = parse_service(*json::parse(
      fmt::format(R"({{"metadata":{{"namespace":"{}","name":"{}"}},"spec":{}}})", ns, name, spec)));
  state.services[view.name] = view;
}

void put_slice(ServiceState& state, const char* ns, const char* service, const char* type,
               const char* rest) {
  SliceView view = parse_slice(*json::parse(fmt::format(
      R"({{"metadata":{{"namespace":"{}","name":"{}-{}","labels":{{"kubernetes.io/service-name":"{}"}}}},
         "addressType":"{}",{}}})",
      ns, service, type, service, type, rest)));
  state.slices[{ns, service}][view.name.name] = view;
}

const ServiceState& cluster() {
  static const ServiceState state = [] {
    ServiceState s;
    put_service(s, "default", "web", R"({"clusterIP":"10.43.1.1","ports":[
        {"name":"http","port":80},{"name":"dns","port":53,"protocol":"UDP"}]})");
    put_slice(s, "default", "web", "IPv4", R"("ports":[{"name":"http","port":8080}],
        "endpoints":[{"addresses":["10.42.0.9"]}])");
    put_service(s, "default", "dual", R"({"clusterIP":"10.43.1.2",
        "clusterIPs":["10.43.1.2","fd00::2"],"ports":[{"port":80}]})");
    put_service(s, "prod", "db", R"({"clusterIP":"None","ports":[{"name":"sql","port":5432}]})");
    put_slice(s, "prod", "db", "IPv4", R"("ports":[{"name":"sql","port":5432}],"endpoints":[
        {"addresses":["10.42.0.5"],"hostname":"db-0"},{"addresses":["10.42.0.6"],"hostname":"db-1"},
        {"addresses":["10.42.0.7"],"conditions":{"ready":false}},{"addresses":["10.42.0.8"]}])");
    put_slice(s, "prod", "db", "IPv6", R"("ports":[{"name":"sql","port":5432}],"endpoints":[
        {"addresses":["fd00::5"],"hostname":"db-0"}])");
    put_service(s, "prod", "empty", R"({"clusterIP":"None"})");
    put_service(s, "prod", "bare", R"({"clusterIP":"None"})");
    put_slice(s, "prod", "bare", "IPv4", R"("endpoints":[{"addresses":["10.42.0.11"]}])");
    put_service(s, "prod", "ext", R"({"type":"ExternalName","externalName":"example.com"})");
    put_service(s, "prod", "extip", R"({"type":"ExternalName","externalName":"192.0.2.1"})");
    return s;
  }();
  return state;
}

std::string text(const dns::Record& r) {
  if (auto* a = std::get_if<dns::Address>(&r.data)) return a->text;
  if (auto* n = std::get_if<dns::Name>(&r.data)) return "-> " + n->name;
  if (auto* t = std::get_if<dns::Txt>(&r.data)) return t->strings.at(0);
  if (auto* v = std::get_if<dns::Srv>(&r.data)) {
    return fmt::format("{} {} {} {}", v->priority, v->weight, v->port, v->target);
  }
  if (std::get_if<dns::Soa>(&r.data)) return "SOA";
  return "?";
}

// "10.0.0.1, 10.0.0.2"; "NXDOMAIN", "NODATA" (both with the zone's SOA), "foreign".
std::string ask(const std::string& name, uint16_t type) {
  DnsAnswer answer = dns_answer(cluster(), {"cluster.local", "10.43.0.10", 5, 1}, {name, type});
  if (answer.kind == DnsAnswer::Kind::kForeign) return "foreign";
  std::string out;
  for (const dns::Record& r : answer.answers) out += (out.empty() ? "" : ", ") + text(r);
  for (const dns::Record& r : answer.additionals) out += " + " + r.name + " " + text(r);
  if (answer.kind == DnsAnswer::Kind::kAlias) out += " ...";
  if (!answer.answers.empty()) return out;
  if (answer.authorities.size() != 1 || text(answer.authorities[0]) != "SOA") return "no SOA";
  return answer.rcode == dns::kNxDomain ? "NXDOMAIN" : "NODATA";
}

}  // namespace

TEST_CASE("names of the cluster") {
  struct Case {
    const char* name;
    uint16_t type;
    const char* expected;
  };
  for (const Case& c : std::vector<Case>{
           // Services with an address.
           {"web.default.svc.cluster.local", dns::kA, "10.43.1.1"},
           {"WEB.default.svc.Cluster.Local", dns::kA, "10.43.1.1"},
           {"web.default.svc.cluster.local", dns::kAaaa, "NODATA"},
           {"web.default.svc.cluster.local", dns::kTxt, "NODATA"},
           {"dual.default.svc.cluster.local", dns::kAaaa, "fd00::2"},
           {"web.prod.svc.cluster.local", dns::kA, "NXDOMAIN"},
           {"a.b.c.web.default.svc.cluster.local", dns::kA, "NXDOMAIN"},
           {"_http._tcp.web.default.svc.cluster.local", dns::kSrv,
            "0 100 80 web.default.svc.cluster.local + web.default.svc.cluster.local 10.43.1.1"},
           {"_dns._udp.web.default.svc.cluster.local", dns::kSrv,
            "0 100 53 web.default.svc.cluster.local + web.default.svc.cluster.local 10.43.1.1"},
           {"_http._udp.web.default.svc.cluster.local", dns::kSrv, "NXDOMAIN"},
           {"web.default.svc.cluster.local", dns::kSrv,
            "0 50 53 web.default.svc.cluster.local, 0 50 80 web.default.svc.cluster.local + "
            "web.default.svc.cluster.local 10.43.1.1"},
           {"10-42-0-9.web.default.svc.cluster.local", dns::kA, "10.42.0.9"},
           // Headless services.
           {"db.prod.svc.cluster.local", dns::kA, "10.42.0.5, 10.42.0.6, 10.42.0.8"},
           {"db.prod.svc.cluster.local", dns::kAaaa, "fd00::5"},
           {"db-0.db.prod.svc.cluster.local", dns::kA, "10.42.0.5"},
           {"db-2.db.prod.svc.cluster.local", dns::kA, "NXDOMAIN"},
           {"10-42-0-8.db.prod.svc.cluster.local", dns::kA, "10.42.0.8"},
           {"10-42-0-7.db.prod.svc.cluster.local", dns::kA, "NXDOMAIN"},
           {"_sql._tcp.db.prod.svc.cluster.local", dns::kSrv,
            "0 33 5432 10-42-0-8.db.prod.svc.cluster.local, 0 33 5432 "
            "db-0.db.prod.svc.cluster.local, 0 33 5432 db-1.db.prod.svc.cluster.local + "
            "db-0.db.prod.svc.cluster.local 10.42.0.5 + db-1.db.prod.svc.cluster.local 10.42.0.6 "
            "+ 10-42-0-8.db.prod.svc.cluster.local 10.42.0.8 + db-0.db.prod.svc.cluster.local "
            "fd00::5"},
           {"empty.prod.svc.cluster.local", dns::kA, "NXDOMAIN"},
           {"bare.prod.svc.cluster.local", dns::kA, "10.42.0.11"},
           // External names.
           {"ext.prod.svc.cluster.local", dns::kA, "-> example.com ..."},
           {"ext.prod.svc.cluster.local", dns::kCname, "-> example.com"},
           {"ext.prod.svc.cluster.local", dns::kSrv, "NODATA"},
           {"x.ext.prod.svc.cluster.local", dns::kA, "NXDOMAIN"},
           {"extip.prod.svc.cluster.local", dns::kA, "NXDOMAIN"},
           // Pods.
           {"10-42-0-5.default.pod.cluster.local", dns::kA, "10.42.0.5"},
           {"10-42-0-5.default.pod.cluster.local", dns::kAaaa, "NODATA"},
           {"fd00--5.default.pod.cluster.local", dns::kAaaa, "fd00::5"},
           {"web.default.pod.cluster.local", dns::kA, "NXDOMAIN"},
           // Names that have names below them, and what is no name.
           {"cluster.local", dns::kA, "NODATA"},
           {"cluster.local", dns::kSoa, "SOA"},
           {"cluster.local", dns::kNs, "-> ns.dns.cluster.local + ns.dns.cluster.local 10.43.0.10"},
           {"ns.dns.cluster.local", dns::kA, "10.43.0.10"},
           {"dns-version.cluster.local", dns::kTxt, "1.1.0"},
           {"svc.cluster.local", dns::kA, "NODATA"},
           {"default.svc.cluster.local", dns::kA, "NODATA"},
           {"default.pod.cluster.local", dns::kA, "NODATA"},
           {"other.cluster.local", dns::kA, "NXDOMAIN"},
           {"xcluster.local", dns::kA, "foreign"},
           {"example.com", dns::kA, "foreign"},
           {"", dns::kNs, "foreign"},
           // Addresses.
           {"1.1.43.10.in-addr.arpa", dns::kPtr, "-> web.default.svc.cluster.local"},
           {"5.0.42.10.in-addr.arpa", dns::kPtr, "-> db-0.db.prod.svc.cluster.local"},
           {"9.0.42.10.in-addr.arpa", dns::kPtr, "foreign"},
           {"10.in-addr.arpa", dns::kPtr, "foreign"},
       }) {
    INFO(c.name << " " << c.type);
    CHECK(ask(c.name, c.type) == c.expected);
  }
}

TEST_CASE("other classes are not ours") {
  DnsAnswer answer = dns_answer(cluster(), {}, {"web.default.svc.cluster.local", dns::kA, 3});
  CHECK(answer.kind == DnsAnswer::Kind::kForeign);
}

TEST_CASE("the zone's server is the service that has its address") {
  ServiceState state = cluster();
  put_service(state, "kube-system", "kube-dns",
              R"({"clusterIP":"10.43.0.10","ports":[{"port":53}]})");
  DnsZone zone{"cluster.local", "10.43.0.10", 5, 1};
  DnsAnswer answer = dns_answer(state, zone, {"cluster.local", dns::kNs});
  REQUIRE(answer.answers.size() == 1);
  CHECK(text(answer.answers[0]) == "-> kube-dns.kube-system.svc.cluster.local");
  zone.address = "10.43.0.11";
  CHECK(text(dns_answer(state, zone, {"cluster.local", dns::kNs}).answers[0]) ==
        "-> ns.dns.cluster.local");
}
