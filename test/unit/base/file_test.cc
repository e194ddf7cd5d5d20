#include "base/file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>

using namespace knarr::base;

TEST_CASE("a file is replaced whole, with its mode") {
  char folder[] = "/tmp/knarr-file-XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr);
  std::string deep = std::string(folder) + "/a/b";
  REQUIRE(make_dirs(deep).ok());
  REQUIRE(make_dirs(deep).ok());
  std::string path = deep + "/secret";
  REQUIRE(write_file(path, "one", 0600).ok());
  REQUIRE(write_file(path, "two", 0600).ok());
  CHECK(*read_file(path) == "two");
  struct stat st;
  REQUIRE(stat(path.c_str(), &st) == 0);
  CHECK((st.st_mode & 0777) == 0600);
  CHECK(read_file(deep + "/none").error().code == knarr::Code::kNotFound);
  CHECK_FALSE(write_file(deep + "/no/such/folder", "x").ok());
  CHECK(sync_folder_of(path).ok());
  CHECK(sync_folder_of("name-alone").ok());
  CHECK_FALSE(sync_folder_of(deep + "/no/such/file").ok());
  unlink(path.c_str());
  rmdir(deep.c_str());
  rmdir((std::string(folder) + "/a").c_str());
  rmdir(folder);
}
