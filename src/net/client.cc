// The calls that users hold, and what gathers their answers.
#include "net/client.h"

#include "net/client_pool.h"

namespace knarr::net {

namespace {

class UserCall final : public Call {
 public:
  explicit UserCall(std::shared_ptr<UserAttempt> attempt) : attempt_(std::move(attempt)) {}
  ~UserCall() override { attempt_->stop(); }
  void pause() override {
    attempt_->paused = true;
    if (attempt_->carrier) attempt_->carrier->pause();
  }
  void resume() override {
    attempt_->paused = false;
    if (attempt_->carrier) attempt_->carrier->resume();
  }
  bool write(Buffers bytes) override {
    if (attempt_->over) return false;
    if (attempt_->carrier) return attempt_->carrier->write(std::move(bytes));
    attempt_->early.append(std::move(bytes));
    return attempt_->early.size() <= kHighWater;
  }
  void finish() override {
    if (attempt_->carrier) {
      attempt_->carrier->finish();
    } else {
      attempt_->early_finish = true;
    }
  }

 private:
  std::shared_ptr<UserAttempt> attempt_;
};

}  // namespace

struct Client::Impl {
  std::shared_ptr<ClientState> state;

  std::shared_ptr<UserAttempt> attempt(ClientRequest request, ResponseEvents events) {
    auto attempt = std::make_shared<UserAttempt>();
    attempt->client = state;
    attempt->request = std::move(request);
    attempt->events = std::move(events);
    return attempt;
  }
  std::unique_ptr<Call> begin(const std::shared_ptr<UserAttempt>& attempt) {
    std::weak_ptr<UserAttempt> weak = attempt;
    auto fail_later = [this, weak](Error error) {
      state->loop->defer([weak, error] {
        if (auto a = weak.lock()) a->on_error(error);
      });
    };
    Result<Url> url = parse_url(attempt->request.url);
    if (!url.ok()) {
      fail_later(url.error());
    } else if (Result<void> r = state->prepare(url->scheme == "https"); !r.ok()) {
      fail_later(r.error());
    } else {
      attempt->url = std::move(*url);
      if (attempt->request.timeout_ms > 0) {
        attempt->timer = state->loop->timer([weak] {
          auto a = weak.lock();
          if (!a) return;
          a->retried = true;
          a->on_error(make_error(Code::kTimeout, "timeout awaiting response headers"));
        });
        attempt->timer->start(attempt->request.timeout_ms);
      }
      state->place(attempt, false);
    }
    return std::make_unique<UserCall>(attempt);
  }
};

Client::Client(base::Loop& loop, ClientOptions options) : impl_(std::make_unique<Impl>()) {
  auto state = std::make_shared<ClientState>();
  state->loop = &loop;
  state->options = std::move(options);
  state->turns = std::make_shared<TurnQueue>(loop.uv());
  ClientState* raw = state.get();
  state->idle_timer = loop.timer([raw] { raw->sweep(); });
  impl_->state = std::move(state);
}

Client::~Client() {
  ClientState& state = *impl_->state;
  state.ended = true;
  state.connecting.clear();
  state.idle_timer.reset();
  for (auto& [origin, pool] : state.pools) {
    for (auto& weak : pool.waiting) {
      if (auto attempt = weak.lock()) attempt->stop();
    }
  }
  state.pools.clear();
  state.retired.clear();
}

std::unique_ptr<Call> Client::send(ClientRequest request, ResponseEvents events) {
  return impl_->begin(impl_->attempt(std::move(request), std::move(events)));
}

namespace {

// Gathers an answer.
struct Gathering {
  Response response;
  ResponseCallback done;
};

ResponseEvents gather(const std::shared_ptr<Gathering>& g, size_t limit) {
  ResponseEvents events;
  events.on_headers = [g](int status, const Headers& headers) {
    g->response.status = status;
    g->response.headers = headers;
  };
  events.on_data = [g, limit](std::string_view bytes) {
    if (!g->done) return;
    if (g->response.body.size() + bytes.size() > limit) {
      auto done = std::exchange(g->done, nullptr);
      return done(make_error(Code::kRequestEntityTooLarge, "http: response body too large"));
    }
    g->response.body += bytes;
  };
  events.on_end = [g](const Headers& trailers) {
    auto done = std::exchange(g->done, nullptr);
    g->response.trailers = trailers;
    if (done) done(std::move(g->response));
  };
  events.on_error = [g](const Error& error) {
    auto done = std::exchange(g->done, nullptr);
    if (done) done(error);
  };
  return events;
}

}  // namespace

std::unique_ptr<Call> Client::fetch(ClientRequest request, ResponseCallback done) {
  auto g = std::make_shared<Gathering>();
  g->done = std::move(done);
  size_t limit = request.body_limit;
  return send(std::move(request), gather(g, limit));
}

std::unique_ptr<Call> Client::upgrade(ClientRequest request, ResponseCallback done) {
  auto g = std::make_shared<Gathering>();
  g->done = std::move(done);
  size_t limit = request.body_limit;
  auto attempt = impl_->attempt(std::move(request), gather(g, limit));
  attempt->upgrade = true;
  attempt->upgraded = [g](std::unique_ptr<ByteStream> stream) {
    auto told = std::exchange(g->done, nullptr);
    g->response.stream = std::move(stream);
    if (told) told(std::move(g->response));
  };
  return impl_->begin(attempt);
}

Result<void> Client::reload(const TlsConfig& tls) {
  ClientState& state = *impl_->state;
  TRY(make_client_tls(tls));
  state.generation++;
  state.options.tls = tls;
  state.tls = state.tls_http1 = nullptr;
  TRY(state.prepare(true));
  auto pools = std::exchange(state.pools, {});
  for (auto& [origin, pool] : pools) {
    for (Pool::Pooled& pooled : pool.connections) {
      if (!pooled.connection->idle()) state.retired.push_back(std::move(pooled.connection));
    }
  }
  for (auto& [origin, pool] : pools) {
    for (auto& weak : pool.waiting) {
      auto attempt = weak.lock();
      if (attempt && !attempt->over) state.place(attempt, false);
    }
  }
  return {};
}

}  // namespace knarr::net
