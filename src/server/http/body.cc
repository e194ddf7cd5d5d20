#include "server/http/body.h"

#include <optional>

#include "net/gzip.h"

namespace knarr::server {
namespace {

constexpr size_t kThreshold = 128 * 1024;
constexpr size_t kAtOnce = 1024 * 1024;
constexpr size_t kPiece = 256 * 1024;

// A body on its way, kept alive by the turn it waits for.
class PieceReply final : public std::enable_shared_from_this<PieceReply> {
 public:
  PieceReply(net::ExchangePtr exchange, BodySource source, bool compressed, Clock& clock)
      : exchange_(std::move(exchange)), source_(std::move(source)), clock_(clock) {
    if (compressed) gzip_.emplace();
  }

  void next() {
    if (exchange_->open()) send(source_(kPiece));
  }

  void send(net::Buffers piece) {
    bool last = piece.empty();
    if (gzip_) piece = net::Buffers(gzip_->add(piece, last));
    bool room = piece.empty() || exchange_->write(std::move(piece));
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
  BodySource source_;
  Clock& clock_;
  std::optional<net::Gzip> gzip_;
};

void compressed(net::Headers& headers) {
  headers.add("Content-Encoding", "gzip");
  headers.add("Vary", "Accept-Encoding");
}

}  // namespace

void send_body(const net::ExchangePtr& exchange, int code, net::Headers headers, net::Buffers body,
               Clock* clock) {
  if (body.size() <= kThreshold || !net::accepts_gzip(exchange->request.headers)) {
    return exchange->respond(code, std::move(headers), std::move(body));
  }
  compressed(headers);
  if (clock == nullptr || body.size() <= kAtOnce || exchange->request.method == "HEAD") {
    return exchange->respond(code, std::move(headers), net::gzip(body));
  }
  exchange->start(code, std::move(headers));
  auto rest = std::make_shared<net::Buffers>(std::move(body));
  BodySource source = [rest](size_t about) { return rest->take(about); };
  std::make_shared<PieceReply>(exchange, std::move(source), true, *clock)->next();
}

void send_body(const net::ExchangePtr& exchange, int code, net::Headers headers, BodySource source,
               Clock& clock) {
  net::Buffers first;
  net::Buffers more = source(kThreshold);
  while (!more.empty() && first.size() < kThreshold) {
    first.append(std::move(more));
    more = source(kPiece);
  }
  if (more.empty()) {
    return send_body(exchange, code, std::move(headers), std::move(first), &clock);
  }
  bool gzip = net::accepts_gzip(exchange->request.headers);
  if (gzip) compressed(headers);
  exchange->start(code, std::move(headers));
  first.append(std::move(more));
  std::make_shared<PieceReply>(exchange, std::move(source), gzip, clock)->send(std::move(first));
}

}  // namespace knarr::server
