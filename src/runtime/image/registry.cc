#include "runtime/image/registry.h"

#include "base/format.h"
#include "runtime/image/manifest.h"
#include "runtime/image/registry_auth.h"

namespace knarr::runtime {

namespace {

Error denied(const std::string& why) {
  return make_error(
      Code::kUnauthorized,
      "pull access denied, repository does not exist or may require authorization: " + why);
}

Error unexpected(const std::string& method, const HttpResponse& response) {
  Code code = Code::kUnknown;
  if (response.status == 404) code = Code::kNotFound;
  if (response.status == 403) code = Code::kForbidden;
  if (response.status == 429) code = Code::kTooManyRequests;
  if (response.status >= 500) code = Code::kServiceUnavailable;
  return make_error(code, fmt::format("unexpected status from {} request to {}: {}", method,
                                      response.url, response.status_text()));
}

Error not_what_was_asked(const std::string& digest, const HttpResponse& response) {
  return make_error(Code::kInvalid, fmt::format("manifest {} from {} has another digest: {}",
                                                digest, response.url, digest_of(response.body)));
}

Error request_failed(const Error& error) {
  return make_error(error.code, "failed to do request: " + error.message);
}

}  // namespace

RegistryClient::RegistryClient(Endpoint endpoint, RegistryAuth auth, CancelToken& cancel,
                               std::string authorization)
    : endpoint_(std::move(endpoint)),
      auth_(std::move(auth)),
      http_(endpoint_.config.tls, cancel),
      authorization_(std::move(authorization)) {}

std::string RegistryClient::url(const std::string& kind, const std::string& name) const {
  std::string out =
      fmt::format("{}/v2/{}/{}/{}", endpoint_.base_url, endpoint_.repository, kind, name);
  // A mirror of several registries is told which one is meant.
  if (!endpoint_.mirrored.empty()) out += "?ns=" + url_encode(endpoint_.mirrored);
  return out;
}

Result<HttpResponse> RegistryClient::send(HttpRequest request,
                                          const HttpClient::Receiver* receiver) {
  for (int attempt = 0;; ++attempt) {
    HttpRequest next = request;
    if (!authorization_.empty()) next.headers.emplace_back("Authorization", authorization_);
    Result<HttpResponse> response = http_.send(next, receiver);
    if (!response.ok()) {
      bool ours = response.error().code == Code::kServiceUnavailable;
      return ours ? request_failed(response.error()) : response.error();
    }
    if (response->status != 401) return response;
    // Twice: a token from another client may have expired, a fresh one is final.
    if (attempt == 2) return denied("authorization failed");
    TRY(authorize(*response));
  }
}

Result<void> RegistryClient::authorize(const HttpResponse& refusal) {
  std::string had = authorization_;
  authorization_.clear();
  auto [begin, end] = refusal.headers.equal_range("www-authenticate");
  for (auto it = begin; it != end; ++it) {
    for (const AuthChallenge& challenge : parse_challenges(it->second)) {
      auto error = challenge.parameters.find("error");
      bool insufficient = error != challenge.parameters.end() && error->second != "invalid_token";
      if (challenge.scheme == "bearer" && insufficient && !had.empty()) {
        return denied("server message: " + error->second + ": authorization failed");
      }
      if (challenge.scheme == "bearer") {
        TRY_ASSIGN(std::string token, fetch_token(challenge));
        authorization_ = "Bearer " + token;
        return {};
      }
      if (challenge.scheme == "basic") {
        if (auth_.username.empty() && auth_.password.empty()) {
          return denied("authorization failed: no basic auth credentials");
        }
        authorization_ = basic_authorization(auth_);
        if (authorization_ == had) return denied("authorization failed");
        return {};
      }
    }
  }
  return denied("authorization failed");
}

Result<std::string> RegistryClient::fetch_token(const AuthChallenge& challenge) {
  std::string scope = "repository:" + endpoint_.repository + ":pull";
  bool anonymous = auth_.username.empty() && auth_.identity_token.empty();
  std::string failure = fmt::format("failed to authorize: failed to fetch {} token: ",
                                    anonymous ? "anonymous" : "oauth");
  HttpRequest request;
  if (!auth_.identity_token.empty()) {
    auto realm = challenge.parameters.find("realm");
    if (realm == challenge.parameters.end()) return denied("authorization failed");
    request.method = "POST";
    request.url = realm->second;
    request.body = refresh_form(challenge, scope, auth_.identity_token);
  } else {
    request.url = token_url(challenge, scope);
    if (!anonymous) request.headers.emplace_back("Authorization", basic_authorization(auth_));
  }
  Result<HttpResponse> response = http_.send(request);
  if (!response.ok()) return make_error(response.error().code, failure + response.error().message);
  if (response->status != 200) {
    Error error = unexpected(request.method, *response);
    Code code =
        response->status == 401 || response->status == 403 ? Code::kUnauthorized : error.code;
    return make_error(code, failure + error.message);
  }
  Result<std::string> token = token_from(response->body);
  if (!token.ok()) return make_error(Code::kUnauthorized, failure + token.error().message);
  return token;
}

Result<FetchedManifest> RegistryClient::resolve(const std::string& tag_or_digest) {
  HttpRequest request;
  request.method = "HEAD";
  request.url = url("manifests", tag_or_digest);
  request.headers.emplace_back("Accept", accepted_manifest_types());
  TRY_ASSIGN(HttpResponse response, send(request));
  FetchedManifest found;
  found.digest =
      is_digest(tag_or_digest) ? tag_or_digest : response.header("docker-content-digest");
  if (response.status == 200 && is_digest(found.digest)) return found;
  bool get = response.status == 200 || response.status == 405 || response.status == 501;
  if (!get) return unexpected(request.method, response);
  request.method = "GET";
  TRY_ASSIGN(response, send(request));
  if (response.status != 200) return unexpected(request.method, response);
  found.digest = digest_of(response.body);
  if (is_digest(tag_or_digest) && found.digest != tag_or_digest) {
    return not_what_was_asked(tag_or_digest, response);
  }
  found.body = std::move(response.body);
  return found;
}

Result<std::string> RegistryClient::manifest(const std::string& digest) {
  HttpRequest request;
  request.url = url("manifests", digest);
  request.headers.emplace_back("Accept", accepted_manifest_types());
  TRY_ASSIGN(HttpResponse response, send(request));
  if (response.status != 200) return unexpected(request.method, response);
  if (digest_of(response.body) != digest) return not_what_was_asked(digest, response);
  return std::move(response.body);
}

Result<void> RegistryClient::blob(const std::string& digest, int64_t size_bytes, Ingest& ingest) {
  if (ingest.offset() > size_bytes) TRY(ingest.restart());
  if (ingest.offset() == size_bytes) return {};
  HttpRequest request;
  request.url = url("blobs", digest);
  if (ingest.offset() > 0) {
    request.headers.emplace_back("Range", fmt::format("bytes={}-", ingest.offset()));
  }
  HttpClient::Receiver receiver;
  receiver.on_head = [&](const HttpResponse& head) -> Result<void> {
    std::string range = fmt::format("bytes {}-", ingest.offset());
    bool continued = head.status == 206 && head.header("content-range").starts_with(range);
    if (continued || ingest.offset() == 0) return {};
    if (head.status == 200) return ingest.restart();
    return make_error(Code::kInvalid, "unexpected Content-Range from " + request.url);
  };
  receiver.sink = [&](std::string_view bytes) -> Result<void> {
    if (ingest.offset() + static_cast<int64_t>(bytes.size()) > size_bytes) {
      return make_error(Code::kInvalid, fmt::format("blob {} is larger than its manifest says: {}",
                                                    digest, size_bytes));
    }
    return ingest.append(bytes);
  };
  TRY_ASSIGN(HttpResponse response, send(request, &receiver));
  if (response.status == 416) {
    TRY(ingest.restart());
    return make_error(Code::kServiceUnavailable, unexpected(request.method, response).message);
  }
  if (response.status != 200 && response.status != 206) return unexpected(request.method, response);
  if (ingest.offset() != size_bytes) {
    return make_error(Code::kServiceUnavailable,
                      fmt::format("failed to copy blob {}: unexpected EOF", digest));
  }
  return {};
}

}  // namespace knarr::runtime
