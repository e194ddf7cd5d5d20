// Long bodies, piece by piece: no faster than the peer takes them, and whole in every form.

#include "api/codec/yaml.h"
#include "api/protobuf/protobuf.h"
#include "net/gzip.h"
#include "server/http/body.h"
#include "unit/http/api_cluster.h"

using namespace knarr;
using namespace knarr::server;

namespace {

constexpr size_t kPieceBytes = 200 * 1024;

// A body of so many pieces; tells how many were asked for, and whether it is held still.
struct Pieces {
  int left;
  int given = 0;
  std::shared_ptr<int> held = std::make_shared<int>(0);

  BodySource source() {
    return [this, alive = held](size_t) {
      if (left == 0) return net::Buffers();
      left--;
      given++;
      return net::Buffers(std::string(kPieceBytes, static_cast<char>('a' + given)));
    };
  }
};

void turn(base::Loop& loop, int times = 5) {
  for (int i = 0; i < times; i++) uv_run(loop.uv(), UV_RUN_NOWAIT);
}

}  // namespace

TEST_CASE("a body waits for a peer that takes no more") {
  base::Loop loop;
  auto exchange = std::make_shared<FakeExchange>();
  Pieces body{6};
  exchange->full_ = true;
  send_body(exchange, 200, {}, body.source(), loop);
  CHECK(body.given == 2);  // one to know that it is long, one that there is more
  turn(loop);
  CHECK(body.given == 2);
  exchange->drain();
  CHECK(body.given == 3);
  turn(loop);
  CHECK(body.given == 3);
  exchange->full_ = false;
  exchange->drain();
  REQUIRE(loop.run_until([&] { return !exchange->open(); }, 5000));
  CHECK(body.given == 6);
  CHECK(exchange->body_.size() == 6 * kPieceBytes);
  CHECK(exchange->body_.back() == 'g');
  turn(loop);
  CHECK(body.held.use_count() == 1);
}

TEST_CASE("nothing more is made for a peer that has gone") {
  for (bool full : {true, false}) {
    base::Loop loop;
    auto exchange = std::make_shared<FakeExchange>();
    Pieces body{6};
    exchange->full_ = full;
    send_body(exchange, 200, {}, body.source(), loop);
    exchange->go_away();
    turn(loop);
    CHECK(body.given == 2);
    CHECK(body.held.use_count() == 1);
  }
}

TEST_CASE("a body that proves short has a length") {
  base::Loop loop;
  for (int pieces : {0, 1}) {
    auto exchange = std::make_shared<FakeExchange>();
    Pieces body{pieces};
    send_body(exchange, 200, {}, body.source(), loop);
    CHECK(!exchange->open());
    CHECK(exchange->body_.size() == static_cast<size_t>(pieces) * kPieceBytes);
  }
}

TEST_CASE("small pieces make one body") {
  base::Loop loop;
  auto exchange = std::make_shared<FakeExchange>();
  int left = 10;
  auto source = [&left](size_t) {
    return left-- > 0 ? net::Buffers(std::string("piece")) : net::Buffers();
  };
  send_body(exchange, 200, {}, source, loop);
  CHECK(exchange->body_.size() == 50);
}

TEST_CASE("a list is the same list in every form, short or long") {
  for (int count : {0, 2, 250}) {
    Cluster c;
    INFO(count);
    for (int i = 0; i < count; i++) {
      c.call("POST", kMaps,
             R"({"metadata":{"name":"m)" + std::to_string(1000 + i) + R"("},"data":{"k":")" +
                 std::string(1000, 'x') + R"("}})");
      REQUIRE(c.status == 201);
    }
    auto list = [&c](std::string accept, const char* query = "") {
      auto exchange = c.begin("GET", kMaps + query, "", {{"Accept", std::move(accept)}});
      REQUIRE(c.loop.run_until([&] { return !exchange->open(); }, 5000));
      CHECK(exchange->status_ == 200);
      return exchange->body_;
    };
    Result<json::Value> plain = json::parse(list("application/json"));
    REQUIRE(plain.ok());
    auto size = static_cast<size_t>(count);
    REQUIRE((*plain)["items"].size() == size);
    CHECK((*plain)["items"].is_array());

    std::string text = list("application/yaml");
    CHECK(text == api::write_yaml(*plain));

    Result<json::Value> binary =
        api::decode_protobuf(list("application/vnd.kubernetes.protobuf"), {});
    REQUIRE(binary.ok());
    CHECK((*binary)["metadata"]["resourceVersion"] == (*plain)["metadata"]["resourceVersion"]);
    CHECK((*binary)["items"].size() == size);

    const std::string partial = ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    Result<json::Value> metadata = json::parse(list("application/json" + partial));
    REQUIRE(metadata.ok());
    Result<json::Value> binary_metadata =
        api::decode_protobuf(list("application/vnd.kubernetes.protobuf" + partial), {});
    REQUIRE(binary_metadata.ok());
    CHECK((*metadata)["items"].is_array() == (count > 0));
    CHECK((*metadata)["items"].size() == size);
    CHECK((*binary_metadata)["items"].size() == size);

    const std::string table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    Result<json::Value> rows = json::parse(list(table));
    REQUIRE(rows.ok());
    CHECK((*rows)["columnDefinitions"].size() == 3);
    CHECK((*rows)["rows"].is_array());
    REQUIRE((*rows)["rows"].size() == size);
    Result<json::Value> whole = json::parse(list(table, "?includeObject=Object"));
    REQUIRE(whole.ok());
    for (size_t i = 0; i < size; i++) {
      const json::Value& object = (*plain)["items"][i];
      CHECK((*binary)["items"][i]["data"] == object["data"]);
      CHECK((*metadata)["items"][i]["metadata"] == object["metadata"]);
      CHECK((*binary_metadata)["items"][i]["metadata"]["uid"] == object["metadata"]["uid"]);
      CHECK((*rows)["rows"][i]["cells"][0] == object["metadata"]["name"]);
      CHECK((*rows)["rows"][i]["object"]["metadata"] == object["metadata"]);
      CHECK((*whole)["rows"][i]["object"]["data"] == object["data"]);
    }
  }
}
