#include "cli/kubectl/http_session.h"

#define CPPHTTPLIB_USE_POLL  // as in every file that includes it
#include <httplib.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/format.h"
#include "net/url.h"

namespace knarr::kubectl {

namespace {

// A static executable does not know OPENSSLDIR of its machine.
constexpr const char* kSystemAuthorities[] = {"/etc/ssl/certs/ca-certificates.crt",
                                              "/etc/pki/tls/certs/ca-bundle.crt",
                                              "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};

constexpr time_t kConnectSeconds = 30;
// Watches and logs are silent for as long as nothing happens. In milliseconds it fits an int.
constexpr time_t kSilenceSeconds = 2'000'000;

template <typename T, void (*Free)(T*)>
struct Freed {
  void operator()(T* p) const { Free(p); }
};
using Bio = std::unique_ptr<BIO, Freed<BIO, BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Freed<X509, X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, EVP_PKEY_free>>;

Bio memory(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Error bad(std::string message) { return make_error(Code::kInvalid, std::move(message)); }

// A folder that is not there: nobody is believed because of it.
constexpr const char* kNoAuthorities = "/dev/null/authorities";

Result<X509_STORE*> make_store(const std::string& pem) {
  X509_STORE* store = X509_STORE_new();
  Bio bio = memory(pem);
  int count = 0;
  while (Certificate next{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    X509_STORE_add_cert(store, next.get());
    count++;
  }
  ERR_clear_error();
  if (count == 0 && !pem.empty()) {
    X509_STORE_free(store);
    return bad("unable to load root certificates: unable to parse bytes as PEM block");
  }
  return store;
}

std::string verify_text(long code) {
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID: return "certificate has expired or is not yet valid";
    case X509_V_OK: return "certificate is not valid for this name";
    default: return "certificate signed by unknown authority";
  }
}

}  // namespace

std::string authorization(const ClientConfig& config) {
  if (!config.token.empty()) return "Bearer " + config.token;
  if (config.username.empty()) return "";
  return "Basic " + base::base64_encode(config.username + ":" + config.password);
}

std::string system_authorities() {
  for (const char* path : kSystemAuthorities) {
    if (auto text = base::read_file(path); text.ok()) return *text;
  }
  return "";
}

struct HttpSession::Impl {
  net::Url url;
  std::string authorization;
  std::unique_ptr<httplib::ClientImpl> client;
  bool tls = false;

  std::string failure(httplib::Error error) const {
    switch (error) {
      case httplib::Error::Connection:
        return fmt::format(
            "The connection to the server {}:{} was refused - did you specify the "
            "right host or port?",
            url.host, url.port);
      case httplib::Error::ConnectionTimeout:
        return fmt::format("Unable to connect to the server: dial tcp {}:{}: i/o timeout", url.host,
                           url.port);
      case httplib::Error::SSLServerVerification:
        return "Unable to connect to the server: tls: failed to verify certificate: x509: " +
               verify_text(
                   static_cast<const httplib::SSLClient&>(*client).get_openssl_verify_result());
      case httplib::Error::SSLConnection:
        return "Unable to connect to the server: tls: handshake failure";
      case httplib::Error::Read: return "Unable to connect to the server: unexpected EOF";
      default: return "Unable to connect to the server: " + httplib::to_string(error);
    }
  }
};

HttpSession::HttpSession(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpSession::~HttpSession() = default;

Result<std::unique_ptr<HttpSession>> HttpSession::open(const ClientConfig& config) {
  auto impl = std::make_unique<Impl>();
  TRY_ASSIGN(impl->url, net::parse_url(config.server));
  impl->tls = impl->url.scheme == "https";
  if (!impl->tls) {
    impl->client = std::make_unique<httplib::ClientImpl>(impl->url.host, impl->url.port);
  } else {
    Certificate certificate;
    Key key;
    if (!config.cert_pem.empty()) {
      certificate.reset(
          PEM_read_bio_X509(memory(config.cert_pem).get(), nullptr, nullptr, nullptr));
      key.reset(PEM_read_bio_PrivateKey(memory(config.key_pem).get(), nullptr, nullptr, nullptr));
      if (!certificate || !key) return bad("tls: failed to find any PEM data in certificate input");
    }
    auto made = std::make_unique<httplib::SSLClient>(impl->url.host, impl->url.port,
                                                     certificate.get(), key.get());
    if (!made->is_valid()) return bad("tls: private key does not match public key");
    TRY_ASSIGN(X509_STORE * store,
               make_store(config.ca_pem.empty() ? system_authorities() : config.ca_pem));
    made->set_ca_cert_store(store);  // which owns it from here
    // Without a place of ours the library adds the system's authorities to those of the kubeconfig.
    made->set_ca_cert_path("", kNoAuthorities);
    made->enable_server_certificate_verification(!config.insecure);
    impl->client = std::move(made);
  }
  impl->authorization = kubectl::authorization(config);
  impl->client->set_keep_alive(true);
  impl->client->set_url_encode(false);
  impl->client->set_decompress(false);
  impl->client->set_tcp_nodelay(true);
  impl->client->set_connection_timeout(kConnectSeconds);
  impl->client->set_read_timeout(kSilenceSeconds);
  impl->client->set_write_timeout(kConnectSeconds);
  return std::unique_ptr<HttpSession>(new HttpSession(std::move(impl)));
}

Result<HttpAnswer> HttpSession::send(const HttpAsk& ask, const HttpSink* sink) {
  HttpAnswer answer;
  httplib::Request out;
  out.method = ask.method;
  out.path = impl_->url.path == "/" ? ask.target : net::join_path(impl_->url.path, ask.target);
  out.body = ask.body;
  for (const auto& [name, value] : ask.headers) out.headers.emplace(name, value);
  out.headers.emplace("User-Agent", "kubectl/knarr");
  if (!impl_->authorization.empty()) out.headers.emplace("Authorization", impl_->authorization);
  bool stopped = false;
  out.response_handler = [&](const httplib::Response& head) {
    answer.status = head.status;
    answer.content_type = head.get_header_value("Content-Type");
    for (auto [it, end] = head.headers.equal_range("Warning"); it != end; ++it) {
      answer.warnings.push_back(it->second);
    }
    return true;
  };
  out.content_receiver = [&](const char* data, size_t size, uint64_t, uint64_t) {
    if (sink != nullptr && answer.status / 100 == 2) {
      stopped = !(*sink)(std::string_view(data, size));
      return !stopped;
    }
    answer.body.append(data, size);
    return true;
  };
  httplib::Response response;
  httplib::Error error = httplib::Error::Success;
  bool sent = false;
  try {
    sent = impl_->client->send(out, response, error);
  } catch (const std::exception& e) {
    return make_error(Code::kServiceUnavailable,
                      fmt::format("Unable to connect to the server: {}", e.what()));
  }
  if (sent || stopped) return answer;
  impl_->client->stop();
  return make_error(Code::kServiceUnavailable, impl_->failure(error));
}

}  // namespace knarr::kubectl
