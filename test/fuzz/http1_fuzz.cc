// Any bytes as a request and as a response; cut in two ways, what is read must be the same.
#include <algorithm>

#include "knarr/check.h"
#include "net/http1_parser.h"

using knarr::net::Http1Parser;

namespace {

constexpr size_t kLimit = 8192;

std::string read(Http1Parser::Role role, std::string_view bytes, size_t step) {
  Http1Parser parser(role, kLimit);
  std::string body;
  std::string input;
  size_t fed = 0;
  while (!parser.done()) {
    auto used = parser.feed(input, [&](std::string_view part) { body += part; });
    if (!used.ok()) return "error";
    input.erase(0, *used);
    if (*used > 0) continue;
    if (fed == bytes.size()) break;
    input += bytes.substr(fed, step);
    fed = std::min(bytes.size(), fed + step);
  }
  return parser.done() ? "done " + body : "open";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (auto role : {Http1Parser::Role::kRequest, Http1Parser::Role::kResponse}) {
    std::string whole = read(role, bytes, size + 1);
    // Trailers past the limit may pass when they come at once.
    if (whole.rfind("done", 0) == 0 && size <= kLimit) CHECK(read(role, bytes, 3) == whole);
  }
  return 0;
}
