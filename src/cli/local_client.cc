#include "cli/local_client.h"

#include <optional>

#include "base/format.h"

namespace knarr::cli {

namespace {

constexpr int64_t kMostMs = 30 * 60 * 1000;  // a large image over a thin line

net::ClientOptions at_socket(const std::string& path) {
  net::ClientOptions options;
  options.unix_path = path;
  return options;
}

}  // namespace

LocalClient::LocalClient(const std::string& run_dir)
    : socket_(run_dir + "/knarr.sock"), client_(loop_, at_socket(socket_)) {}

Result<json::Value> LocalClient::call(const char* method, const std::string& path,
                                      const json::Value& body) {
  net::ClientRequest request;
  request.method = method;
  request.url = "http://knarr" + path;
  if (!body.is_null()) request.body = json::write(body);
  std::optional<Result<net::Response>> answer;
  auto call = client_.fetch(std::move(request), [&](Result<net::Response> response) {
    answer.emplace(std::move(response));
  });
  if (!loop_.run_until([&] { return answer.has_value(); }, kMostMs)) {
    return make_error(Code::kTimeout, "no answer from " + socket_);
  }
  if (!answer->ok()) {
    return make_error(Code::kServiceUnavailable,
                      fmt::format("cannot reach knarr at {} ({}): is it running?", socket_,
                                  answer->error().message));
  }
  TRY_ASSIGN(json::Value value, json::parse((*answer)->body));
  if ((*answer)->status != 200) return make_error(Code::kUnknown, value["message"].text());
  return value;
}

}  // namespace knarr::cli
