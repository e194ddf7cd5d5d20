// What a request's head can hold, line by line: Accept, path, query, then impersonation headers.
// Nothing crashes; what is negotiated is one of the forms there are.

#include <cstdint>
#include <string_view>

#include "net/url.h"
#include "server/http/impersonation.h"
#include "server/http/media.h"
#include "server/http/request_info.h"
#include "server/http/write_options.h"

namespace {

class Nobody final : public knarr::server::Authorizer {
 public:
  knarr::server::Decision authorize(const knarr::server::Attributes&) override { return {}; }
  knarr::server::AccessRules rules_of(const knarr::server::UserRef&, const std::string&) override {
    return {};
  }
};

std::string_view take_line(std::string_view& text) {
  size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return line;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr::server;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string_view accept = take_line(text);
  for (Accepts accepts :
       {Accepts::kPlainOnly, Accepts::kForms, Accepts::kStream, Accepts::kDiscovery}) {
    static_cast<void>(negotiate(accept, accepts));
  }
  static_cast<void>(accepted_type(accept, {"application/json", "text/plain"}));
  std::string_view path = take_line(text);
  knarr::net::Query query = knarr::net::Query::parse(take_line(text));
  static_cast<void>(parse_request("GET", path, query));
  static_cast<void>(delete_options_of(query));
  knarr::net::Headers headers;
  while (!text.empty()) {
    std::string_view line = take_line(text);
    size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    headers.add(line.substr(0, colon), line.substr(colon + 1));
  }
  Nobody nobody;
  if (asks_to_impersonate(headers)) {
    auto other = impersonate(headers, {}, nobody);
    if (other.ok() && other->user != nullptr) __builtin_trap();
  }
  return 0;
}
