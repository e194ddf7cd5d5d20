#include "server/http/gzip_reply.h"

#include "net/gzip.h"

namespace knarr::server {
namespace {

constexpr size_t kThreshold = 128 * 1024;
constexpr size_t kAtOnce = 1024 * 1024;
constexpr size_t kPiece = 256 * 1024;

// A body on its way, kept alive by the turn it waits for.
class GzipReply final : public std::enable_shared_from_this<GzipReply> {
 public:
  GzipReply(net::ExchangePtr exchange, net::Buffers body, Clock& clock)
      : exchange_(std::move(exchange)), body_(std::move(body)), clock_(clock) {}

  void next() {
    if (!exchange_->open()) return;
    net::Buffers piece = body_.take(kPiece);
    bool last = body_.empty();
    std::string bytes = gzip_.add(piece, last);
    bool room = bytes.empty() || exchange_->write(std::move(bytes));
    if (last) return exchange_->finish();
    auto self = shared_from_this();
    if (room) {
      clock_.defer([self] { self->next(); });
    } else {
      exchange_->on_drain([self] { self->next(); });
    }
  }

 private:
  net::ExchangePtr exchange_;
  net::Buffers body_;
  Clock& clock_;
  net::Gzip gzip_;
};

}  // namespace

void send_body(const net::ExchangePtr& exchange, int code, net::Headers headers, net::Buffers body,
               Clock* clock) {
  if (body.size() <= kThreshold || !net::accepts_gzip(exchange->request.headers)) {
    return exchange->respond(code, std::move(headers), std::move(body));
  }
  headers.add("Content-Encoding", "gzip");
  headers.add("Vary", "Accept-Encoding");
  if (clock == nullptr || body.size() <= kAtOnce || exchange->request.method == "HEAD") {
    return exchange->respond(code, std::move(headers), net::gzip(body));
  }
  exchange->start(code, std::move(headers));
  std::make_shared<GzipReply>(exchange, std::move(body), *clock)->next();
}

}  // namespace knarr::server
