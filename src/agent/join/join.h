// How a machine becomes a node of a cluster, and stays one: it learns whom to believe, is given a
// client certificate for its token, a serving certificate for its client certificate, and asks for
// both anew before they run out. What is on disk already is not asked for. Loop thread.
//
//   no authority --/cacerts, held against the token--> authority --CSR with the token--> client
//   certificate --CSR with that--> serving certificate --> in (renewed from here on)
//
// A server that cannot be reached is left for the next one, and all are asked again, longer each
// time; what a server refuses is an error. A node that was in and finds no server is in with what
// it has, though its certificates have run out, or are of other addresses: its pods must not wait
// for a server. Nor do they wait for a serving certificate that is denied (another Node may have
// the address still): one without addresses will do, and the right one is asked for each minute.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/join/certificate_order.h"
#include "agent/join/join_token.h"
#include "agent/join/node_identity.h"
#include "agent/remote/remote_client.h"
#include "base/loop.h"
#include "base/wall_timer.h"
#include "knarr/random.h"

namespace knarr::agent {

struct JoinOptions {
  ServerList servers;
  JoinToken token;  // without a secret only a machine that is in gets through
  std::string tls_dir;
  std::string node_name;
  std::vector<std::string> addresses;  // of the serving certificate
  std::string user_agent;
};

class Join {
 public:
  Join(base::Loop& loop, Random& random, JoinOptions options);
  ~Join();

  // `in` once: when the identity is whole, or when it will not be.
  void start(std::function<void(Result<void>)> in);
  // After `in`: whenever a certificate is another one, for each at once.
  void on_renewed(std::function<void()> fn) { renewed_ = std::move(fn); }

  const NodeIdentity& identity() const { return identity_; }
  net::TlsConfig client_tls() const;  // towards the API server
  net::TlsConfig serving_tls() const;

 private:
  void advance();
  void fetch_authority();
  void look_for_server();
  // What a server says of itself, who shows what `tls` believes.
  void fetch(net::TlsConfig tls, std::function<void(const std::string&)> done);
  Result<void> take_authority(const std::string& pem);
  void order(const CertificateWanted& wanted, bool by_token, std::string NodeIdentity::*member);
  void ordered(Result<std::string> certificate, std::string NodeIdentity::*member);
  void denied(Error error);
  void failed(Error error);
  std::string why_anew() const;
  Error token_wanted() const;
  bool was_in() const;
  void begin_alone();
  void enter(bool soon);
  void fail(Error error);
  int64_t now_seconds() const;
  // When the first of the certificates is due; one that could not be had is due again soon.
  void wait_for_renewal(bool soon);

  base::Loop& loop_;
  Random& random_;
  JoinOptions options_;
  NodeIdentity identity_;
  std::function<void(Result<void>)> in_;
  std::function<void()> renewed_;
  bool is_in_ = false;
  // What is asked for now: with the token; without addresses.
  bool by_token_ = false;
  bool by_name_ = false;
  int failures_ = 0;  // in a row
  std::unique_ptr<Timer> retry_;
  base::WallTimer due_;
  std::unique_ptr<net::Client> http_;
  std::unique_ptr<net::Call> fetching_;
  std::unique_ptr<RemoteClient> client_;
  std::unique_ptr<CertificateOrder> order_;
};

}  // namespace knarr::agent
