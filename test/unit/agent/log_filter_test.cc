#include "agent/api/log_filter.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "agent/api/exec_session.h"
#include "agent/api/http_proxy.h"
#include "base/json.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

const std::string kLog =
    "2026-01-02T03:04:05.000000001Z stdout F line 1\n"
    "2026-01-02T03:04:06.000000002Z stderr F oops\n"
    "2026-01-02T03:04:07.000000003Z stdout P par\n"
    "2026-01-02T03:04:07.000000004Z stdout F tial\n"
    "2026-01-02T03:04:08.000000005Z stdout P open";

LogOptions options_of(const char* query) {
  auto options = parse_log_options(net::Query::parse(query), 1767323050000000);
  REQUIRE(options.ok());
  return *options;
}

}  // namespace

TEST_CASE("what kubectl logs shows of a log file") {
  auto check = [](const char* query, const std::string& want) {
    LogFilter whole(options_of(query));
    CHECK(whole.feed(kLog + "\n") == want);
    LogFilter bytewise(options_of(query));
    std::string got;
    for (char c : kLog + "\n") got += bytewise.feed(std::string_view(&c, 1));
    CHECK(got == want);
  };
  check("", "line 1\noops\npartial\nopen");
  check("limitBytes=8", "line 1\no");
  check("stream=Stderr", "oops\n");
  check("sinceTime=2026-01-02T03:04:07Z", "partial\nopen");
  check("sinceSeconds=2", "open");
  check("timestamps=true&sinceTime=2026-01-02T03:04:07Z",
        "2026-01-02T03:04:07.000000003Z partial\n2026-01-02T03:04:08.000000005Z open");
}

TEST_CASE("log options out of range are refused in upstream's words") {
  auto bad = parse_log_options(net::Query::parse("tailLines=-1"), 0);
  REQUIRE_FALSE(bad.ok());
  CHECK(bad.error().code == Code::kInvalid);
  CHECK(bad.error().message ==
        "PodLogOptions \"\" is invalid: tailLines: Invalid value: -1: must be greater than or "
        "equal to 0");
  CHECK_FALSE(parse_log_options(net::Query::parse("limitBytes=x"), 0).ok());
}

TEST_CASE("the last lines of a file") {
  char path[] = "/tmp/knarr-log-XXXXXX";
  int fd = mkstemp(path);
  std::string text = kLog + "\n";
  REQUIRE(write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  auto tail = [&](int64_t lines) {
    return text.substr(static_cast<size_t>(*tail_offset(fd, lines)));
  };
  CHECK(tail(0) == "");
  CHECK(tail(1) == "2026-01-02T03:04:08.000000005Z stdout P open\n");
  CHECK(tail(100) == text);
  close(fd);
  unlink(path);
}

TEST_CASE("the status that ends an exec") {
  CHECK(exec_status(0) == R"({"metadata":{},"status":"Success"})");
  auto failed = *json::parse(exec_status(3));
  CHECK(failed["reason"].as_string() == "NonZeroExitCode");
  CHECK(failed["details"]["causes"][0]["message"].as_string() == "3");
  CHECK((*json::parse(exec_status(make_error(Code::kUnknown, "x"))))["reason"].as_string() ==
        "InternalError");
}

TEST_CASE("terminal sizes, whole and in pieces") {
  std::string buffer = "{\"Width\":80,\"Height\":24}{\"Width\":100,";
  TerminalSize size;
  CHECK(take_terminal_size(buffer, size));
  CHECK(size.columns == 80);
  CHECK_FALSE(take_terminal_size(buffer, size));
  buffer += "\"Height\":30}\n";
  CHECK(take_terminal_size(buffer, size));
  CHECK(size.rows == 30);
}

TEST_CASE("names of proxied objects") {
  auto check = [](const char* text, const char* scheme, const char* name, const char* port) {
    ProxyName parsed = parse_proxy_name(text);
    CHECK(parsed.scheme == scheme);
    CHECK(parsed.name == name);
    CHECK(parsed.port == port);
  };
  check("web", "http", "web", "");
  check("web:80", "http", "web", "80");
  check("https:web:443", "https", "web", "443");
  check(":web:http", "http", "web", "http");
}
