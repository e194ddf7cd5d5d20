// The server's own join token: a Secret in the API, so that every server knows it and `knarr token
// rotate` can change it, and a file on this machine, whole with the authority's hash, for who sets
// up the next machine. Loop thread.
#pragma once

#include <memory>
#include <string>

#include "knarr/client.h"
#include "knarr/clock.h"
#include "knarr/random.h"

namespace knarr::cli {

class JoinTokenFile final : public client::WatchHandler {
 public:
  struct Options {
    std::string folder;  // "<data-dir>/server": files "token" and "node-token", mode 0600
    std::string wanted;  // --token: this, if it is another one now; empty: whatever there is
    std::string ca_pem;
  };
  JoinTokenFile(Clock& clock, client::Client& client, Random& random, Options options);

  // The Secret has been there, as it is wanted: machines can join.
  bool stored() const { return settled_; }

  void on_upsert(const ObjectRef& secret) override;
  void on_delete(const ObjectRef&) override;
  void on_synced() override { ensure(); }

 private:
  void ensure();
  void store(const std::string& secret, client::Verb verb);
  void failed(const Error& error);
  void write(const std::string& secret);

  client::Client& client_;
  Random& random_;
  Options options_;
  std::string now_;       // what the Secret says; empty: there is none
  std::string last_;      // what it is made with
  bool settled_ = false;  // from then on it changes by `knarr token rotate` alone
  int failures_ = 0;      // in a row
  std::unique_ptr<Timer> retry_;
  std::unique_ptr<client::Watch> watch_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::cli
