#include "runtime/image/content.h"

#include <unistd.h>

#include <catch2/catch.hpp>

#include "archive.h"

using namespace knarr;
using namespace knarr::runtime;

TEST_CASE("digests and chains") {
  CHECK(digest_of("") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(is_digest(digest_of("x")));
  CHECK(!is_digest("sha256:" + std::string(64, 'A')));
  CHECK(!is_digest("sha256:abc"));
  CHECK(!is_digest("sha512:" + std::string(64, 'a')));
  std::string a = digest_of("a");
  std::string b = digest_of("b");
  CHECK(chain_id("", a) == a);
  CHECK(chain_id(a, b) == digest_of(a + " " + b));
}

TEST_CASE("a blob exists once its bytes are verified") {
  TempDir dir;
  ContentStore store(dir.path());
  REQUIRE(store.open().ok());
  std::string digest = digest_of("hello world");
  CHECK(!store.has(digest));
  {
    Ingest ingest = store.ingest(digest).value();
    REQUIRE(ingest.append("hello ").ok());
  }
  CHECK(!store.has(digest));
  Ingest again = store.ingest(digest).value();
  CHECK(again.offset() == 6);
  REQUIRE(again.append("world").ok());
  REQUIRE(again.commit().ok());
  CHECK(store.size(digest) == 11);
  CHECK(store.read(digest, 100).value() == "hello world");

  Ingest wrong = store.ingest(digest_of("right")).value();
  REQUIRE(wrong.append("wrong").ok());
  CHECK(wrong.commit().error().code == Code::kInvalid);
  CHECK(!store.has(digest_of("right")));
  CHECK(store.ingest(digest_of("right"))->offset() == 0);
}

TEST_CASE("a damaged blob is not believed") {
  TempDir dir;
  ContentStore store(dir.path());
  REQUIRE(store.open().ok());
  std::string digest = digest_of("abc");
  REQUIRE(store.put(digest, "abc").ok());
  write_test_file(store.blob_path(digest), "abd");
  CHECK(!store.read(digest, 100).ok());
}

TEST_CASE("collection spares what is kept or leased") {
  TempDir dir;
  ContentStore store(dir.path());
  REQUIRE(store.open().ok());
  std::string a = digest_of("a"), b = digest_of("b"), c = digest_of("c");
  REQUIRE(store.put(a, "a").ok());
  REQUIRE(store.put(b, "b").ok());
  REQUIRE(store.put(c, "c").ok());
  {
    LeaseSet leases(store.leases());
    leases.take(b);
    REQUIRE(store.collect([&](const std::string& digest) { return digest == a; }).ok());
  }
  CHECK(store.has(a));
  CHECK(store.has(b));
  CHECK(!store.has(c));
  REQUIRE(store.collect([&](const std::string& digest) { return digest == a; }).ok());
  CHECK(!store.has(b));
}

TEST_CASE("unnamed ingests of a crash are swept away") {
  TempDir dir;
  ContentStore store(dir.path());
  REQUIRE(store.open().ok());
  {
    Ingest ingest = store.ingest_unnamed().value();
    REQUIRE(ingest.append("x").ok());
  }
  CHECK(access((dir / "ingest/unnamed-1").c_str(), F_OK) == 0);
  ContentStore after(dir.path());
  REQUIRE(after.open().ok());
  CHECK(access((dir / "ingest/unnamed-1").c_str(), F_OK) != 0);
}
