#include "cli/join_token_file.h"

#include <filesystem>

#include "base/base64.h"
#include "base/file.h"
#include "knarr/names.h"
#include "temp_dir.h"
#include "unit/http/api_cluster.h"

using namespace knarr;
using namespace knarr::cli;

TEST_CASE("the server's join token is as it is wanted, and outlives its Secret") {
  server::Cluster c;
  test::TempDir dir;
  auto client = c.api.local_client("knarr");
  const std::string secrets = "/api/v1/namespaces/kube-system/secrets/";
  auto token = [&] {
    auto text =
        base::base64_decode(c.call("GET", secrets + kJoinTokenSecret)["data"]["token"].as_string());
    return text.ok() ? *text : std::string();
  };
  {
    JoinTokenFile made(c.loop, *client, c.random, {dir.path(), "", "authority"});
    CHECK_FALSE(made.stored());
    REQUIRE(c.loop.run_until([&] { return made.stored(); }, 5000));
    std::string before = token();
    CHECK(before.size() == 32);
    c.call("DELETE", secrets + kJoinTokenSecret);
    auto there = [&] { return c.begin("GET", secrets + kJoinTokenSecret)->status_ == 200; };
    REQUIRE(c.loop.run_until(there, 5000));
    CHECK(token() == before);
  }
  JoinTokenFile wanted(c.loop, *client, c.random, {dir.path(), "s3cret", "authority"});
  REQUIRE(c.loop.run_until([&] { return wanted.stored(); }, 5000));
  CHECK(token() == "s3cret");
  CHECK(base::read_file(dir.path() + "/token")->ends_with("::server:s3cret\n"));
}

TEST_CASE("the token's other name is put right at each start") {
  server::Cluster c;
  test::TempDir dir;
  auto client = c.api.local_client("knarr");
  std::string link = dir.path() + "/node-token";
  auto start = [&] {
    JoinTokenFile file(c.loop, *client, c.random, {dir.path(), "s3cret", "authority"});
    REQUIRE(c.loop.run_until([&] { return file.stored(); }, 5000));
    CHECK(std::filesystem::read_symlink(link) == "token");
    CHECK(base::read_file(link)->ends_with("::server:s3cret\n"));
  };
  start();
  std::filesystem::remove(link);
  start();
  std::filesystem::remove(link);
  std::filesystem::create_symlink("elsewhere", link);
  std::filesystem::create_symlink("left over", link + ".new");
  start();
  CHECK_FALSE(std::filesystem::exists(std::filesystem::symlink_status(link + ".new")));
}
