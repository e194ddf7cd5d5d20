#include "server/http/node_fetch.h"

#include <utility>

#include "base/format.h"

namespace knarr::server {

namespace {

constexpr size_t kMostBytes = 4 << 20;

}  // namespace

// An exchange whose peer is this process: the answer is gathered, and told when it is whole.
class NodeFetch::Exchange final : public net::Exchange {
 public:
  Exchange(Clock& clock, Done done) : clock_(clock), done_(std::move(done)) {
    request.method = "GET";
    request.headers.add("Accept", "*/*");
  }
  ~Exchange() override { end(make_error(Code::kUnknown, "no answer")); }

  void respond(int status, net::Headers, net::Buffers body) override {
    start(status, {});
    write(std::move(body));
    finish();
  }
  void start(int status, net::Headers) override { status_ = status; }
  bool write(net::Buffers bytes) override {
    body_ += bytes.text();
    if (body_.size() > kMostBytes) abort();
    return true;
  }
  void finish() override {
    if (status_ == 200) return end(std::move(body_));
    end(make_error(Code::kServiceUnavailable, fmt::format("status {}", status_)));
  }
  void abort() override { end(make_error(Code::kUnknown, "the answer was cut")); }
  bool started() const override { return status_ != 0; }
  bool open() const override { return done_ != nullptr; }
  size_t queued_bytes() const override { return 0; }
  void on_drain(std::function<void()>) override {}
  void on_close(std::function<void()> fn) override { close_ = std::move(fn); }
  Result<std::unique_ptr<net::ByteStream>> upgrade(net::Headers) override {
    return make_error(Code::kBadRequest, "nothing to upgrade");
  }

  // Nobody waits any more.
  void cancel() {
    done_ = nullptr;
    if (auto close = std::exchange(close_, nullptr)) close();
  }

 private:
  void end(Result<std::string> answer) {
    Done done = std::exchange(done_, nullptr);
    // It may hold what is calling.
    if (close_) clock_.defer([close = std::exchange(close_, nullptr)] {});
    if (done) done(std::move(answer));
  }

  Clock& clock_;
  Done done_;
  std::function<void()> close_;
  int status_ = 0;
  std::string body_;
};

std::unique_ptr<NodeReader::Reading> NodeFetch::read(const ObjectRef& node, const std::string& path,
                                                     Done done) {
  class Mine final : public Reading {
   public:
    explicit Mine(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
    ~Mine() override { exchange_->cancel(); }

   private:
    std::shared_ptr<Exchange> exchange_;
  };
  auto exchange = std::make_shared<Exchange>(clock_, std::move(done));
  NodeRequest request;
  request.kind = NodeRequest::Kind::kNodeProxy;
  request.object = node;
  request.name = node->name.name;
  request.path = path;
  auto reading = std::make_unique<Mine>(exchange);
  nodes_.handle(std::move(exchange), std::move(request));
  return reading;
}

}  // namespace knarr::server
