#include "agent/probes/handler.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "net/dial.h"

namespace knarr::agent {

using json::Value;
using Verdict = HandlerResult::Verdict;

namespace {

constexpr size_t kMaxOutput = 10 * 1024;
constexpr int64_t kDefaultTimeoutMs = 1000;

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
  void finish(Verdict verdict, std::string output) {
    if (!done_) return;
    auto done = std::exchange(done_, nullptr);
    done({verdict, std::move(output)});
  }

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
                    [&run, alive, argv, timeout_ms](Result<runtime::ExecResult> result) {
                      if (alive.expired()) return;
                      if (result.ok()) {
                        run.finish(result->exit_code == 0 ? Verdict::kSuccess : Verdict::kFailure,
                                   result->output);
                      } else if (result.error().code == Code::kTimeout) {
                        run.finish(Verdict::kFailure,
                                   fmt::format("command timed out: \"{}\" timed out after {}s",
                                               argv.empty() ? "" : argv[0], timeout_ms / 1000));
                      } else {
                        run.finish(Verdict::kUnknown, result.error().message);
                      }
                    });
}

void run_http(net::Client& http, Run& run, const Prober::Target& target, const Value& get,
              int64_t timeout_ms) {
  std::string scheme(get["scheme"].as_string("HTTP"));
  std::transform(scheme.begin(), scheme.end(), scheme.begin(),
                 [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  std::string host(get["host"].as_string(target.pod_ip));
  std::string path(get["path"].as_string("/"));
  if (path.empty() || path[0] != '/') path = "/" + path;
  std::string address = host_and_port(host, port_of(get["port"], *target.container->spec));
  net::ClientRequest request;
  request.url = scheme + "://" + address + path;
  request.headers = {{"User-Agent", "kube-probe/1.36"}, {"Accept", "*/*"}, {"Connection", "close"}};
  for (const Value& header : get["httpHeaders"].elements()) {
    request.headers.set(header["name"].as_string(), header["value"].as_string());
  }
  request.timeout_ms = timeout_ms;
  request.body_limit = 1024 * 1024;
  std::string url = request.url;
  run.call = http.fetch(std::move(request), [&run, url, address](Result<net::Response> result) {
    if (result.ok()) {
      bool good = result->status >= 200 && result->status < 400;
      run.finish(good ? Verdict::kSuccess : Verdict::kFailure,
                 good ? result->body.substr(0, kMaxOutput)
                      : fmt::format("HTTP probe failed with statuscode: {}", result->status));
    } else if (result.error().code == Code::kTimeout) {
      run.finish(Verdict::kFailure,
                 fmt::format("Get \"{}\": context deadline exceeded (Client.Timeout exceeded while "
                             "awaiting headers)",
                             url));
    } else {
      run.finish(Verdict::kFailure, fmt::format("Get \"{}\": {}", url, result.error().message));
    }
  });
}

void run_tcp(base::Loop& loop, Run& run, const Prober::Target& target, const Value& tcp,
             int64_t timeout_ms) {
  std::string host(tcp["host"].as_string(target.pod_ip));
  uint16_t port = port_of(tcp["port"], *target.container->spec);
  run.pending = net::dial_tcp(
      loop, host, port, timeout_ms,
      [&run, address = host_and_port(host, port)](Result<std::unique_ptr<net::ByteStream>> result) {
        if (result.ok()) return run.finish(Verdict::kSuccess, "");
        bool late = result.error().code == Code::kTimeout;
        run.finish(Verdict::kFailure,
                   fmt::format("dial tcp {}: {}", address,
                               late ? "i/o timeout" : "connect: " + result.error().message));
      });
}

// grpc.health.v1.Health/Check over HTTP/2 without TLS: the request is field 1 (service), the
// answer's field 1 is the status, 1 for serving; each in a frame of one flag byte and a 4-byte
// length.
void run_grpc(net::Client& http2, Run& run, const Prober::Target& target, const Value& grpc,
              int64_t timeout_ms) {
  std::string service = grpc["service"].text();
  std::string message;
  if (!service.empty())
    message = "\x0a" + std::string(1, static_cast<char>(service.size())) + service;
  std::string frame = {0, 0, 0, 0, static_cast<char>(message.size())};
  net::ClientRequest request;
  request.method = "POST";
  request.url =
      fmt::format("http://{}/grpc.health.v1.Health/Check",
                  host_and_port(target.pod_ip, static_cast<uint16_t>(grpc["port"].as_int())));
  request.headers = {{"content-type", "application/grpc"}, {"te", "trailers"}};
  request.body = frame + message;
  request.timeout_ms = timeout_ms;
  run.call = http2.fetch(std::move(request), [&run](Result<net::Response> result) {
    if (!result.ok()) return run.finish(Verdict::kFailure, result.error().message);
    std::string_view status = result->trailers.get("grpc-status");
    if (status.empty()) status = result->headers.get("grpc-status");
    bool serving =
        status == "0" && result->body.size() >= 7 && result->body[5] == 8 && result->body[6] == 1;
    run.finish(serving ? Verdict::kSuccess : Verdict::kFailure,
               serving ? "" : "service unhealthy (responded with \"NOT_SERVING\")");
  });
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
                                               int64_t timeout_ms, Done done) {
  auto run = std::make_unique<Run>(std::move(done));
  if (timeout_ms <= 0) timeout_ms = kDefaultTimeoutMs;
  if (handler["exec"].is_object()) {
    run_exec(runtime_, *run, target.container_id, handler["exec"], timeout_ms);
  } else if (handler["httpGet"].is_object()) {
    run_http(http_, *run, target, handler["httpGet"], timeout_ms);
  } else if (handler["tcpSocket"].is_object()) {
    run_tcp(loop_, *run, target, handler["tcpSocket"], timeout_ms);
  } else if (handler["grpc"].is_object()) {
    run_grpc(grpc_, *run, target, handler["grpc"], timeout_ms);
  } else {
    Run* r = run.get();
    bool sleep = handler["sleep"].is_object();
    run->timer = loop_.timer([r, sleep] {
      r->finish(sleep ? Verdict::kSuccess : Verdict::kUnknown, sleep ? "" : "missing handler");
    });
    run->timer->start(sleep ? handler["sleep"]["seconds"].as_int() * 1000 : 0);
  }
  return run;
}

}  // namespace knarr::agent
