#include "agent/probes/handler.h"

#include <algorithm>
#include <utility>

#include "agent/probes/grpc_health.h"
#include "agent/probes/http_get.h"
#include "base/format.h"
#include "net/dial.h"

namespace knarr::agent {

using json::Value;
using Verdict = HandlerResult::Verdict;
using Purpose = HandlerRunner::Purpose;

namespace {

constexpr int64_t kDefaultTimeoutMs = 1000;
constexpr size_t kMostHealthBytes = 16 * 1024;  // of a gRPC answer, whose message has two bytes

net::ClientOptions probe_client() {
  net::ClientOptions options;
  options.tls.insecure = true;  // a probe asks whether, not who
  options.tls.http2 = false;
  return options;
}

std::string host_and_port(const std::string& host, uint16_t port) {
  bool v6 = host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

// Holds what is under way; `done` is called once, unless this is destroyed before.
class Run : public HandlerRun {
 public:
  explicit Run(HandlerRunner::Done done) : done_(std::move(done)) {}
  void finish(HandlerResult result) {
    if (!done_) return;
    auto done = std::exchange(done_, nullptr);
    done(std::move(result));
  }

  std::unique_ptr<HttpGet> get;
  std::unique_ptr<net::Call> call;
  std::unique_ptr<net::Pending> pending;
  std::unique_ptr<Timer> timer;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);

 private:
  HandlerRunner::Done done_;
};

void run_exec(runtime::Runtime& runtime, Run& run, const std::string& container_id,
              const Value& exec, int64_t timeout_ms) {
  std::vector<std::string> argv;
  for (const Value& word : exec["command"].elements()) argv.push_back(word.text());
  std::weak_ptr<bool> alive = run.alive;
  runtime.exec_sync(container_id, argv, timeout_ms,
                    [&run, alive](Result<runtime::ExecResult> result) {
                      if (alive.expired()) return;
                      if (result.ok()) {
                        run.finish({result->exit_code == 0 ? Verdict::kSuccess : Verdict::kFailure,
                                    result->output, result->exit_code});
                      } else if (result.error().code == Code::kTimeout) {
                        run.finish({Verdict::kFailure, result.error().message, 0, true});
                      } else {
                        run.finish({Verdict::kUnknown, result.error().message});
                      }
                    });
}

bool good(int status) { return status >= 200 && status < 400; }

HandlerResult probe_result(const HttpAnswer& answer) {
  if (!good(answer.status)) {
    return {Verdict::kFailure, fmt::format("HTTP probe failed with statuscode: {}", answer.status)};
  }
  if (answer.status < 300) return {Verdict::kSuccess, answer.body};
  return {Verdict::kWarning, "Probe terminated redirects, Response body: " + answer.body};
}

void run_http(net::Client& http, Clock& clock, Run& run, const Prober::Target& target,
              const Value& get, int64_t timeout_ms, Purpose purpose) {
  bool tls = get["scheme"].as_string("HTTP") == "HTTPS";
  std::string host(get["host"].as_string(target.pod_ip));
  std::string path(get["path"].as_string("/"));
  if (path.empty() || path[0] != '/') path = "/" + path;
  std::string address = host_and_port(host, port_of(get["port"], *target.container->spec));
  net::Headers headers;
  for (const Value& header : get["httpHeaders"].elements()) {
    headers.add(header["name"].as_string(), header["value"].as_string());
  }
  // The defaults; an empty value of the user's is none at all.
  auto add_default = [&](const char* name, const char* value) {
    if (!headers.has(name)) return headers.add(name, value);
    if (headers.get(name).empty()) headers.remove(name);
  };
  add_default("User-Agent", purpose == Purpose::kProbe ? "kube-probe/1.36" : "kube-lifecycle/1.36");
  add_default("Accept", "*/*");
  headers.set("Connection", "close");
  run.get = std::make_unique<HttpGet>(
      http, clock, (tls ? "https://" : "http://") + address + path, std::move(headers), timeout_ms,
      [&run, purpose](Result<HttpAnswer> answer) {
        if (!answer.ok()) return run.finish({Verdict::kFailure, answer.error().message});
        // A hook has been called, whatever the answer.
        bool hook = purpose == Purpose::kHook;
        run.finish(hook ? HandlerResult{Verdict::kSuccess, ""} : probe_result(*answer));
      });
}

void run_tcp(base::Loop& loop, Run& run, const Prober::Target& target, const Value& tcp,
             int64_t timeout_ms) {
  std::string host(tcp["host"].as_string(target.pod_ip));
  uint16_t port = port_of(tcp["port"], *target.container->spec);
  run.pending = net::dial_tcp(
      loop, host, port, timeout_ms,
      [&run, address = host_and_port(host, port)](Result<std::unique_ptr<net::ByteStream>> result) {
        if (result.ok()) return run.finish({Verdict::kSuccess, ""});
        bool late = result.error().code == Code::kTimeout;
        run.finish({Verdict::kFailure,
                    fmt::format("dial tcp {}: {}", address,
                                late ? "i/o timeout" : "connect: " + result.error().message)});
      });
}

// Over HTTP/2 without TLS. The client's time is until the headers of the answer, the timer's for
// all of it.
void run_grpc(net::Client& http2, Clock& clock, Run& run, const Prober::Target& target,
              const Value& grpc, int64_t timeout_ms) {
  std::string address = host_and_port(target.pod_ip, static_cast<uint16_t>(grpc["port"].as_int()));
  net::ClientRequest request;
  request.method = "POST";
  request.url = fmt::format("http://{}/grpc.health.v1.Health/Check", address);
  request.headers = {
      {"content-type", "application/grpc"}, {"te", "trailers"}, {"user-agent", "kube-probe/1.36"}};
  request.body = health_request(grpc["service"].as_string());
  request.timeout_ms = timeout_ms;
  request.body_limit = kMostHealthBytes;
  run.timer = clock.timer([&run, timeout_ms] {
    run.call.reset();
    run.finish({Verdict::kFailure,
                fmt::format("timeout: health rpc did not complete within {}s", timeout_ms / 1000)});
  });
  run.call =
      http2.fetch(std::move(request), [&run, address, timeout_ms](Result<net::Response> result) {
        if (!result.ok()) {
          return run.finish({Verdict::kFailure,
                             fmt::format("timeout: failed to connect service \"{}\" within {}s: "
                                         "context deadline exceeded",
                                         address, timeout_ms / 1000)});
        }
        const net::Headers& from =
            result->trailers.has("grpc-status") ? result->trailers : result->headers;
        HealthAnswer answer =
            health_answer(from.get("grpc-status"), from.get("grpc-message"), result->body);
        run.finish({answer.serving ? Verdict::kSuccess : Verdict::kFailure, answer.text});
      });
  run.timer->start(timeout_ms);
}

}  // namespace

uint16_t port_of(const Value& port, const Value& container) {
  if (port.is_integer()) return static_cast<uint16_t>(port.as_int());
  for (const Value& p : container["ports"].elements()) {
    if (p["name"].as_string() == port.as_string()) {
      return static_cast<uint16_t>(p["containerPort"].as_int());
    }
  }
  return 0;
}

HandlerRunner::HandlerRunner(base::Loop& loop, runtime::Runtime& runtime)
    : loop_(loop), runtime_(runtime), http_(loop, probe_client()), grpc_(loop, [] {
        net::ClientOptions options;
        options.http2_prior_knowledge = true;
        return options;
      }()) {}

std::unique_ptr<HandlerRun> HandlerRunner::run(const Prober::Target& target, const Value& handler,
                                               int64_t timeout_ms, Purpose purpose, Done done) {
  auto run = std::make_unique<Run>(std::move(done));
  if (timeout_ms <= 0) timeout_ms = kDefaultTimeoutMs;
  if (handler["exec"].is_object()) {
    run_exec(runtime_, *run, target.container_id, handler["exec"], timeout_ms);
  } else if (handler["httpGet"].is_object()) {
    run_http(http_, loop_, *run, target, handler["httpGet"], timeout_ms, purpose);
  } else if (handler["tcpSocket"].is_object()) {
    run_tcp(loop_, *run, target, handler["tcpSocket"], timeout_ms);
  } else if (handler["grpc"].is_object()) {
    run_grpc(grpc_, loop_, *run, target, handler["grpc"], timeout_ms);
  } else {
    Run* r = run.get();
    bool sleep = handler["sleep"].is_object();
    run->timer = loop_.timer([r, sleep] {
      r->finish({sleep ? Verdict::kSuccess : Verdict::kUnknown, sleep ? "" : "missing handler"});
    });
    run->timer->start(sleep ? handler["sleep"]["seconds"].as_int() * 1000 : 0);
  }
  return run;
}

}  // namespace knarr::agent
