#include <catch2/catch.hpp>

#include "net/bytes.h"
#include "net/gzip.h"
#include "net/headers.h"
#include "net/url.h"

using namespace knarr;
using namespace knarr::net;

TEST_CASE("buffers are cut and consumed without copying") {
  auto shared = std::make_shared<const std::string>("shared");
  Buffers b("one");
  b.append(Slice(shared));
  b.append(Slice::constant(""));
  CHECK(b.size() == 9);
  Buffers front = b.take(5);
  CHECK(front.text() == "onesh");
  CHECK(b.text() == "ared");
  CHECK(b.begin()->view().data() == shared->data() + 2);
  b.consume(4);
  CHECK(b.empty());
  CHECK(b.begin() == b.end());
}

TEST_CASE("headers: order, case, tokens") {
  Headers h{{"Accept", "a"}, {"X", "1"}, {"accept", "b"}, {"Connection", "keep-alive, Upgrade"}};
  CHECK(h.get("ACCEPT") == "a");
  CHECK(h.all("accept").size() == 2);
  CHECK(h.has_token("connection", "upgrade"));
  CHECK_FALSE(h.has_token("connection", "grade"));
  h.set("accept", "c");
  CHECK(h.all("accept") == std::vector<std::string_view>{"c"});
  CHECK(h[0].name == "X");
}

TEST_CASE("percent coding and queries as Go has them") {
  CHECK(*percent_decode("a%2Fb+c%41") == "a/b+cA");
  CHECK(*percent_decode("a+b", true) == "a b");
  for (const char* bad : {"%", "%4", "%zz", "a%4"}) CHECK_FALSE(percent_decode(bad).ok());
  CHECK(percent_encode_path("a/b c:d") == "a%2Fb%20c:d");
  CHECK(percent_encode_query("a b&c=d/") == "a+b%26c%3Dd%2F");
  Query q = Query::parse("a=1&b=%7E&a=2&bad=%z&x;y=1&flag&=e");
  CHECK(q.all("a") == std::vector<std::string_view>{"1", "2"});
  CHECK(q.get("b") == "~");
  CHECK(q.has("flag"));
  CHECK_FALSE(q.has("bad"));
  CHECK(q.text() == "a=1&b=~&a=2&flag=&=e");
}

TEST_CASE("URLs") {
  struct Case {
    const char* text;
    const char* host;
    int port;
    const char* path;
    const char* query;
  };
  for (const Case& c :
       {Case{"https://h", "h", 443, "/", ""}, Case{"http://h:80/a?b=c#d", "h", 80, "/a", "b=c"},
        Case{"https://[fd00::1]:6443/x", "fd00::1", 6443, "/x", ""},
        Case{"http://h?q", "h", 80, "/", "q"}}) {
    auto url = parse_url(c.text);
    REQUIRE(url.ok());
    CHECK(url->host == c.host);
    CHECK(url->port == c.port);
    CHECK(url->path == c.path);
    CHECK(url->query == c.query);
  }
  for (const char* bad : {"", "ftp://h", "http://", "http://h:99999", "http://h:x", "http://[::1",
                          "http://u@h/", "http://h/a b", "http://h\r\n/"}) {
    CHECK_FALSE(parse_url(bad).ok());
  }
  CHECK(join_path("/a/", "/b") == "/a/b");
}

TEST_CASE("gzip: who accepts it, there and back, limits") {
  struct Case {
    const char* value;
    bool accepted;
  };
  for (const Case& c : {Case{"gzip", true}, Case{"deflate, gzip;q=0.5", true},
                        Case{"gzip;q=0", false}, Case{"gzip; q=0.0", false}, Case{"br", false}}) {
    CHECK(accepts_gzip(Headers{{"Accept-Encoding", c.value}}) == c.accepted);
  }
  Buffers body(std::string(100000, 'a'));
  body.append(Slice::constant("end"));
  std::string packed = gzip(body);
  CHECK(packed.size() < 1000);
  CHECK(*gunzip(packed, 200000) == body.text());
  CHECK(gunzip(packed, 1000).error().code == Code::kRequestEntityTooLarge);
  CHECK_FALSE(gunzip(packed.substr(0, 50), 200000).ok());
  CHECK_FALSE(gunzip("junk", 100).ok());
}
