#include "runtime/image/tar_reader.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "archive.h"

using namespace knarr;
using namespace knarr::runtime;

namespace {

// Names, sizes and data of all entries; or the error.
std::string show(std::string bytes) {
  Result<std::unique_ptr<ByteSource>> source = decompressed(string_source(std::move(bytes)));
  if (!source.ok()) return source.error().message;
  TarReader reader(**source);
  std::string out;
  for (;;) {
    TarEntry entry;
    Result<bool> any = reader.next(entry);
    if (!any.ok()) return out + any.error().message;
    if (!*any) return out;
    out += entry.path + "|" + entry.link + "|" + std::to_string(entry.size) + "|";
    for (const TarEntry::Run& run : entry.runs) {
      out += std::to_string(run.offset) + "+" + std::to_string(run.length) + " ";
    }
    char buffer[7];
    for (;;) {
      Result<size_t> got = reader.read(buffer, sizeof buffer);
      if (!got.ok()) return out + got.error().message;
      if (*got == 0) break;
      out.append(buffer, *got);
    }
    out += "\n";
  }
}

std::string block(std::string text) {
  text.resize((text.size() + 511) / 512 * 512);
  return text;
}

}  // namespace

TEST_CASE("entries come in order with their data") {
  std::string tar = TarWriter().directory("d/").file("d/f", "hello").symlink("l", "d/f").finish();
  std::string want = "d/||0|\nd/f||5|hello\nl|d/f|0|\n";
  CHECK(show(tar) == want);
  CHECK(show(gzip(tar)) == want);
  CHECK(show(zstd(tar)) == want);
  CHECK(show(gzip(tar.substr(0, 700)) + gzip(tar.substr(700))) == want);
  CHECK(show(zstd(tar.substr(0, 700)) + zstd(tar.substr(700))) == want);
  CHECK(show("") == "");
}

TEST_CASE("long names and pax records") {
  std::string name = std::string(90, 'a') + "/" + std::string(200, 'b');
  CHECK(show(TarWriter().file(name, "x").finish()) == name + "||1|x\n");
  TarWriter::Options options;
  options.pax["SCHILY.xattr.user.x"] = std::string("a\0b", 3);
  options.pax["mtime"] = "1700000000.25";
  options.pax["uid"] = "3000000";
  std::string tar = TarWriter().file("f", "x", options).finish();
  auto source = string_source(tar);
  TarReader reader(*source);
  TarEntry entry;
  REQUIRE(reader.next(entry).value());
  CHECK(entry.xattrs["user.x"] == std::string("a\0b", 3));
  CHECK(entry.mtime_ns == 1700000000250000000);
  CHECK(entry.uid == 3000000);
}

TEST_CASE("GNU long names") {
  std::string name(150, 'n');
  TarWriter tar;
  tar.entry('L', "././@LongLink", name + std::string(1, 0), {});
  tar.file("short", "x");
  CHECK(show(tar.finish()) == name + "||1|x\n");
}

TEST_CASE("sparse files") {
  std::string want = "s||1000|0+2 500+3 abcde\n";
  TarWriter::Options options;
  options.pax = {{"GNU.sparse.major", "1"},
                 {"GNU.sparse.minor", "0"},
                 {"GNU.sparse.name", "s"},
                 {"GNU.sparse.realsize", "1000"}};
  CHECK(show(TarWriter().file("x", block("2\n0\n2\n500\n3\n") + "abcde", options).finish()) ==
        want);
  options.pax = {
      {"GNU.sparse.map", "0,2,500,3"}, {"GNU.sparse.name", "s"}, {"GNU.sparse.size", "1000"}};
  CHECK(show(TarWriter().file("x", "abcde", options).finish()) == want);
  for (const char* map : {"0,2,1,3", "0,2,999,3", "0,9", "0", "a,b", "-1,5", "0,-5,0,10"}) {
    INFO(map);
    options.pax["GNU.sparse.map"] = map;
    CHECK(show(TarWriter().file("x", "abcde", options).finish()).find("archive/tar:") == 0);
  }
}

TEST_CASE("damaged and hostile archives are refused") {
  std::string tar = TarWriter().file("file", std::string(2000, 'x')).finish();
  CHECK(show(tar.substr(0, 900)).find("unexpected EOF") != std::string::npos);
  CHECK(show(tar.substr(0, 300)) == "archive/tar: unexpected EOF");
  std::string flipped = tar;
  flipped[10] = 'y';
  CHECK(show(flipped) == "archive/tar: invalid tar header");
  CHECK(show(std::string(512, 'a')) == "archive/tar: invalid tar header");
  CHECK(show(gzip(tar).substr(0, 60)).find("gzip: unexpected EOF") != std::string::npos);
  CHECK(show(zstd(tar).substr(0, 20)).find("zstd: unexpected EOF") != std::string::npos);
  CHECK(show("\x1f\x8bgarbage").find("gzip") != std::string::npos);
  TarWriter::Options nul;
  nul.pax["path"] = std::string("..\0x", 4);
  CHECK(show(TarWriter().file("f", "", nul).finish()) == "archive/tar: NUL in a name");
  for (const char* record : {"5 a=", "99999999999999999999 a=b\n", "9 a=b\n", "6 =bc\n", "x"}) {
    INFO(record);
    TarWriter bad;
    bad.entry('x', "pax", record, {}).file("f", "");
    CHECK(show(bad.finish()).find("archive/tar: invalid") == 0);
  }
}
