// Which pods may use an image that is here, by what it was pulled with: a private image is for
// those only who have a credential that its registry took (the kubelet's
// KubeletEnsureSecretPulledImages, policy NeverVerifyPreloadedImages). Images that nobody pulled
// for a pod are everybody's. Kept in a file: else a restart would make every image one of those.
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

  // Whether it takes a credential at all: then ask allowed(). `name` is the image's, without tag
  // and digest.
  bool restricted(const std::string& image_id, const std::string& name) const;
  // With one of these. What is new of a secret that is known is remembered.
  bool allowed(const std::string& image_id, const std::string& name,
               const std::vector<PullCredential>& credentials);
  // The registry gave it to this one; nullptr: to anybody.
  void pulled(const std::string& image_id, const std::string& name,
              const PullCredential* credential);
  void keep_only(const std::set<std::string>& image_ids);

 private:
  struct Entry {
    bool anybody = false;
    std::map<std::string, std::string> secrets;  // by hash
  };
  void read();
  void write();

  std::string path_;
  Offload& offload_;
  std::map<std::string, std::map<std::string, Entry>> images_;  // by id, by name
};

}  // namespace knarr::agent
