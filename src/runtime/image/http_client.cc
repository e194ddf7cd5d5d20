#include "runtime/image/http_client.h"

// select() writes past its set when a descriptor is 1024 or more.
#define CPPHTTPLIB_USE_POLL
#include <httplib.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <poll.h>

#include <algorithm>
#include <optional>

#include "base/ascii.h"
#include "base/format.h"
#include "base/unique_fd.h"

namespace knarr::runtime {

namespace {

constexpr int kMaxRedirects = 10;
constexpr size_t kBodyLimit = 8 << 20;
constexpr time_t kConnectSeconds = 15;
constexpr time_t kStallSeconds = 60;

// A static executable knows no OPENSSLDIR of its machine: these are where distributions keep the
// authorities.
constexpr const char* kSystemAuthorities[] = {
    "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem"};

// "Head", "Get": how Go's client names the operation.
std::string operation(const std::string& method) {
  std::string out = base::lower(method);
  out[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(out[0])));
  return out;
}

X509_STORE* make_store(const RegistryTls& tls, std::string& error) {
  X509_STORE* store = X509_STORE_new();
  for (const char* path : kSystemAuthorities) {
    if (access(path, R_OK) == 0 && X509_STORE_load_file(store, path) == 1) break;
  }
  if (!tls.ca_file.empty() && X509_STORE_load_file(store, tls.ca_file.c_str()) != 1) {
    error = "load CA file " + tls.ca_file + " failed";
  }
  ERR_clear_error();
  return store;
}

// Why a connection can't be made: httplib does not say, so it is tried once more.
std::string dial_error(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
    return fmt::format("dial tcp: lookup {}: no such host", host);
  }
  int error = 0;
  {
    base::UniqueFd fd(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (connect(fd.get(), found->ai_addr, found->ai_addrlen) != 0) error = errno;
    if (error == EINPROGRESS) {
      pollfd wait{fd.get(), POLLOUT, 0};
      socklen_t size = sizeof error;
      if (poll(&wait, 1, 2000) != 1) {
        error = ETIMEDOUT;
      } else {
        getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      }
    }
  }
  char address[INET6_ADDRSTRLEN] = "";
  getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof address, nullptr, 0,
              NI_NUMERICHOST);
  bool v6 = found->ai_family == AF_INET6;
  freeaddrinfo(found);
  std::string where = v6 ? fmt::format("dial tcp [{}]:{}", address, port)
                         : fmt::format("dial tcp {}:{}", address, port);
  if (error == ECONNREFUSED) return where + ": connect: connection refused";
  if (error == ENETUNREACH) return where + ": connect: network is unreachable";
  if (error == EHOSTUNREACH) return where + ": connect: no route to host";
  if (error == ETIMEDOUT) return where + ": i/o timeout";
  return where +
         ": connect: " + (error != 0 ? base::lower(strerror(error)) : "connection reset by peer");
}

std::string verify_error(long code) {
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "tls: failed to verify certificate: x509: certificate has expired or is not yet valid";
    case X509_V_OK:
      return "tls: failed to verify certificate: x509: certificate is not valid for this name";
    default:
      return "tls: failed to verify certificate: x509: certificate signed by unknown authority";
  }
}

}  // namespace

std::string HttpUrl::authority() const {
  std::string name = host.find(':') != std::string::npos ? "[" + host + "]" : host;
  return port == (tls ? 443 : 80) ? name : fmt::format("{}:{}", name, port);
}

std::string HttpUrl::text() const { return (tls ? "https://" : "http://") + authority() + target; }

Result<HttpUrl> parse_url(std::string_view text) {
  HttpUrl url;
  Error bad = make_error(Code::kInvalid, fmt::format("invalid URL \"{}\"", text));
  url.tls = text.starts_with("https://");
  if (!url.tls && !text.starts_with("http://")) return bad;
  text.remove_prefix(url.tls ? 8 : 7);
  std::string_view authority = text.substr(0, text.find_first_of("/?#"));
  url.target = std::string(text.substr(authority.size()));
  url.target.resize(std::min(url.target.find('#'), url.target.size()));
  if (!url.target.starts_with('/')) url.target.insert(0, "/");
  for (char c : url.target) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 127) return bad;
  }
  authority.remove_prefix(std::min(authority.rfind('@') + 1, authority.size()));  // no user here
  std::string_view port;
  if (authority.starts_with('[')) {
    size_t close = authority.find(']');
    if (close == std::string_view::npos) return bad;
    url.host = std::string(authority.substr(1, close - 1));
    port = authority.substr(close + 1);
  } else {
    url.host = std::string(authority.substr(0, authority.find(':')));
    port = authority.substr(url.host.size());
  }
  url.port = url.tls ? 443 : 80;
  if (port.size() > 1) {
    int number = 0;
    for (char c : port.substr(1)) {
      if (c < '0' || c > '9' || number > 65535) return bad;
      number = number * 10 + (c - '0');
    }
    if (number == 0 || number > 65535) return bad;
    url.port = number;
  }
  if (url.host.empty()) return bad;
  for (char c : url.host) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-' && c != '_' &&
        c != ':' && c != '%') {
      return bad;
    }
  }
  return url;
}

Result<HttpUrl> resolve_location(const HttpUrl& base, std::string_view location) {
  if (location.find("://") != std::string_view::npos) return parse_url(location);
  std::string scheme = base.tls ? "https:" : "http:";
  if (location.starts_with("//")) return parse_url(scheme + std::string(location));
  HttpUrl at = base;
  if (location.starts_with('/')) {
    at.target.clear();
  } else {
    at.target.resize(at.target.find('?') == std::string::npos ? at.target.size()
                                                              : at.target.find('?'));
    at.target.resize(at.target.rfind('/') + 1);
  }
  return parse_url(scheme + "//" + at.authority() + at.target + std::string(location));
}

std::string HttpResponse::header(const std::string& name) const {
  auto it = headers.find(name);
  return it == headers.end() ? std::string() : it->second;
}

std::string HttpResponse::status_text() const {
  switch (status) {
    case 200: return "200 OK";
    case 400: return "400 Bad Request";
    case 401: return "401 Unauthorized";
    case 403: return "403 Forbidden";
    case 404: return "404 Not Found";
    case 405: return "405 Method Not Allowed";
    case 408: return "408 Request Timeout";
    case 410: return "410 Gone";
    case 416: return "416 Requested Range Not Satisfiable";
    case 429: return "429 Too Many Requests";
    case 500: return "500 Internal Server Error";
    case 502: return "502 Bad Gateway";
    case 503: return "503 Service Unavailable";
    case 504: return "504 Gateway Timeout";
    default: return std::to_string(status);
  }
}

struct HttpClient::Connections {
  X509_STORE* store = nullptr;
  std::map<std::string, std::unique_ptr<httplib::ClientImpl>> by_origin;

  ~Connections() {
    by_origin.clear();
    X509_STORE_free(store);
  }
  static std::string key(const HttpUrl& url) { return (url.tls ? "s:" : "p:") + url.authority(); }
  void close(const HttpUrl& url) { by_origin.erase(key(url)); }
  Result<httplib::ClientImpl*> open(const HttpUrl& url, const RegistryTls& tls);
};

Result<httplib::ClientImpl*> HttpClient::Connections::open(const HttpUrl& url,
                                                           const RegistryTls& tls) {
  if (auto it = by_origin.find(key(url)); it != by_origin.end()) return it->second.get();
  std::unique_ptr<httplib::ClientImpl> client;
  if (url.tls) {
    auto made =
        std::make_unique<httplib::SSLClient>(url.host, url.port, tls.cert_file, tls.key_file);
    if (!made->is_valid()) {
      return make_error(Code::kInvalid, "tls: load client certificate " + tls.cert_file);
    }
    std::string error;
    if (store == nullptr) store = make_store(tls, error);
    if (!error.empty()) return make_error(Code::kInvalid, "tls: " + error);
    X509_STORE_up_ref(store);
    made->set_ca_cert_store(store);
    made->enable_server_certificate_verification(!tls.insecure_skip_verify);
    client = std::move(made);
  } else {
    client = std::make_unique<httplib::ClientImpl>(url.host, url.port);
  }
  client->set_keep_alive(true);
  client->set_follow_location(false);
  client->set_url_encode(false);
  client->set_decompress(false);
  client->set_connection_timeout(kConnectSeconds);
  client->set_read_timeout(kStallSeconds);
  client->set_write_timeout(kStallSeconds);
  return (by_origin[key(url)] = std::move(client)).get();
}

HttpClient::HttpClient(RegistryTls tls, CancelToken& cancel)
    : tls_(std::move(tls)), cancel_(cancel), connections_(std::make_unique<Connections>()) {}

HttpClient::~HttpClient() = default;

Result<HttpResponse> HttpClient::send(const HttpRequest& request, const Receiver* receiver) {
  TRY_ASSIGN(HttpUrl url, parse_url(request.url));
  HttpRequest next = request;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    TRY_ASSIGN(HttpResponse response, send_once(next, url, receiver));
    response.url = url.text();
    bool redirect = (response.status >= 301 && response.status <= 303) || response.status == 307 ||
                    response.status == 308;
    std::string location = response.header("location");
    if (!redirect || location.empty()) return response;
    TRY_ASSIGN(HttpUrl to, resolve_location(url, location));
    // Credentials are for whom they were given to: storage behind a registry has its own in the
    // URL.
    if (to.authority() != url.authority() || (url.tls && !to.tls)) {
      std::erase_if(next.headers,
                    [](const auto& h) { return base::lower(h.first) == "authorization"; });
    }
    url = std::move(to);
  }
  return make_error(Code::kInvalid,
                    fmt::format("{} \"{}\": stopped after {} redirects", operation(request.method),
                                request.url, kMaxRedirects));
}

namespace {

httplib::Request to_httplib(const HttpRequest& request, const HttpUrl& url) {
  httplib::Request out;
  out.method = request.method;
  out.path = url.target;
  out.headers.emplace("Host", url.authority());
  out.headers.emplace("User-Agent", "knarr");
  // Bytes as they are stored: digests are of those.
  out.headers.emplace("Accept-Encoding", "identity");
  for (const auto& [name, value] : request.headers) out.headers.emplace(name, value);
  if (request.method == "POST") {
    out.headers.emplace("Content-Type", "application/x-www-form-urlencoded");
    out.body = request.body;
  }
  return out;
}

std::string failure(httplib::Error error, const httplib::ClientImpl& client, const HttpUrl& url) {
  switch (error) {
    case httplib::Error::Connection: return dial_error(url.host, url.port);
    case httplib::Error::ConnectionTimeout: return "dial tcp: i/o timeout";
    case httplib::Error::Read: return "unexpected EOF";
    case httplib::Error::Write: return "write: broken pipe";
    case httplib::Error::SSLServerVerification:
      return verify_error(
          static_cast<const httplib::SSLClient&>(client).get_openssl_verify_result());
    case httplib::Error::SSLConnection:
      return ERR_GET_REASON(ERR_peek_error()) == SSL_R_WRONG_VERSION_NUMBER
                 ? "http: server gave HTTP response to HTTPS client"
                 : "remote error: tls: handshake failure";
    default: return httplib::to_string(error);
  }
}

void take_head(const httplib::Response& from, HttpResponse& to) {
  to.status = from.status;
  to.headers.clear();
  for (const auto& [name, value] : from.headers) to.headers.emplace(base::lower(name), value);
}

}  // namespace

Result<HttpResponse> HttpClient::send_once(const HttpRequest& request, const HttpUrl& url,
                                           const Receiver* receiver) {
  if (cancel_.cancelled()) return make_error(Code::kCanceled, "context canceled");
  std::string what = fmt::format("{} \"{}\": ", operation(request.method), url.text());
  TRY_ASSIGN(httplib::ClientImpl * client, connections_->open(url, tls_));
  HttpResponse response;
  std::optional<Error> refused;  // ours: what stopped the transfer
  bool sunk = false;
  httplib::Request out = to_httplib(request, url);
  out.response_handler = [&](const httplib::Response& head) {
    take_head(head, response);
    sunk = receiver != nullptr && (head.status == 200 || head.status == 206);
    if (!sunk || !receiver->on_head) return true;
    Result<void> accepted = receiver->on_head(response);
    if (!accepted.ok()) refused = accepted.error();
    return accepted.ok();
  };
  out.content_receiver = [&](const char* data, size_t size, uint64_t, uint64_t) {
    std::string_view bytes(data, size);
    Result<void> taken;
    if (cancel_.cancelled()) {
      taken = make_error(Code::kCanceled, "context canceled");
    } else if (sunk) {
      taken = receiver->sink(bytes);
    } else if (response.body.size() + size > kBodyLimit) {
      taken = make_error(Code::kRequestEntityTooLarge, what + "answer is too large");
    } else {
      response.body += bytes;
    }
    if (!taken.ok()) refused = taken.error();
    return taken.ok();
  };
  httplib::Response answer;
  httplib::Error error = httplib::Error::Success;
  ERR_clear_error();
  int hook = cancel_.add_hook([client] { client->stop(); });
  bool sent = false;
  try {
    sent = client->send(out, answer, error);
  } catch (const std::exception& e) {
    refused = make_error(Code::kServiceUnavailable, what + e.what());
  }
  cancel_.remove_hook(hook);
  if (sent) {
    take_head(answer, response);
    return response;
  }
  std::string why = failure(error, *client, url);
  connections_->close(url);  // whatever state it is in
  if (cancel_.cancelled()) return make_error(Code::kCanceled, "context canceled");
  if (refused) return *refused;
  return make_error(Code::kServiceUnavailable, what + why);
}

}  // namespace knarr::runtime
