// This node's end of the server's packet relay (server/http/packet_relay.h): what the kernel sends
// to a TUN link goes over a stream to the server, what comes from there goes to the kernel. Where
// no stream can be had now, packets wait in the link's queue, which is short, and it is tried
// again, at most once a second. Loop thread.
//
//   without a link --attach--> opening --> passing --cut--> waiting --> opening
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/loop.h"
#include "base/unique_fd.h"
#include "knarr/random.h"
#include "net/dial.h"
#include "net/frames.h"

namespace knarr::agent {

class RelayPort {
 public:
  using Done = std::function<void(Result<std::unique_ptr<net::ByteStream>>)>;
  // A stream to the relay, under net::dial_tcp's contract.
  using Open = std::function<std::unique_ptr<net::Pending>(Done)>;

  RelayPort(base::Loop& loop, Random& random);
  ~RelayPort();
  RelayPort(const RelayPort&) = delete;
  RelayPort& operator=(const RelayPort&) = delete;

  // Null: there is no way to a relay, and packets go nowhere.
  void use(Open open);
  bool usable() const { return open_ != nullptr; }
  // Called when the server has packets for a node that has no stream.
  void on_wanted(std::function<void()> fn) { wanted_ = std::move(fn); }
  // The server can be reached, and what waits need wait no longer; `packets`: it has some.
  void server_is_there(bool packets);

  // What reads and writes the link (open_tun).
  void attach(base::UniqueFd tun);
  void detach();
  bool attached() const { return tun_.valid(); }
  bool passing() const { return stream_ != nullptr; }
  // When a packet came by the relay, or the link was attached; base::Loop's clock.
  int64_t used_ms() const { return used_ms_; }

 private:
  void open();
  void opened(Result<std::unique_ptr<net::ByteStream>> stream);
  void lost(const Error& error);
  void send();
  void receive(std::string_view bytes);

  base::Loop& loop_;
  Random& random_;
  Open open_;
  std::function<void()> wanted_;
  base::UniqueFd tun_;
  std::unique_ptr<base::FdWatch> watch_;
  std::unique_ptr<Timer> retry_;
  int failures_ = 0;  // in a row
  int64_t opened_ms_ = INT64_MIN / 2;
  int64_t used_ms_ = 0;
  std::unique_ptr<net::Pending> opening_;
  std::unique_ptr<net::ByteStream> stream_;
  net::FrameReader frames_;
};

}  // namespace knarr::agent
