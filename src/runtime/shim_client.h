// knarr's end of a shim's socket: requests with answers, and what the shim says unasked. On the
// loop thread. Ends by itself when the shim goes away: then every open request fails.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/loop.h"
#include "runtime/wire.h"

namespace knarr::runtime {

class ShimClient : public std::enable_shared_from_this<ShimClient> {
 public:
  using Reply = std::function<void(Result<Message>)>;

  ShimClient(base::Loop& loop, base::UniqueFd socket) : loop_(loop), socket_(std::move(socket)) {}

  // Events and the end of the shim are told from now on.
  void open(std::function<void(Message&)> on_event, std::function<void()> on_gone);
  // Nothing is told any more. Open requests are dropped.
  void close();

  void call(const std::string& op, Message message, Reply reply);
  // Without interest in the answer.
  void tell(const std::string& op, Message message);
  bool alive() const { return socket_.valid(); }

 private:
  struct Outgoing {
    std::string bytes;
    std::vector<base::UniqueFd> fds;
  };
  void ready(int events);
  void write_some();
  void fail();

  base::Loop& loop_;
  base::UniqueFd socket_;
  std::unique_ptr<base::FdWatch> watch_;
  MessageReader reader_;
  std::deque<Outgoing> outgoing_;
  std::map<int64_t, Reply> waiting_;
  int64_t next_request_ = 1;
  std::function<void(Message&)> on_event_;
  std::function<void()> on_gone_;
};

}  // namespace knarr::runtime
