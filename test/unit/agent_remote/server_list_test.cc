#include "agent/remote/server_list.h"

#include <catch2/catch.hpp>

#include "agent/remote/server_watch.h"
#include "base/file.h"
#include "temp_dir.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

using Urls = std::vector<std::string>;

std::string told(const json::Value& slice) {
  std::string text;
  for (const std::string& url : server_urls(slice)) text += url + " ";
  return text;
}

ObjectRef slice(const char* name, const std::string& addresses, const char* type = "IPv4") {
  auto object = std::make_shared<Object>();
  object->name = {"default", name};
  object->json = std::string(R"({"addressType":")") + type +
                 R"(","ports":[{"name":"https","port":6443}],"endpoints":[)" + addresses + "]}";
  return object;
}

struct FakeApi final : client::Client {
  void call(client::Request, client::Reply) override {}
  std::unique_ptr<client::Watch> watch(client::WatchTarget, client::WatchHandler&) override {
    return nullptr;
  }
};

}  // namespace

TEST_CASE("what is learnt stands behind what was told, and is there at the next start") {
  test::TempDir dir;
  std::string file = dir.path() + "/servers";
  ServerBook book({"https://told:1"}, file);
  CHECK(book.urls() == Urls{"https://told:1"});
  book.learn({"https://a:1", "https://told:1"});
  CHECK(book.urls() == Urls{"https://told:1", "https://a:1"});
  book.learn({"https://b:1"});
  CHECK(book.urls() == Urls{"https://told:1", "https://b:1"});
  CHECK(ServerBook({"https://other:1"}, file).urls() == Urls{"https://other:1", "https://b:1"});
  REQUIRE(base::write_file(file, "http://x:1\n\nnonsense\nhttps://c:1\nhttps://cut").ok());
  CHECK(ServerBook({"https://told:1"}, file).urls() == Urls{"https://told:1", "https://c:1"});
}

TEST_CASE("a server that fails is left for the next, those learnt meanwhile too") {
  auto book = std::make_shared<ServerBook>(Urls{"a", "b"});
  ServerList list(book);
  CHECK(list.current() == "a");
  list.failed("b", 0);
  CHECK(list.current() == "a");
  list.failed("a", 0);
  list.failed("a", 0);  // said by many
  CHECK(list.current() == "b");
  book->learn({"c"});
  list.failed("b", 0);
  CHECK(list.current() == "c");
  book->learn({"d"});
  CHECK(list.current() == "c");  // as long as it answers
  list.failed("c", 0);
  CHECK(list.current() == "a");
}

TEST_CASE("a server that was there is asked for a while longer") {
  ServerList list{"a", "b"};
  list.answered("b");  // late, by somebody else
  list.answered("a");
  list.failed("a", 10000);
  list.failed("a", 14000);
  CHECK(list.current() == "a");
  list.answered("a");
  list.failed("a", 20000);
  list.failed("a", 24999);
  CHECK(list.current() == "a");
  list.failed("a", 25000);
  CHECK(list.current() == "b");
  list.failed("b", 25001);
  list.failed("a", 25002);
  CHECK(list.current() == "b");
}

TEST_CASE("a server's addresses are those of the service's endpoints") {
  struct Case {
    const char *slice, *want;
  };
  const Case cases[] = {
      {R"({"addressType":"IPv4","ports":[{"name":"https","port":6443}],"endpoints":[
          {"addresses":["10.0.0.1"],"conditions":{"ready":true}},{"addresses":["10.0.0.2"]},
          {"addresses":["10.0.0.3"],"conditions":{"ready":false}},{"addresses":[]}]})",
       "https://10.0.0.1:6443 https://10.0.0.2:6443 "},
      {R"({"addressType":"IPv6","ports":[{"name":"https","port":7}],"endpoints":[
          {"addresses":["fd00::1"]}]})",
       "https://[fd00::1]:7 "},
      {R"({"addressType":"IPv4","ports":[{"name":"other","port":7}],"endpoints":[
          {"addresses":["10.0.0.1"]}]})",
       ""},
      {R"({"addressType":"FQDN","ports":[{"name":"https","port":7}],"endpoints":[
          {"addresses":["x.example"]}]})",
       ""},
      {"{}", ""},
  };
  for (const Case& c : cases) {
    INFO(c.slice);
    CHECK(told(*json::parse(c.slice)) == c.want);
  }
}

TEST_CASE("servers are learnt from the cluster, and not forgotten when it names none") {
  FakeApi api;
  auto book = std::make_shared<ServerBook>(Urls{"https://told:1"});
  ServerWatch watch(api, book);
  watch.on_upsert(slice("v4", R"({"addresses":["10.0.0.1"]})"));
  CHECK(book->urls().size() == 1);  // not whole yet
  watch.on_upsert(slice("v6", R"({"addresses":["fd00::1"]})", "IPv6"));
  watch.on_synced();
  CHECK(book->urls() == Urls{"https://told:1", "https://10.0.0.1:6443", "https://[fd00::1]:6443"});
  watch.on_upsert(slice("v4", R"({"addresses":["10.0.0.9"]})"));
  watch.on_delete(slice("v6", ""));
  CHECK(book->urls() == Urls{"https://told:1", "https://10.0.0.9:6443"});
  watch.on_upsert(slice("v4", ""));
  CHECK(book->urls() == Urls{"https://told:1", "https://10.0.0.9:6443"});
}
