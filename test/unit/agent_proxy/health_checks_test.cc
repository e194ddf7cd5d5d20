#include "agent/proxy/health_checks.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>

#include "base/format.h"
#include "base/unique_fd.h"
#include "unit/agent_proxy/fake_watch_client.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

constexpr int64_t kLimitMs = 20'000;

base::UniqueFd bound(uint16_t& port) {
  base::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  REQUIRE(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  socklen_t size = sizeof address;
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  return fd;
}

std::string get(base::Loop& loop, uint16_t port) {
  base::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return "closed";
  constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n";
  REQUIRE(send(fd.get(), kRequest.data(), kRequest.size(), 0) > 0);
  std::string out;
  loop.run_until(
      [&] {
        char buffer[4096];
        ssize_t n = recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        if (n > 0) out.append(buffer, static_cast<size_t>(n));
        return n == 0;
      },
      kLimitMs);
  return out;
}

// What is logged meanwhile.
std::string told(const std::function<void()>& body) {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  base::UniqueFd from(ends[0]), to(ends[1]), before(dup(STDERR_FILENO));
  dup2(to.get(), STDERR_FILENO);
  body();
  dup2(before.get(), STDERR_FILENO);
  char buffer[4096];
  ssize_t n = read(from.get(), buffer, sizeof buffer);
  return {buffer, n > 0 ? static_cast<size_t>(n) : 0};
}

std::string service_json(uint16_t port) {
  return fmt::format(R"({{"metadata":{{"namespace":"default","name":"web"}},"spec":{{
      "type":"LoadBalancer","clusterIP":"10.43.1.1","externalTrafficPolicy":"Local",
      "healthCheckNodePort":{},"ports":[{{"port":80}}]}}}})",
                     port);
}

std::string slice_json(const char* node) {
  return fmt::format(R"({{"metadata":{{"namespace":"default","name":"web-1","labels":
      {{"kubernetes.io/service-name":"web"}}}},"addressType":"IPv4","ports":[{{"port":8080}}],
      "endpoints":[{{"addresses":["10.42.0.2"],"nodeName":"{}"}},
      {{"addresses":["10.42.0.3"],"nodeName":"{}","conditions":{{"ready":false}}}}]}})",
                     node, node);
}

}  // namespace

TEST_CASE("load balancers outside learn where endpoints are") {
  base::Loop loop;
  FakeWatchClient client;
  ServiceWatch watch(client);
  watch.start();
  HealthChecks checks(loop, watch, "n1");
  uint16_t port = 0;
  base::UniqueFd held = bound(port);
  REQUIRE(listen(held.get(), 1) == 0);
  client.put("services", service_json(port));
  std::string warned = told([&] {
    for (int i = 0; i < 3; i++) checks.update();
  });
  CHECK(std::count(warned.begin(), warned.end(), '\n') == 1);
  CHECK(checks.open_ports() == 0);  // another has the port
  held.reset();
  checks.update();
  REQUIRE(checks.open_ports() == 1);

  std::string answer = get(loop, port);
  CHECK(answer.starts_with("HTTP/1.1 503 "));
  CHECK(answer.ends_with(health_check_body({"default", "web"}, 0)));
  client.put("endpointslices", slice_json("n1"));
  answer = get(loop, port);
  CHECK(answer.starts_with("HTTP/1.1 200 "));
  CHECK(answer.ends_with(
      "{\n\t\"service\": {\n\t\t\"namespace\": \"default\",\n\t\t\"name\": \"web\"\n"
      "\t},\n\t\"localEndpoints\": 1,\n\t\"serviceProxyHealthy\": true\n}"));
  client.put("endpointslices", slice_json("n2"));
  CHECK(get(loop, port).starts_with("HTTP/1.1 503 "));

  client.remove("services", service_json(port));
  checks.update();
  CHECK(checks.open_ports() == 0);
  CHECK(get(loop, port) == "closed");
}
