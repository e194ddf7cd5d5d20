// One watch across the network that lasts: it begins with everything that is there, resumes where
// it was after a lost connection, and begins anew when the server no longer knows that point.
// Between attempts it waits, longer each time, and by chance, so that a server which comes back is
// not met by all its nodes at once.
//
// With a memory, what is told is kept there; a watch that cannot begin tells what was kept, as a
// whole list, and the server's own list later corrects that.
//
//   listing --initial events told--> live --connection lost--> waiting --> live (from its revision)
//      ^                              |                           |
//      +------- 410, or lost before the list was whole -----------+
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "agent/remote/remote_client.h"
#include "agent/remote/wire.h"
#include "api/known_objects.h"

namespace knarr::agent {

class RemoteWatch final : public client::Watch, private client::WatchHandler {
 public:
  RemoteWatch(RemoteClient& client, client::WatchTarget target, client::WatchHandler& handler);

 private:
  // What is told goes by here, to be kept.
  void on_upsert(const ObjectRef& object) override;
  void on_delete(const ObjectRef& last) override;
  void on_synced() override;
  void recall();

  void begin();
  void leave_server();
  void take(std::string_view bytes);
  // False when the stream is over with it.
  bool event(const std::string& line);
  void lost(const Error& error);
  void again();

  RemoteClient& client_;
  client::WatchTarget target_;
  client::WatchHandler& handler_;
  const api::ResourceInfo* resource_;
  api::KnownObjects known_;
  std::unique_ptr<Timer> retry_;
  std::unique_ptr<net::Call> call_;
  std::string server_;    // that this stream comes from
  int status_ = 0;        // of its answer
  std::string unread_;    // the start of a line, or an answer that is no stream
  int64_t revision_ = 0;  // told up to here; 0: the list is not whole yet
  int failures_ = 0;      // in a row
  bool synced_ = false;   // a whole list has been told, the server's or the kept one
  bool recalling_ = false;
};

// How long to wait after that many failures in a row, in ms: none after the first, then 0.2 s
// doubling to 30 s, each with a half of it by chance.
int64_t retry_delay_ms(int failures, Random& random);

}  // namespace knarr::agent
