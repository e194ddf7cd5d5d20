#include "net/http1_parser.h"

#include <boost/beast/http/basic_parser.hpp>

namespace knarr::net {

namespace http = boost::beast::http;
using boost::beast::error_code;
using boost::beast::string_view;

namespace {

std::string_view view(string_view text) { return {text.data(), text.size()}; }

template <bool kRequest>
class Parser final : public http::basic_parser<kRequest> {
 public:
  Http1Parser::Head head;
  const std::function<void(std::string_view)>* sink = nullptr;
  bool gave = false;  // a part of the body

 private:
  void on_request_impl(http::verb, string_view method, string_view target, int version,
                       error_code&) override {
    head.method = view(method);
    head.target = view(target);
    head.version = version;
  }
  void on_response_impl(int status, string_view, int version, error_code&) override {
    head.status = status;
    head.version = version;
  }
  void on_field_impl(http::field, string_view name, string_view value, error_code&) override {
    if (this->is_header_done()) return;  // a trailer field: it must not pass for one of the head
    head.headers.add(view(name), view(value));
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<uint64_t>&, error_code&) override {}
  size_t on_body_impl(string_view bytes, error_code&) override {
    if (!bytes.empty()) {
      gave = true;
      (*sink)(view(bytes));
    }
    return bytes.size();
  }
  void on_chunk_header_impl(uint64_t, string_view, error_code&) override {}
  size_t on_chunk_body_impl(uint64_t, string_view bytes, error_code& error) override {
    return on_body_impl(bytes, error);
  }
  void on_finish_impl(error_code&) override {}
};

Error bad(const std::string& why) { return make_error(Code::kBadRequest, "http: " + why); }

}  // namespace

struct Http1Parser::Impl {
  Role role;
  size_t header_limit;
  std::optional<Parser<true>> request;
  std::optional<Parser<false>> response;

  template <typename F>
  auto with(F f) {
    return role == Role::kRequest ? f(*request) : f(*response);
  }

  void start() {
    auto set = [this](auto& parser) {
      parser.emplace();
      parser->header_limit(static_cast<uint32_t>(header_limit));
      parser->body_limit(boost::none);  // the caller counts
    };
    if (role == Role::kRequest) {
      set(request);
    } else {
      set(response);
    }
  }

  // What Beast lets pass and the next party on the way might read in another way.
  template <typename P>
  Result<void> check_head(P& parser) {
    Head& head = parser.head;
    head.keep_alive = parser.keep_alive();
    head.chunked = parser.chunked();
    if (auto length = parser.content_length()) head.content_length = *length;
    if (head.headers.has("transfer-encoding") && (!head.chunked || head.version == 10)) {
      return bad("unsupported transfer encoding");
    }
    if (role == Role::kRequest && head.version == 11 && head.headers.all("host").size() != 1) {
      return bad("missing or repeated required Host header");
    }
    return {};
  }
};

Http1Parser::Http1Parser(Role role, size_t header_limit)
    : impl_(std::make_unique<Impl>(Impl{role, header_limit, {}, {}})) {
  impl_->start();
}

Http1Parser::~Http1Parser() = default;

Result<size_t> Http1Parser::feed(std::string_view bytes,
                                 const std::function<void(std::string_view)>& on_body) {
  return impl_->with([&](auto& parser) -> Result<size_t> {
    parser.sink = &on_body;
    parser.gave = false;
    bool had_head = parser.is_header_done();
    size_t used = 0;
    while (used < bytes.size() && !parser.is_done()) {
      error_code error;
      size_t n =
          parser.put(boost::asio::const_buffer(bytes.data() + used, bytes.size() - used), error);
      used += n;
      if (error == http::error::header_limit) {
        return make_error(Code::kRequestEntityTooLarge, "http: request header fields too large");
      }
      if (error && error != http::error::need_more) return bad(error.message());
      if (!had_head && parser.is_header_done()) {
        TRY(impl_->check_head(parser));
        break;
      }
      if (error == http::error::need_more || parser.gave) break;
    }
    // The head's limit holds for a chunk's header and for the trailers too.
    if (used == 0 && had_head && !parser.is_done() && bytes.size() > impl_->header_limit) {
      return make_error(Code::kRequestEntityTooLarge, "http: chunk header or trailers too large");
    }
    return used;
  });
}

bool Http1Parser::head_done() const {
  return impl_->with([](auto& parser) { return parser.is_header_done(); });
}

bool Http1Parser::done() const {
  return impl_->with([](auto& parser) { return parser.is_done(); });
}

Http1Parser::Head& Http1Parser::head() {
  return impl_->role == Role::kRequest ? impl_->request->head : impl_->response->head;
}

void Http1Parser::expect_no_body() {
  impl_->with([](auto& parser) { parser.skip(true); });
}

Result<void> Http1Parser::end() {
  return impl_->with([](auto& parser) -> Result<void> {
    if (parser.is_done()) return {};
    if (!parser.got_some()) return bad("connection closed before any answer");
    error_code error;
    parser.put_eof(error);
    if (error) return bad(error.message());
    return {};
  });
}

void Http1Parser::reset() { impl_->start(); }

}  // namespace knarr::net
