// One certificate, asked for through the API: a CertificateSigningRequest is made and watched until
// it is answered. Loop thread.
//
//   created --approved and signed--> done
//   created --denied, failed, gone, not answered within ten minutes--> an error
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "knarr/client.h"
#include "knarr/clock.h"
#include "net/pki.h"

namespace knarr::agent {

struct CertificateWanted {
  std::string signer;  // "kubernetes.io/kubelet-serving"
  std::vector<std::string> usages;
  net::CertificateRequest request;
};
// What a node needs towards the API server, and of its own port.
CertificateWanted node_client_certificate(const std::string& node_name);
CertificateWanted node_serving_certificate(const std::string& node_name,
                                           const std::vector<std::string>& addresses);

class CertificateOrder final : public client::WatchHandler {
 public:
  // The certificate, PEM. kForbidden: denied, in the words of who denied it. Others come from the
  // server or the way to it. The order may be destroyed from within.
  using Done = std::function<void(Result<std::string>)>;

  CertificateOrder(Clock& clock, client::Client& client, const std::string& key_pem,
                   const CertificateWanted& wanted, Done done);
  ~CertificateOrder() override;

  // The cluster denied it; other errors of the same code are of who may not ask.
  bool denied() const { return denied_; }

  void on_upsert(const ObjectRef& request) override;
  void on_delete(const ObjectRef& request) override;
  void on_synced() override;

 private:
  void created(const ObjectRef& request);
  void finish(Result<std::string> result);

  client::Client& client_;
  Done done_;
  std::string name_;
  bool seen_ = false;  // by the watch
  bool denied_ = false;
  std::unique_ptr<Timer> patience_;  // then a person is asked to look
  std::unique_ptr<Timer> limit_;     // then it is over: a token may have run out meanwhile
  std::unique_ptr<client::Watch> watch_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::agent
