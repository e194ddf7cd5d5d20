#include "agent/preload.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.h"
#include "temp_dir.h"

using namespace knarr;
using namespace knarr::agent;

TEST_CASE("which files are archives of images") {
  for (const char* name : {"a.tar", "a.tar.gz", "a.tgz", "a.tar.zst", "b.c.tzst"}) {
    CHECK(is_image_archive(name));
  }
  for (const char* name : {"images.json", ".a.tar", "a.tar.part", "content", "a.zip", "tar"}) {
    CHECK_FALSE(is_image_archive(name));
  }
}

TEST_CASE("archives are listed with what tells a changed one") {
  knarr::test::TempDir dir;
  const std::string& folder = dir.path();
  REQUIRE(base::write_file(folder + "/b.tar", "1234").ok());
  REQUIRE(base::write_file(folder + "/a.tgz", "1").ok());
  REQUIRE(base::write_file(folder + "/images.json", "{}").ok());
  std::filesystem::create_directory(folder + "/d.tar");
  auto files = archives_in(folder);
  REQUIRE(files.size() == 2);
  CHECK(files[0].name == "a.tgz");
  CHECK(files[1].size_bytes == 4);
  CHECK(files[1].changed_ns > 0);
  CHECK(archives_in(folder + "/none").empty());

  ImportRecord record;
  record["b.tar"] = {files[1], {"sha256:1", "sha256:2"}};
  ImportRecord back = parse_import_record(write_import_record(record));
  CHECK(back["b.tar"].file == files[1]);
  CHECK(back["b.tar"].images == record["b.tar"].images);
  CHECK(parse_import_record("damaged").empty());
}
