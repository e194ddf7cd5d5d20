// Keeps the cluster as the files in <data-dir>/server/manifests say: each is applied at start and
// when it changes, what is no longer in any file is deleted, and "<file>.skip" leaves a file's
// objects alone. What cannot be applied is tried again, later each time; while any file cannot be
// read nothing is deleted. Loop thread.
//
// A pass goes through what there is to do one request after the other: record what is about to be
// made, apply, delete what is left over, record what is. A change meanwhile begins another pass
// after.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "knarr/client.h"
#include "server/manifests/manifest_folder.h"
#include "server/manifests/manifest_record.h"

namespace knarr::server {

class ManifestApplier {
 public:
  // The record lies beside the folder: "<folder>.json".
  ManifestApplier(base::Loop& loop, client::Client& client, std::string folder);
  Result<void> start();

 private:
  struct Step {
    std::string file;  // of an apply; empty: a delete
    ManifestRef ref;
    json::Value object;  // of an apply
  };
  void pass();
  void plan();
  void plan_deletes();
  void next_step();
  void done(const Step& step, const Result<ObjectRef>& answer);
  void failed(const std::string& file, const std::string& why);
  void finish_pass();
  void forget_leftovers();  // of the record: they are deleted

  base::Loop& loop_;
  client::Client& client_;
  std::string folder_path_;
  ManifestFolder folder_;
  ManifestRecord record_;
  std::unique_ptr<Timer> retry_;
  std::map<std::string, std::string> applied_;  // file -> its text
  std::map<std::string, std::string> told_;     // file -> the error that was logged last
  bool running_ = false, again_ = false;
  int failures_ = 0;  // passes in a row that did not get everything done

  // Of the pass that runs.
  std::map<std::string, ManifestFile> files_;
  std::map<std::string, std::vector<ManifestRef>> wanted_;  // by file, of those that can be read
  std::set<std::string> failed_;                            // files
  std::deque<Step> steps_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::server
