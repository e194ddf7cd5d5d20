#include "agent/proxy/iptables.h"

#include <catch2/catch.hpp>
#include <chrono>

#include "agent/proxy/service_proxy.h"
#include "base/format.h"
#include "base/run_process.h"
#include "unit/agent_proxy/fake_watch_client.h"
#include "unit/agent_proxy/net_sandbox.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

constexpr int64_t kLimitMs = 20'000;

std::string saved() {
  std::string text = base::run_process({base::find_program("iptables-save")}, {}).value().out;
  std::string out;  // without comments and counters
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at);
    std::string line = text.substr(at, end - at);
    if (!line.starts_with("#") && !line.starts_with("*") && !line.starts_with(":") &&
        line != "COMMIT") {
      out += line + "\n";
    }
    at = end + 1;
  }
  return out;
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) n++;
  return n;
}

RuleSet small_rules(const std::string& target) {
  RuleSet rules;
  rules.rule("nat", "KT-X", "-d 192.0.2.1/32 -j " + target);
  rules.jump("nat", "OUTPUT", comment("test") + " -j KT-X");
  return rules;
}

// Waits for all parts; returns how long it took, in milliseconds.
double put_pieces(base::Loop& loop, Iptables& iptables, RulePart part, Iptables::Pieces pieces,
                  bool& ok) {
  bool done = false;
  auto begin = std::chrono::steady_clock::now();
  iptables.change(part, std::move(pieces), [&](const Result<void>& r) {
    done = true;
    ok = r.ok();
    if (!r.ok()) UNSCOPED_INFO(r.error().message);
  });
  ok = loop.run_until([&] { return done; }, kLimitMs) && ok;
  std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  return took.count();
}

double put(base::Loop& loop, Iptables& iptables, RulePart part, RuleSet rules, bool& ok) {
  Iptables::Pieces one;
  one[""] = std::move(rules);
  return put_pieces(loop, iptables, part, std::move(one), ok);
}

std::string service(int i) {
  return fmt::format(
      R"({{"metadata":{{"namespace":"default","name":"s{0}"}},"spec":{{"clusterIP":"10.43.1.{0}",
         "ports":[{{"port":80,"nodePort":{1}}}]}}}})",
      i, 30000 + i);
}
std::string slice(int i, int last) {
  return fmt::format(
      R"({{"metadata":{{"namespace":"default","name":"s{0}-x",
         "labels":{{"kubernetes.io/service-name":"s{0}"}}}},"addressType":"IPv4",
         "ports":[{{"port":8080}}],"endpoints":[{{"addresses":["10.42.0.{0}"]}},
         {{"addresses":["10.42.1.{1}"]}}]}})",
      i, last);
}

}  // namespace

TEST_CASE("programs are found and run") {
  CHECK(base::find_program("no-such-program-here").empty());
  auto result = base::run_process({base::find_program("cat")}, "hello");
  REQUIRE(result.ok());
  CHECK(result->out == "hello");
  result = base::run_process({base::find_program("sh"), "-c", "echo bad >&2; exit 3"}, "");
  REQUIRE(result.ok());
  CHECK(result->exit_code == 3);
  CHECK(result->err == "bad\n");
  CHECK(!base::run_process({"/nowhere/program"}, "").ok());
}

TEST_CASE("rules come, change, survive a restart without duplicates, and go", "[root]") {
  in_new_netns([] {
    REQUIRE(
        base::run_process(
            {base::find_program("iptables"), "-A", "FORWARD", "-s", "192.0.2.77", "-j", "DROP"}, {})
            ->exit_code == 0);
    std::string before = saved();
    IptablesOptions options{"KT", 14, {RulePart::kServices}};
    bool ok = false;
    base::Loop loop;
    {
      Iptables iptables(loop, options);
      put(loop, iptables, RulePart::kServices, small_rules("RETURN"), ok);
      REQUIRE(ok);
      CHECK(count(saved(), "-j KT-X") == 1);
      CHECK(count(saved(), "-j KT-POSTROUTING") == 1);
      put(loop, iptables, RulePart::kServices, small_rules("ACCEPT"), ok);
      REQUIRE(ok);
      CHECK(count(saved(), "-A KT-X -d 192.0.2.1/32 -j ACCEPT") == 1);
      CHECK(count(saved(), "-A KT-X") == 1);
    }
    std::string first = saved();
    {
      Iptables iptables(loop, options);
      put(loop, iptables, RulePart::kServices, small_rules("ACCEPT"), ok);
      REQUIRE(ok);
      CHECK(saved() == first);
      RuleSet bad = small_rules("NO-SUCH-TARGET");
      put(loop, iptables, RulePart::kServices, bad, ok);
      CHECK(!ok);
      CHECK(saved() == first);  // a transaction that fails changes nothing
    }
    REQUIRE(remove_rules("KT").ok());
    CHECK(saved() == before);
    REQUIRE(remove_rules("KT").ok());
  });
}

TEST_CASE("rules of a part that has not spoken since the restart are kept", "[root]") {
  in_new_netns([] {
    base::Loop loop;
    bool ok = false;
    IptablesOptions options{"KT", 14, {RulePart::kServices, RulePart::kNetwork}};
    RuleSet network;
    network.rule("filter", "KT-PODS", "-j ACCEPT");
    network.jump("filter", "FORWARD", "-j KT-PODS");
    {
      Iptables iptables(loop, options);
      put(loop, iptables, RulePart::kServices, small_rules("RETURN"), ok);
      put(loop, iptables, RulePart::kNetwork, network, ok);
      REQUIRE(ok);
    }
    Iptables iptables(loop, options);
    put(loop, iptables, RulePart::kNetwork, network, ok);
    REQUIRE(ok);
    CHECK(count(saved(), "-j KT-X") == 1);
    put(loop, iptables, RulePart::kServices, {}, ok);
    REQUIRE(ok);
    CHECK(count(saved(), "KT-X") == 0);
    CHECK(count(saved(), "-j KT-PODS") == 1);
  });
}

TEST_CASE("rules that somebody else removes come back", "[root]") {
  in_new_netns([] {
    base::Loop loop;
    bool ok = false;
    Iptables iptables(loop, {"KT", 14, {RulePart::kServices}});
    put(loop, iptables, RulePart::kServices, small_rules("RETURN"), ok);
    REQUIRE(ok);
    std::string before = saved();
    if (base::run_process({base::find_program("iptables"), "-V"}, {})->out.find("nf_tables") ==
        std::string::npos) {
      return;  // nobody tells
    }
    using Line = std::vector<std::string>;
    for (Line harm : {Line{"-F", "KT-X"}, Line{"-F"}, Line{"-D", "OUTPUT", "1"}}) {
      harm.insert(harm.begin(), {"-t", "nat"});
      harm.insert(harm.begin(), base::find_program("iptables"));
      REQUIRE(base::run_process(harm, {})->exit_code == 0);
      CHECK(saved() != before);
      CHECK(loop.run_until([&] { return saved() == before; }, kLimitMs));
    }
  });
}

TEST_CASE("a hundred services, and a change of one", "[root]") {
  in_new_netns([] {
    base::Loop loop;
    FakeWatchClient client;
    ServiceWatch watch(client);
    Iptables iptables(loop, {"KT", 14, {RulePart::kServices}});
    ServiceProxy proxy(loop, watch, iptables, {"", "n1", "10.42.0.0/16", "", {}});
    watch.on_change([&] { proxy.changed(); });
    watch.start();
    for (int i = 1; i <= 100; i++) {
      client.put("services", service(i));
      client.put("endpointslices", slice(i, i));
    }
    client.sync();
    auto settled = [&](const std::string& text) {
      return loop.run_until([&] { return saved().find(text) != std::string::npos; }, kLimitMs);
    };
    REQUIRE(settled("10.42.1.100:8080"));
    CHECK(count(saved(), "-j DNAT") == 200);

    bool ok = false;
    double best = 1e9;
    for (int i = 0; i < 20; i++) {
      client.put("endpointslices", slice(7, 100 + i));
      Iptables::Pieces piece;  // as the proxy does, which is about to
      piece["default/s7"] = rules_of_service(
          watch.state(), {"KT", "n1", "10.42.0.0/16", iptables.masquerade_mark(), {}}, false,
          {"default", "s7"});
      best = std::min(best, put_pieces(loop, iptables, RulePart::kServices, std::move(piece), ok));
      REQUIRE(ok);
    }
    CHECK(count(saved(), "10.42.1.119:8080") >= 1);
    CHECK(count(saved(), "10.42.1.118:8080") == 0);
    WARN("a change of one service of a hundred: best of 20 is " << best << " ms");
    REQUIRE(remove_rules("KT").ok());
    CHECK(saved().empty());
  });
}
