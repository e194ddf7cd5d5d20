#include "agent/join/join.h"

#include <algorithm>

#include "agent/remote/remote_watch.h"
#include "base/format.h"
#include "base/log.h"
#include "base/time.h"
#include "net/pki.h"

namespace knarr::agent {

namespace {

constexpr int64_t kSecondUs = 1000000;
constexpr int64_t kFetchTimeoutMs = 10000;
constexpr int64_t kRenewAgainSeconds = 60;
constexpr int kAbsences = 3;  // of a server, before a node begins without
constexpr size_t kMostAuthorityBytes = 1 << 20;

using NoAddresses = std::vector<std::string>;

// Refusals do not change by asking again; what the way or a busy server says does.
bool is_refusal(const Error& error) {
  return error.code == Code::kUnauthorized || error.code == Code::kForbidden ||
         error.code == Code::kInvalid || error.code == Code::kBadRequest;
}

}  // namespace

Join::Join(base::Loop& loop, Random& random, JoinOptions options)
    : loop_(loop),
      random_(random),
      options_(std::move(options)),
      retry_(loop.timer([this] { advance(); })),
      due_(loop, [this] { advance(); }) {}

Join::~Join() = default;

int64_t Join::now_seconds() const { return loop_.now_us() / kSecondUs; }

void Join::start(std::function<void(Result<void>)> in) {
  in_ = std::move(in);
  auto loaded = load_identity(options_.tls_dir);
  if (!loaded.ok()) return fail(loaded.error());
  identity_ = *std::move(loaded);
  const std::string& pinned = options_.token.ca_hash;
  if (!identity_.ca.empty() && !pinned.empty() && net::fingerprint(identity_.ca) != pinned) {
    return fail(make_error(
        Code::kForbidden,
        fmt::format("the token is of another cluster than this machine joined before: remove {} "
                    "to join the new one",
                    options_.tls_dir)));
  }
  advance();
}

// The next thing that is missing.
void Join::advance() {
  int64_t now = now_seconds();
  by_name_ = false;
  if (identity_.ca.empty()) return fetch_authority();
  bool client_good = client_is_good(identity_, options_.node_name, now);
  if (!client_good || (is_in_ && renew_at(identity_.client) <= now)) {
    return order(node_client_certificate(options_.node_name), !client_good, &NodeIdentity::client);
  }
  bool serving_good = serving_is_good(identity_, options_.node_name, options_.addresses, now);
  if (!serving_good || (is_in_ && renew_at(identity_.serving) <= now)) {
    return order(node_serving_certificate(options_.node_name, options_.addresses), false,
                 &NodeIdentity::serving);
  }
  enter(false);
}

void Join::fetch_authority() {
  net::TlsConfig anyone;
  anyone.insecure = true;
  fetch(anyone, [this](const std::string& authority) {
    if (auto taken = take_authority(authority); !taken.ok()) return fail(taken.error());
    advance();
  });
}

// Without a token the server can only say that one is wanted; without a server none is.
void Join::look_for_server() {
  net::TlsConfig own;
  own.ca_pem = identity_.ca;
  fetch(own, [this](const std::string&) { fail(token_wanted()); });
}

void Join::fetch(net::TlsConfig tls, std::function<void(const std::string&)> done) {
  net::ClientOptions options;
  options.tls = std::move(tls);
  http_ = std::make_unique<net::Client>(loop_, std::move(options));
  net::ClientRequest request;
  request.url = options_.servers.current() + "/cacerts";
  request.timeout_ms = kFetchTimeoutMs;
  request.body_limit = kMostAuthorityBytes;
  auto answered = [this, done = std::move(done)](Result<net::Response> answer) {
    auto client = std::move(http_);
    if (!answer.ok()) return failed(answer.error());
    if (answer->status != 200) {
      return failed(make_error(Code::kServiceUnavailable,
                               fmt::format("{}/cacerts answers {}: is it a knarr server?",
                                           options_.servers.current(), answer->status)));
    }
    done(answer->body);
  };
  fetching_ = http_->fetch(std::move(request), std::move(answered));
}

Result<void> Join::take_authority(const std::string& pem) {
  if (auto info = net::read_certificate(pem); !info.ok()) return info.error();
  std::string hash = net::fingerprint(pem);
  if (options_.token.ca_hash.empty()) {
    base::log(base::Level::kWarning, "join",
              "the token names no authority: {} is believed at first sight (sha256 {})",
              options_.servers.current(), hash);
  } else if (hash != options_.token.ca_hash) {
    return make_error(Code::kForbidden,
                      fmt::format("the authority of {} (sha256 {}) is not the one that the token "
                                  "names: another server, or another token",
                                  options_.servers.current(), hash));
  }
  identity_.ca = pem;
  return save_identity(options_.tls_dir, identity_);
}

void Join::order(const CertificateWanted& wanted, bool by_token,
                 std::string NodeIdentity::*member) {
  by_token_ = by_token;
  if (by_token && options_.token.secret.empty()) {
    return is_in_ || !was_in() ? fail(token_wanted()) : look_for_server();
  }
  RemoteOptions remote;
  remote.servers = options_.servers;
  remote.tls.ca_pem = identity_.ca;
  remote.user_agent = options_.user_agent;
  if (by_token) {
    remote.bearer_token = options_.token.secret;
  } else {
    remote.tls = client_tls();
  }
  order_.reset();
  client_ = std::make_unique<RemoteClient>(loop_, random_, std::move(remote));
  order_ = std::make_unique<CertificateOrder>(
      loop_, *client_, identity_.key, wanted, [this, member](Result<std::string> certificate) {
        // Not within the order, which is to go.
        loop_.defer([this, member, certificate = std::move(certificate)]() mutable {
          ordered(std::move(certificate), member);
        });
      });
}

void Join::ordered(Result<std::string> certificate, std::string NodeIdentity::*member) {
  bool refused = order_ && order_->denied() && member == &NodeIdentity::serving;
  order_.reset();
  client_.reset();
  if (!certificate.ok()) return refused ? denied(certificate.error()) : failed(certificate.error());
  NodeIdentity next = identity_;
  next.*member = *std::move(certificate);
  int64_t now = now_seconds();
  bool good = member == &NodeIdentity::client
                  ? client_is_good(next, options_.node_name, now)
                  : serving_is_good(next, options_.node_name,
                                    by_name_ ? NoAddresses() : options_.addresses, now);
  if (!good) {
    return failed(make_error(Code::kInternalError,
                             "the certificate that was given is not good here: of another name, "
                             "address or authority, or the clocks differ"));
  }
  identity_ = std::move(next);
  if (auto saved = save_identity(options_.tls_dir, identity_); !saved.ok()) {
    if (!is_in_) return fail(saved.error());
    // It is used all the same; the next start asks for another.
    base::log(base::Level::kError, "join", "{}", saved.error().message);
  }
  if (is_in_ && renewed_) renewed_();
  if (is_in_ && renew_at(identity_.*member) <= now) {
    return failed(make_error(Code::kInternalError,
                             "the certificate that was given is to be renewed already: the clocks "
                             "differ"));
  }
  failures_ = 0;
  if (by_name_) return enter(true);
  advance();
}

void Join::denied(Error error) {
  int64_t now = now_seconds();
  bool usable = serving_is_good(identity_, options_.node_name, {}, now);
  if (!by_name_ && (!usable || renew_at(identity_.serving) <= now)) {
    base::log(base::Level::kWarning, "join", "the serving certificate is without addresses: {}",
              error.message);
    by_name_ = true;
    return order(node_serving_certificate(options_.node_name, {}), false, &NodeIdentity::serving);
  }
  if (is_in_ || !usable) return failed(std::move(error));
  base::log(base::Level::kWarning, "join", "the serving certificate stays as it is: {}",
            error.message);
  enter(true);
}

// Why the token is needed.
std::string Join::why_anew() const {
  auto before = net::read_certificate(identity_.client);
  bool ran_out = before.ok() && before->not_after_seconds <= now_seconds();
  if (!ran_out) return "this machine has not joined yet";
  return "the certificate of this node ran out at " +
         base::format_time(before->not_after_seconds * kSecondUs) + ", so it must join again";
}

Error Join::token_wanted() const {
  return make_error(Code::kUnauthorized,
                    why_anew() + ": --token is wanted (`knarr token create` on a server)");
}

void Join::failed(Error error) {
  if (error.code == Code::kUnauthorized && by_token_) {
    error.message = fmt::format(
        "{}: {}, and the server does not know the token, or that has run out: `knarr token "
        "create` on a server makes another",
        error.message, why_anew());
  }
  if (is_refusal(error) && !is_in_) return fail(std::move(error));
  failures_++;
  // Said at first and then each time the waiting gets longer than a few seconds.
  bool loud = failures_ == 1 || failures_ > 6;
  base::log(loud ? base::Level::kWarning : base::Level::kDebug, "join", "{}: {}",
            options_.servers.current(), error.message);
  options_.servers.failed(options_.servers.current(), loop_.monotonic_ms());
  if (is_in_) return wait_for_renewal(true);
  if (is_absence(error) && failures_ >= kAbsences && was_in()) return begin_alone();
  retry_->start(retry_delay_ms(failures_ + 1, random_));
}

// Its certificates are there, of this node and authority, whatever their time and addresses.
bool Join::was_in() const {
  return client_is_good(identity_, options_.node_name, 0) &&
         serving_is_good(identity_, options_.node_name, {}, 0);
}

void Join::begin_alone() {
  base::log(base::Level::kWarning, "join",
            "no server answers: the node begins with the certificates that it has");
  enter(true);
}

void Join::enter(bool soon) {
  wait_for_renewal(soon);
  if (!std::exchange(is_in_, true)) in_({});
}

void Join::fail(Error error) {
  if (is_in_) {
    base::log(base::Level::kError, "join", "certificates are not renewed: {}", error.message);
    return wait_for_renewal(true);
  }
  in_(std::move(error));
}

void Join::wait_for_renewal(bool soon) {
  int64_t at = std::min(renew_at(identity_.client), renew_at(identity_.serving));
  if (!serving_is_good(identity_, options_.node_name, options_.addresses, at)) at = now_seconds();
  if (soon) at = std::max(at, now_seconds() + kRenewAgainSeconds);
  due_.start(at * kSecondUs);
}

net::TlsConfig Join::client_tls() const {
  net::TlsConfig tls;
  tls.ca_pem = identity_.ca;
  tls.cert_pem = identity_.client;
  tls.key_pem = identity_.key;
  return tls;
}

net::TlsConfig Join::serving_tls() const {
  net::TlsConfig tls;
  tls.ca_pem = identity_.ca;
  tls.cert_pem = identity_.serving;
  tls.key_pem = identity_.key;
  return tls;
}

}  // namespace knarr::agent
