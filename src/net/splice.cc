// Joins two streams: each direction is paused while the other side cannot take more.
#include <set>

#include "net/stream.h"

namespace knarr::net {

namespace {

struct Splice : std::enable_shared_from_this<Splice> {
  std::unique_ptr<ByteStream> sides[2];
  bool ended[2] = {false, false};
  std::function<void()> done;

  void start() {
    for (int i = 0; i < 2; i++) {
      auto self = shared_from_this();
      sides[i]->listen({
          [self, i](std::string_view bytes) { self->on_data(i, bytes); },
          [self, i] { self->on_end(i); },
          [self, i] {
            if (self->sides[1 - i]) self->sides[1 - i]->resume();
          },
          [self](const Error&) { self->stop(); },
      });
    }
  }
  void on_data(int from, std::string_view bytes) {
    if (!sides[1 - from]) return;
    if (!sides[1 - from]->write(std::string(bytes))) sides[from]->pause();
  }
  void on_end(int from) {
    ended[from] = true;
    if (sides[1 - from]) sides[1 - from]->finish();
    if (ended[0] && ended[1]) stop();
  }
  void stop() {
    if (!sides[0]) return;
    auto self = shared_from_this();
    // What one side said before it went away still reaches the other.
    for (std::unique_ptr<ByteStream>& side : sides) {
      side->finish();
      side.reset();
    }
    auto told = std::exchange(done, nullptr);
    if (told) told();
  }
  void cut() {
    auto self = shared_from_this();
    done = nullptr;
    for (std::unique_ptr<ByteStream>& side : sides) side.reset();
  }
};

}  // namespace

void splice(std::unique_ptr<ByteStream> a, std::unique_ptr<ByteStream> b,
            std::function<void()> done) {
  auto both = std::make_shared<Splice>();
  both->sides[0] = std::move(a);
  both->sides[1] = std::move(b);
  both->done = std::move(done);
  both->start();
}

struct Splices::State {
  std::set<Splice*> pairs;  // each keeps itself alive
};

Splices::Splices() : state_(std::make_shared<State>()) {}

Splices::~Splices() {
  for (Splice* pair : std::exchange(state_->pairs, {})) pair->cut();
}

void Splices::add(std::unique_ptr<ByteStream> a, std::unique_ptr<ByteStream> b) {
  auto both = std::make_shared<Splice>();
  both->sides[0] = std::move(a);
  both->sides[1] = std::move(b);
  both->done = [weak = std::weak_ptr(state_), pair = both.get()] {
    if (auto state = weak.lock()) state->pairs.erase(pair);
  };
  state_->pairs.insert(both.get());
  both->start();
}

size_t Splices::size() const { return state_->pairs.size(); }

}  // namespace knarr::net
