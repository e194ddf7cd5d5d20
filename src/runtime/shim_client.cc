#include "runtime/shim_client.h"

#include <cerrno>
#include <utility>

namespace knarr::runtime {

void ShimClient::open(std::function<void(Message&)> on_event, std::function<void()> on_gone) {
  on_event_ = std::move(on_event);
  on_gone_ = std::move(on_gone);
  watch_ = std::make_unique<base::FdWatch>(loop_, socket_.get(), UV_READABLE,
                                           [this](int events) { ready(events); });
}

void ShimClient::close() {
  watch_.reset();
  socket_.reset();
  waiting_.clear();
  outgoing_.clear();
  on_event_ = nullptr;
  on_gone_ = nullptr;
}

void ShimClient::call(const std::string& op, Message message, Reply reply) {
  if (!alive()) {
    reply(make_error(Code::kServiceUnavailable, "the sandbox is gone"));
    return;
  }
  int64_t number = next_request_++;
  message.body.set("op", op).set("req", number);
  waiting_[number] = std::move(reply);
  outgoing_.push_back(Outgoing{frame(message), std::move(message.fds)});
  write_some();
}

void ShimClient::tell(const std::string& op, Message message) {
  call(op, std::move(message), [](const Result<Message>&) {});
}

// A failed write is not handled here: the socket then reads as closed, too.
void ShimClient::write_some() {
  while (!outgoing_.empty() && alive()) {
    Outgoing& first = outgoing_.front();
    Result<size_t> sent = send_some(socket_.get(), first.bytes, first.fds);
    if (!sent.ok()) {
      outgoing_.clear();
      break;
    }
    if (*sent == 0) break;
    first.fds.clear();  // they went with the first byte
    first.bytes.erase(0, *sent);
    if (first.bytes.empty()) outgoing_.pop_front();
  }
  if (watch_) watch_->set_events(outgoing_.empty() ? UV_READABLE : UV_READABLE | UV_WRITABLE);
}

void ShimClient::ready(int events) {
  std::shared_ptr<ShimClient> self = shared_from_this();  // a callback may drop us
  if ((events & UV_WRITABLE) != 0) write_some();
  if ((events & UV_READABLE) == 0) return;
  Result<bool> open = reader_.fill(socket_.get());
  Message message;
  while (alive()) {
    Result<bool> more = reader_.next(message);
    if (!more.ok()) return fail();
    if (!*more) break;
    const json::Value* number = message.body.find("req");
    if (number == nullptr) {
      if (on_event_) on_event_(message);
      continue;
    }
    auto found = waiting_.find(number->as_int());
    if (found == waiting_.end()) continue;
    Reply reply = std::move(found->second);
    waiting_.erase(found);
    if (message.body.has("error")) {
      reply(make_error(static_cast<Code>(message.body["code"].as_int()),
                       message.body["error"].text()));
    } else {
      reply(std::move(message));
    }
    message = Message();
  }
  if (alive() && (!open.ok() || !*open)) fail();
}

void ShimClient::fail() {
  watch_.reset();
  socket_.reset();
  outgoing_.clear();
  std::map<int64_t, Reply> waiting = std::exchange(waiting_, {});
  for (auto& [number, reply] : waiting) {
    reply(make_error(Code::kServiceUnavailable, "the sandbox is gone"));
  }
  if (std::function<void()> gone = std::exchange(on_gone_, nullptr)) gone();
}

}  // namespace knarr::runtime
