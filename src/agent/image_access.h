// Which pods may use an image that is here, by what it was pulled with: a private image is for
// those only who have a credential that its registry took (the kubelet's
// KubeletEnsureSecretPulledImages, policy NeverVerifyPreloadedImages). Images that nobody pulled
// for a pod are everybody's. Kept in a file: else a restart would make every image one of those.
// The file says what is about to be pulled with a credential before it is, and what was begun and
// never recorded is nobody's until a registry has said more; so is all that is here when the file
// cannot be read.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/offload.h"
#include "knarr/runtime.h"

namespace knarr::agent {

// A credential and the secret it comes from.
struct PullCredential {
  runtime::RegistryAuth auth;
  std::string secret;  // "<uid>/<namespace>/<name>"
  std::string hash() const;
};

class ImageAccess {
 public:
  // Reads the file. An empty path: nothing is kept.
  ImageAccess(std::string path, Offload& offload);

  // Whether it takes a credential at all: then ask allowed(). `image` is its reference.
  bool restricted(const std::string& image_id, const std::string& image) const;
  // With one of these. What is new of a secret that is known replaces what it had.
  bool allowed(const std::string& image_id, const std::string& image,
               const std::vector<PullCredential>& credentials);
  // It is about to be pulled with credentials; `written` when that is on the disk. Each ends with
  // pulled() or refused().
  void intend(const std::string& image, Callback<void> written);
  void refused(const std::string& image);
  // The registry gave it to this one, after intend(); nullptr: to anybody, without.
  void pulled(const std::string& image_id, const std::string& image,
              const PullCredential* credential);
  void keep_only(const std::set<std::string>& image_ids);

 private:
  struct Entry {
    bool anybody = false;
    std::map<std::string, std::string> secrets;  // by hash
    size_t forget(const std::string& secret);    // how many hashes it had
  };
  bool read();
  void write(Callback<void> done = nullptr);

  std::string path_;
  Offload& offload_;
  // By id, by name (without tag and digest).
  std::map<std::string, std::map<std::string, Entry>> images_;
  std::multiset<std::string> intents_;  // references
  std::set<std::string> unsure_;        // references of intents whose end is not known
  bool lost_ = false;  // the records were: all that is not in images_ is restricted
};

}  // namespace knarr::agent
