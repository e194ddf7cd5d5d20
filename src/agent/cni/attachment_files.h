// What CNI plug-ins have attached, on disk, a file a sandbox: with what they were told, so that DEL
// gets the same from the next process, whatever the configuration is then. A file is there from
// before the first ADD until every DEL has succeeded. Small files, written on the loop thread.
//
// Of a file that can't be read (a disk that lies, an older knarr) the sandbox is still known, by
// its name: it is detached with what is known of it.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "agent/cni/request.h"

namespace knarr::agent {

struct CniRecord {
  CniConfig config;  // without plug-ins: not known
  CniAttachment attachment;
  std::string netns_id;  // tells the namespace from a later one with its path
  json::Value result;    // null until ADD has succeeded
};

// Empty when the path leads to none.
std::string netns_identity(const std::string& path);

json::Value write_record(const CniRecord& record);
Result<CniRecord> read_record(const json::Value& value);

class AttachmentFiles {
 public:
  explicit AttachmentFiles(std::string folder) : folder_(std::move(folder)) {}

  // By sandbox. What can't be read is logged.
  std::map<std::string, CniRecord> load() const;
  Result<void> keep(const CniRecord& record) const;
  void forget(const std::string& sandbox_id) const;

 private:
  std::string folder_;
};

}  // namespace knarr::agent
