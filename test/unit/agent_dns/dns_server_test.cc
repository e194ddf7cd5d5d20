#include "agent/dns/dns_server.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>

#include "agent/dns/custom_dns_watch.h"
#include "agent/dns/dns_service.h"
#include "agent/dns/sockets.h"
#include "base/file.h"
#include "base/format.h"
#include "base/random.h"
#include "net/frames.h"
#include "unit/agent_proxy/fake_watch_client.h"

using namespace knarr;
using namespace knarr::agent;
namespace dns = knarr::net::dns;

namespace {

constexpr int64_t kLimitMs = 20'000;
constexpr uint16_t kHinfo = 13;

// Answers every name but "silent." with 192.0.2.1; long answers for "long.", refusal for
// "refused.".
class Upstream {
 public:
  explicit Upstream(base::Loop& loop) {
    DnsSockets sockets = *bind_dns_sockets("127.0.0.1", 0);
    udp = std::move(sockets.udp);
    tcp = std::move(sockets.tcp);
    port = sockets.port;
    udp_watch = std::make_unique<base::FdWatch>(loop, udp.get(), UV_READABLE, [this](int) {
      char buffer[4096];
      sockaddr_storage from;
      socklen_t size = sizeof from;
      ssize_t n =
          recvfrom(udp.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (n <= 0) return;
      std::string out = reply({buffer, static_cast<size_t>(n)}, false);
      if (!out.empty()) {
        sendto(udp.get(), out.data(), out.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
      }
    });
    tcp_watch = std::make_unique<base::FdWatch>(loop, tcp.get(), UV_READABLE, [this, &loop](int) {
      client_watch = nullptr;
      client.reset(accept(tcp.get(), nullptr, nullptr));
      client_watch = std::make_unique<base::FdWatch>(loop, client.get(), UV_READABLE,
                                                     [this](int) { answer_client(); });
    });
  }

  void answer_client() {
    char buffer[4096];
    ssize_t n = recv(client.get(), buffer, sizeof buffer, 0);
    net::FrameReader in;
    in.add({buffer, n > 0 ? static_cast<size_t>(n) : 0});
    auto query = in.next();
    if (!query) {
      client_watch = nullptr;
      return;
    }
    std::string out;
    net::append_frame(out, reply(*query, true));
    send(client.get(), out.data(), out.size(), MSG_NOSIGNAL);
  }

  std::string reply(std::string_view bytes, bool over_tcp) {
    auto query = dns::parse(bytes);
    if (!query.ok()) return {};
    const std::string& name = query->questions[0].name;
    if (query->questions[0].type == kHinfo) {
      if (returns_to == 0) return {};
      back = *connect_dns_socket(false, "127.0.0.2", returns_to);
      returned = send(back.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0;
      return {};
    }
    asked++;
    if (name == "silent") return {};
    dns::Message out = dns::reply_to(*query);
    out.recursion_available = true;
    int records = name == "long" ? 100 : 1;
    for (int i = 0; i < records; i++) {
      out.answers.push_back(
          {name, dns::kA, dns::kClassIn, 60, dns::Address{fmt::format("192.0.2.{}", i + 1)}});
    }
    return dns::write(out, over_tcp ? 65535 : dns::udp_limit(*query));
  }

  uint16_t port = 0;
  int asked = 0;
  uint16_t returns_to = 0;  // what asks whether it does is sent back there
  bool returned = false;
  base::UniqueFd back;
  base::UniqueFd udp, tcp, client;
  std::unique_ptr<base::FdWatch> udp_watch, tcp_watch, client_watch;
};

struct Fixture {
  Fixture() : upstream(loop), watch(client), forwarder_path("/tmp/knarr-dns-XXXXXX") {
    base::UniqueFd fd(mkstemp(forwarder_path.data()));
    REQUIRE(base::write_file(forwarder_path, "nameserver 127.0.0.2\nnameserver 127.0.0.1\n").ok());
    DnsOptions options{"127.0.0.2", 0, "cluster.local", forwarder_path, 5};
    server = std::make_unique<DnsServer>(loop, watch, random, options);
    server->set_upstream_port(upstream.port);
    REQUIRE(server->start().ok());
    watch.start();
    client.put("services", R"({"metadata":{"namespace":"default","name":"web"},"spec":
        {"clusterIP":"10.43.1.1","ports":[{"port":80}]}})");
    client.put("services", R"({"metadata":{"namespace":"default","name":"ext"},"spec":
        {"type":"ExternalName","externalName":"example.com"}})");
    client.put("services", R"({"metadata":{"namespace":"default","name":"inner"},"spec":
        {"type":"ExternalName","externalName":"web.default.svc.cluster.local"}})");
    client.put("services", R"({"metadata":{"namespace":"default","name":"circle"},"spec":
        {"type":"ExternalName","externalName":"circle.default.svc.cluster.local"}})");
    client.put("services", R"({"metadata":{"namespace":"default","name":"many"},"spec":
        {"clusterIP":"None"}})");
    std::string endpoints;
    for (int i = 1; i <= 100; i++) {
      endpoints += fmt::format(R"({}{{"addresses":["10.42.0.{}"]}})", i > 1 ? "," : "", i);
    }
    client.put("endpointslices", R"({"metadata":{"namespace":"default","name":"many-1","labels":
        {"kubernetes.io/service-name":"many"}},"addressType":"IPv4","endpoints":[)" +
                                     endpoints + "]}");
  }
  ~Fixture() { unlink(forwarder_path.c_str()); }

  void custom(const std::string& data) {
    auto parsed = json::parse(data);
    REQUIRE(parsed.ok());
    CustomDns custom = parse_custom_dns(*parsed);
    for (const std::string& problem : custom.problems) FAIL(problem);
    server->set_custom(std::move(custom));
  }

  std::string exchange(const std::string& bytes, bool tcp) {
    base::UniqueFd fd = *connect_dns_socket(tcp, "127.0.0.2", server->port());
    net::FrameReader in;
    std::string out, message;
    if (tcp) {
      net::append_frame(out, bytes);
    } else {
      out = bytes;
    }
    loop.run_until([&] { return send(fd.get(), out.data(), out.size(), MSG_NOSIGNAL) > 0; },
                   kLimitMs);
    loop.run_until(
        [&] {
          char buffer[65536];
          ssize_t n = recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
          std::string_view read(buffer, n > 0 ? static_cast<size_t>(n) : 0);
          if (!tcp) {
            message = read;
            return n > 0;
          }
          in.add(read);
          auto whole = in.next();
          if (whole) message = *whole;
          return whole.has_value();
        },
        kLimitMs);
    return message;
  }

  dns::Message ask(const std::string& name, bool tcp = false, uint16_t udp_size = 0) {
    dns::Message query;
    query.id = 0x1234;
    query.recursion_desired = true;
    query.questions.push_back({name, dns::kA, dns::kClassIn});
    query.has_edns = udp_size > 0;
    query.edns.udp_size = udp_size;
    auto answer = dns::parse(exchange(dns::write(query), tcp));
    REQUIRE(answer.ok());
    CHECK(answer->id == 0x1234);
    CHECK(answer->questions.at(0).name == name);
    return *answer;
  }

  base::Loop loop;
  base::SeededRandom random{1};
  Upstream upstream;
  FakeWatchClient client;
  ServiceWatch watch;
  std::string forwarder_path;
  std::unique_ptr<DnsServer> server;
};

std::string address(const dns::Message& m, size_t i = 0) {
  return std::get<dns::Address>(m.answers.at(i).data).text;
}

}  // namespace

TEST_CASE("cluster names, by UDP and TCP") {
  Fixture f;
  CHECK(f.ask("web.default.svc.cluster.local").rcode == dns::kServFail);  // lists are not complete
  f.client.sync();
  for (bool tcp : {false, true}) {
    dns::Message m = f.ask("Web.default.svc.cluster.local", tcp);
    CHECK(m.rcode == dns::kNoError);
    CHECK(m.authoritative);
    CHECK(address(m) == "10.43.1.1");
    m = f.ask("no.default.svc.cluster.local", tcp);
    CHECK(m.rcode == dns::kNxDomain);
    CHECK(m.authorities.at(0).type == dns::kSoa);
  }
  CHECK(f.upstream.asked == 0);
}

TEST_CASE("many queries of one client at once are all answered, a bounded number at a time") {
  Fixture f;
  f.client.sync();
  constexpr int kMany = 300;
  dns::Message query;
  query.questions.push_back({"many.default.svc.cluster.local", dns::kA, dns::kClassIn});
  net::FrameReader in;
  std::string out;
  for (int i = 0; i < kMany; i++) {
    query.id = static_cast<uint16_t>(i);
    net::append_frame(out, dns::write(query));
  }
  base::UniqueFd fd = *connect_dns_socket(true, "127.0.0.2", f.server->port());
  int answered = 0;
  bool all = f.loop.run_until(
      [&] {
        if (!out.empty()) {
          ssize_t n = send(fd.get(), out.data(), out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
          if (n > 0) out.erase(0, static_cast<size_t>(n));
          return false;  // reads nothing before it has said all
        }
        char buffer[65536];
        ssize_t n = 0;
        while ((n = recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
          in.add({buffer, static_cast<size_t>(n)});
        }
        while (in.next()) answered++;
        return answered == kMany;
      },
      kLimitMs);
  INFO(answered);
  CHECK(all);
}

TEST_CASE("long answers are truncated for UDP, by what the client can take") {
  Fixture f;
  f.client.sync();
  dns::Message m = f.ask("many.default.svc.cluster.local");
  CHECK(m.truncated);
  CHECK(m.answers.size() < 100);
  m = f.ask("many.default.svc.cluster.local", false, 4096);
  CHECK(!m.truncated);
  CHECK(m.answers.size() == 100);
  CHECK(f.ask("many.default.svc.cluster.local", true).answers.size() == 100);
  std::set<std::string> first;
  for (int i = 0; i < 10; i++) first.insert(address(f.ask("many.default.svc.cluster.local")));
  CHECK(first.size() > 1);
}

TEST_CASE("other names are asked for upstream, but never at our own address") {
  Fixture f;
  f.client.sync();
  CHECK(address(f.ask("example.com")) == "192.0.2.1");
  CHECK(address(f.ask("example.com", true)) == "192.0.2.1");
  CHECK(f.upstream.asked == 1);  // kept
  CHECK(f.ask("long").truncated);
  CHECK(f.ask("long", true).answers.size() == 100);
}

TEST_CASE("what was answered upstream is kept for a while") {
  Fixture f;
  f.client.sync();
  for (bool tcp : {false, true, false}) {
    dns::Message m = f.ask("kept.example", tcp, 1232);
    CHECK(address(m) == "192.0.2.1");
    CHECK(m.recursion_available);
    CHECK(m.has_edns);
  }
  dns::Message m = f.ask("KEPT.example");
  CHECK(m.answers.at(0).name == "KEPT.example");
  CHECK(!m.has_edns);
  CHECK(f.upstream.asked == 1);
  CHECK(f.ask("many.kept.example").answers.size() == 1);
  CHECK(f.upstream.asked == 2);
}

TEST_CASE("what knarr-dns adds: zones of their own, hosts, rewrites") {
  Fixture f;
  f.client.sync();
  Upstream other(f.loop);
  f.custom(fmt::format(R"({{"stubDomains":"{{\"corp.example\":[\"127.0.0.1:{}\"]}}",
      "hosts":"10.9.9.9 printer.example web.default.svc.cluster.local",
      "a.server":"only.example {{\n hosts {{\n 10.9.9.8 a.only.example\n }}\n}}",
      "b.override":"rewrite name old.example web.default.svc.cluster.local\nrewrite name suffix .was.example .is.example"}})",
                       other.port));
  CHECK(address(f.ask("x.corp.example")) == "192.0.2.1");
  CHECK(other.asked == 1);
  CHECK(f.upstream.asked == 0);
  dns::Message m = f.ask("Printer.example");
  CHECK(address(m) == "10.9.9.9");
  CHECK(m.answers[0].name == "Printer.example");
  CHECK(address(f.ask("a.only.example")) == "10.9.9.8");
  CHECK(f.ask("b.only.example").rcode == dns::kNxDomain);
  m = f.ask("OLD.example");
  CHECK(address(m) == "10.9.9.9");
  CHECK(m.answers[0].name == "OLD.example");
  m = f.ask("y.was.example");
  CHECK(address(m) == "192.0.2.1");
  CHECK(m.answers[0].name == "y.was.example");
  CHECK(f.upstream.asked == 1);
  f.server->set_custom({});
  CHECK(address(f.ask("x.corp.example")) == "192.0.2.1");
  CHECK(f.upstream.asked == 2);
}

TEST_CASE("the ConfigMap is followed, and what is refused of it is told") {
  FakeWatchClient client;
  base::Loop loop;
  CustomDns last;
  CustomDnsWatch watch(client, loop, "n1", [&](CustomDns custom) { last = std::move(custom); });
  watch.start();
  client.put("configmaps", R"({"metadata":{"namespace":"kube-system","name":"knarr-dns","uid":"u"},
      "data":{"upstreamNameservers":"[\"9.9.9.9\"]","x":"y"}})");
  CHECK(last.blocks.at("").targets.at(0).address == "9.9.9.9");
  REQUIRE(client.requests.size() == 1);
  auto event = json::parse(client.requests[0].body);
  CHECK((*event)["reason"].as_string() == "InvalidDNSConfig");
  CHECK((*event)["message"].as_string().starts_with("x: not a key of knarr-dns"));
  client.remove("configmaps", R"({"metadata":{"namespace":"kube-system","name":"knarr-dns"}})");
  CHECK(last.blocks.empty());
}

TEST_CASE("other classes are refused") {
  Fixture f;
  f.client.sync();
  dns::Message query;
  query.questions.push_back({"version.bind", dns::kTxt, 3});
  CHECK(dns::parse(f.exchange(dns::write(query), false))->rcode == dns::kRefused);
  CHECK(f.upstream.asked == 0);
}

TEST_CASE("a server that leads back here is found out") {
  Fixture f;
  f.client.sync();
  f.upstream.returns_to = f.server->port();
  f.ask("first.example");
  REQUIRE(f.loop.run_until([&] { return f.upstream.returned; }, kLimitMs));
  f.upstream.returns_to = 0;
  f.loop.run_until([&] { return f.ask("next.example").rcode == dns::kServFail; }, kLimitMs);
  int asked = f.upstream.asked;
  CHECK(f.ask("last.example").rcode == dns::kServFail);
  CHECK(f.upstream.asked == asked);
}

TEST_CASE("external names are followed") {
  Fixture f;
  f.client.sync();
  dns::Message m = f.ask("ext.default.svc.cluster.local");
  REQUIRE(m.answers.size() == 2);
  CHECK(m.answers[0].type == dns::kCname);
  CHECK(address(m, 1) == "192.0.2.1");
  m = f.ask("inner.default.svc.cluster.local");
  REQUIRE(m.answers.size() == 2);
  CHECK(address(m, 1) == "10.43.1.1");
  CHECK(f.ask("circle.default.svc.cluster.local").rcode == dns::kServFail);
}

TEST_CASE("what is no query is refused or ignored") {
  Fixture f;
  f.client.sync();
  std::string garbage("\x12\x34\x01\x00\x00\x09\x00\x00\x00\x00\x00\x00zz", 14);
  auto answer = dns::parse(f.exchange(garbage, false));
  REQUIRE(answer.ok());
  CHECK(answer->id == 0x1234);
  CHECK(answer->rcode == dns::kFormErr);
  dns::Message update;
  update.id = 9;
  update.opcode = 5;
  update.questions.push_back({"cluster.local", dns::kSoa});
  CHECK(dns::parse(f.exchange(dns::write(update), false))->rcode == dns::kNotImp);
}

TEST_CASE("a server that is silent is left for the next, and in the end given up", "[slow]") {
  Fixture f;
  f.client.sync();
  CHECK(f.ask("silent").rcode == dns::kServFail);
  CHECK(f.upstream.asked == 2);
}

TEST_CASE("servers of resolv.conf") {
  std::string text =
      "# nameserver 1.1.1.1\nsearch a b\nnameserver 10.0.0.1\nnameserver\t10.0.0.2 # x\n"
      "nameserver 10.43.0.10\nnameserver fe80::1%eth0\nnameserver fd00::1\nnameserver 10.0.0.4\n";
  CHECK(upstream_servers(text, {"10.43.0.10"}) ==
        std::vector<std::string>{"10.0.0.1", "10.0.0.2", "fd00::1"});
  CHECK(upstream_servers("", {}).empty());
}

TEST_CASE("the service object is made, and tried again while the API refuses") {
  FakeWatchClient client;
  base::Loop loop;
  DnsServiceObject object(client, loop, "10.43.0.10");
  client.answer = make_error(Code::kNotFound, "namespaces \"kube-system\" not found");
  bool done = false;
  object.ensure([&] { done = true; });
  CHECK(client.requests.size() == 1);
  client.answer = make_error(Code::kAlreadyExists, "there");
  REQUIRE(loop.run_until([&] { return done; }, kLimitMs));
  CHECK(client.requests.size() == 2);
  auto body = json::parse(client.requests[0].body);
  CHECK((*body)["spec"]["clusterIP"].as_string() == "10.43.0.10");
  CHECK((*body)["spec"]["ports"].size() == 2);
}
