// One repository at one endpoint: distribution's v2 API as a pull needs it. Blocks; one thread at a
// time.
#pragma once

#include <string>

#include "knarr/result.h"
#include "runtime/image/content.h"
#include "runtime/image/http_client.h"
#include "runtime/image/registries.h"
#include "runtime/image/registry_auth.h"

namespace knarr::runtime {

struct FetchedManifest {
  std::string digest;
  std::string body;  // empty from resolve(), unless the registry has no digests in its headers
};

class RegistryClient {
 public:
  // `authorization` may be what another client of the same endpoint got.
  RegistryClient(Endpoint endpoint, RegistryAuth auth, CancelToken& cancel,
                 std::string authorization = "");

  // The digest behind a tag or digest. kNotFound; kUnauthorized with the kubelet's words for it.
  Result<FetchedManifest> resolve(const std::string& tag_or_digest);
  // A manifest by its digest, verified.
  Result<std::string> manifest(const std::string& digest);
  // Appends what the ingest lacks, by Range where something is there. Its end is not committed.
  Result<void> blob(const std::string& digest, int64_t size_bytes, Ingest& ingest);

  const std::string& authorization() const { return authorization_; }

 private:
  std::string url(const std::string& kind, const std::string& name) const;
  Result<HttpResponse> send(HttpRequest request, const HttpClient::Receiver* receiver = nullptr);
  Result<void> authorize(const HttpResponse& refusal);
  Result<std::string> fetch_token(const AuthChallenge& challenge);

  Endpoint endpoint_;
  RegistryAuth auth_;
  HttpClient http_;
  std::string authorization_;
};

}  // namespace knarr::runtime
