#include "cli/option_check.h"

#include <catch2/catch.hpp>

using namespace knarr;
using namespace knarr::cli;

namespace {

std::string said(const std::function<void(ServerOptions&)>& change) {
  ServerOptions o;
  o.node_name = "node1";
  o.node_ip = o.advertise_address = "192.0.2.1";
  o.bind_address = "0.0.0.0";
  o.cluster_dns = "10.43.0.10";
  change(o);
  Result<void> checked = check_options(o);
  return checked.ok() ? "" : checked.error().message;
}

}  // namespace

TEST_CASE("what a server cannot start with is named") {
  using O = ServerOptions;
  struct Row {
    std::function<void(O&)> change;
    std::string said;
  };
  const Row rows[] = {
      {[](O&) {}, ""},
      {[](O& o) { o.https_listen_port = 0; }, "--https-listen-port: 0: not a port"},
      {[](O& o) { o.kubelet_port = 70000; }, "--kubelet-port: 70000: not a port"},
      {[](O& o) { o.node_ip = "here"; }, "--node-ip: here: not an IP address"},
      {[](O& o) { o.cluster_cidr = "10.0.0.0/99"; },
       "--cluster-cidr: 10.0.0.0/99: not a CIDR, as in 10.0.0.0/16"},
      {[](O& o) { o.cluster_cidr = "10.42.1.0/16"; },
       "--cluster-cidr: 10.42.1.0/16: has bits beyond its prefix; the network is 10.42.0.0"},
      {[](O& o) { o.cluster_cidr = "10.42.0.0/28"; },
       "--cluster-cidr: 10.42.0.0/28: too small: at most /24 is"},
      {[](O& o) {
         o.cluster_cidr = "10.42.0.0/16,fd00:42::/56";
         o.service_cidr = "10.43.0.0/16,fd00:43::/112";
         o.node_ip = "192.0.2.1,2001:db8::1";
       },
       ""},
      {[](O& o) { o.cluster_cidr = "10.42.0.0/16,fd00:42::/56"; },
       "--service-cidr: 10.43.0.0/16: must have the IP families of --cluster-cidr "
       "10.42.0.0/16,fd00:42::/56"},
      {[](O& o) { o.cluster_cidr = "10.42.0.0/16,10.44.0.0/16"; },
       "--cluster-cidr: 10.42.0.0/16,10.44.0.0/16: a range, or one of each IP family"},
      {[](O& o) { o.cluster_cidr = "10.42.0.0/16,fd00:42::/65"; },
       "--cluster-cidr: fd00:42::/65: too small: at most /64 is"},
      {[](O& o) { o.node_ip = "192.0.2.1,192.0.2.2"; },
       "--node-ip: 192.0.2.1,192.0.2.2: an address, or one of each IP family"},
      {[](O& o) { o.node_cidr_mask_size_ipv6 = 200; },
       "--node-cidr-mask-size-ipv6: 200: not between 8 and 126"},
      {[](O& o) { o.advertise_address = "2001:db8::1"; },
       "--advertise-address: 2001:db8::1: must be an IPv4 address, as the first --service-cidr "
       "is"},
      {[](O& o) { o.cluster_cidr = "10.0.0.0/8"; },
       "--service-cidr: 10.43.0.0/16: overlaps --cluster-cidr 10.0.0.0/8"},
      {[](O& o) { o.cluster_dns = "10.44.0.10"; },
       "--cluster-dns: 10.44.0.10: not within --service-cidr 10.43.0.0/16"},
      {[](O& o) { o.node_name = "Not A Name"; },
       "--node-name: Not A Name: must be lower case letters, digits, '-' and '.', as names of "
       "machines are"},
      {[](O& o) { o.node_label = {"shelf"}; }, "--node-label: shelf: not a label: KEY=VALUE"},
      {[](O& o) {
         o.node_label = {"a/b=c", "shelf=up"};
       },
       ""},
      {[](O& o) { o.bridge = "a-name-that-is-long"; },
       "--bridge: a-name-that-is-long: names of links have 1 to 15 bytes"},
  };
  for (const Row& row : rows) CHECK(said(row.change) == row.said);
}

TEST_CASE("a node that joins may not give itself every label") {
  NodeOptions o;
  o.node_name = "n";
  struct Row {
    const char* label;
    bool good;
  };
  const Row rows[] = {
      {"disk=ssd", true},
      {"example.com/disk=ssd", true},
      {"topology.kubernetes.io/zone=a", true},
      {"kubernetes.io/hostname=x", true},
      {"node.kubernetes.io/anything=x", true},
      {"x.kubelet.kubernetes.io/y=z", true},
      {"svccontroller.knarr.io/enablelb=true", true},
      {"node-restriction.kubernetes.io/team=a", false},
      {"x.node-restriction.kubernetes.io/team=a", false},
      {"node-role.kubernetes.io/worker=", false},
      {"kubernetes.io/role=x", false},
      {"x.k8s.io/y=z", false},
      {"notk8s.io/y=z", true},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    o.node_label = {row.label};
    CHECK(check_own_labels(o).ok() == row.good);
  }
  o.node_label = {"kubernetes.io/role=x"};
  CHECK(check_own_labels(o).error().message ==
        "--node-label: kubernetes.io/role=x: a node may not give itself this label: run `kubectl "
        "label node n kubernetes.io/role=x` once it has joined");
}

TEST_CASE("tokens and addresses of a server are taken in the forms they come in") {
  auto read = [](const std::vector<std::string>& args, ServerOptions& o) {
    FlagSet flags = server_flags(o);
    Result<void> done = read_server_options(args, flags, o);
    return done.ok() ? "" : done.error().message;
  };
  std::vector<std::string> args = {"--node-name=n", "--node-ip=2001:DB8:0:0::5", "--token", ""};
  ServerOptions o;
  args[3] = "K10" + std::string(64, 'a') + "::server:s3cret";
  CHECK(read(args, o) == "");
  CHECK(o.token == "s3cret");
  CHECK(o.node_ip == "2001:db8::5");
  CHECK(o.cluster_cidr == "fd00:42::/56");
  CHECK(o.cluster_dns == "fd00:43::a");
  CHECK(o.bind_address == "::");
  CHECK(o.advertise_address == "2001:db8::5");
  ServerOptions two;
  CHECK(read({"--node-name=n", "--node-ip=192.0.2.1", "--node-ip=2001:db8::5",
              "--cluster-cidr=10.42.0.0/16,fd00:42::/56", "--service-cidr", "10.43.0.0/16",
              "--service-cidr", "fd00:43::/112"},
             two) == "");
  CHECK(two.node_ip == "192.0.2.1,2001:db8::5");
  CHECK(two.service_cidr == "10.43.0.0/16,fd00:43::/112");
  CHECK(two.advertise_address == "192.0.2.1");
  CHECK(two.cluster_dns == "10.43.0.10");
  ServerOptions other;
  args[3] = "abcdef.0123456789abcdef";
  CHECK(read(args, other) == "");
  CHECK(other.token == "abcdef.0123456789abcdef");
  ServerOptions bad;
  args[3] = "a b";
  CHECK(read(args, bad) == "--token: has spaces or letters outside ASCII");
}
