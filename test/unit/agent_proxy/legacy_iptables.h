// iptables-legacy for a test.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/run_process.h"
#include "temp_dir.h"

namespace knarr::agent {

// What is called iptables is iptables-legacy meanwhile.
class LegacyIptables {
 public:
  LegacyIptables() {
    for (const char* name : {"iptables-save", "iptables-restore"}) {
      std::string legacy = name;
      legacy.insert(legacy.find('-'), "-legacy");
      std::filesystem::create_symlink(base::find_program(legacy), folder_.path() + "/" + name);
    }
    setenv("PATH", (folder_.path() + ":" + before_).c_str(), 1);
  }
  ~LegacyIptables() { setenv("PATH", before_.c_str(), 1); }

 private:
  test::TempDir folder_;
  std::string before_ = getenv("PATH");
};

}  // namespace knarr::agent
