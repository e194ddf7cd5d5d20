"""Every feature of services, in IPv4 and IPv6, by iptables-nft and iptables-legacy, from pods of both
nodes, from the nodes and from outside."""
from harness import two_nodes
from harness.packets import Conversation, Row, check
from harness.two_nodes import BACKENDS, EDGE, FAMILIES, FLAGS, TwoNodes  # noqa: F401
from harness.cluster import NODE

table = {}
EXTERNAL = {"IPv4": "198.51.100.7", "IPv6": "2001:db8:1::7"}
BOTH = {"near", "far"}


def port(name, number, target=8080, protocol="TCP", **more):
    return {"name": name, "port": number, "targetPort": target, "protocol": protocol, **more}


def services(nodes):
    web, own = {"app": "web"}, nodes.ips["outside"]
    return {
        "cluster": {"selector": web, "ports": [port("http", 80)]},
        "ports": {"selector": web, "ports": [port("a", 81), port("b", 82, "http"), port("u", 83, protocol="UDP"),
                                             port("s", 84, protocol="SCTP")]},
        "nodes": {"type": "NodePort", "selector": web, "ports": [
            port("http", 80, nodePort=30080), port("u", 83, protocol="UDP", nodePort=30083)]},
        "outer": {"externalIPs": list(EXTERNAL.values()), "selector": web, "ports": [port("http", 90)]},
        "balanced": {"type": "LoadBalancer", "selector": web, "ports": [port("http", 8090)]},
        "limited": {"type": "LoadBalancer", "selector": web, "ports": [port("http", 8091)],
                    "loadBalancerSourceRanges": [own["IPv4"] + "/32", own["IPv6"] + "/128"]},
        "local": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "selector": {"name": "far"},
                  "ports": [port("http", 8092, nodePort=30092)], "healthCheckNodePort": 30093},
        "inner": {"internalTrafficPolicy": "Local", "selector": web, "ports": [port("http", 80)]},
        "sticky": {"sessionAffinity": "ClientIP", "selector": web, "ports": [port("http", 80)]},
        "mirror": {"selector": {"name": "near"}, "ports": [port("http", 80)]},
        "empty": {"type": "NodePort", "selector": {"app": "nobody"}, "ports": [port("http", 80, nodePort=30099)]},
        "manual": {"ports": [port("http", 80), port("u", 83, protocol="UDP")]},
        "headless": {"clusterIP": "None", "selector": web, "ports": [port("http", 80)]},
    }


def test_start(cluster):
    nodes = table["nodes"] = TwoNodes(cluster)
    edge_route = {"IPv4": ["ip", "route"], "IPv6": ["ip", "-6", "route"]}
    for family, words in edge_route.items():
        two_nodes.process.run([*nodes.outside.inside, *words, "add", EXTERNAL[family], "via", nodes.nodes[family][0]])
    http = [{"name": "http", "containerPort": 8080}]
    nodes.pods(("near", "default", NODE, {"app": "web", "name": "near"}, http),
               ("far", "default", EDGE, {"app": "web", "name": "far"}, [{"name": "http", "containerPort": 8081}]),
               ("asker", "default", NODE, {"app": "asker"}, []), ("remote", "default", EDGE, {"app": "remote"}, []))
    listening = ["tcp/8080", "tcp/8081", "udp/8080"] + (["sctp/8080"] if two_nodes.has_sctp() else [])
    for name in ("near", "far"):
        nodes.places[name].serve(*listening)
    nodes.outside.serve("tcp/8080")
    table["ips"] = {}
    for name, spec in services(nodes).items():
        made = nodes.make("/api/v1/namespaces/default/services", {
            "metadata": {"name": name}, "spec": {"ipFamilyPolicy": "RequireDualStack", **spec}})
        table["ips"][name] = {"IPv6" if ":" in ip else "IPv4": ip for ip in made["spec"]["clusterIPs"]}
    nodes.make("/api/v1/namespaces/default/services", {
        "metadata": {"name": "away"}, "spec": {"type": "ExternalName", "externalName": "web.example.org"}})
    slices({"near": (True, True)})


def slices(endpoints):
    """Of the service "manual": name -> (ready, serving); what is not ready is ending."""
    nodes = table["nodes"]
    for family in FAMILIES:
        nodes.apply("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/manual-" + family.lower(), {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
            "metadata": {"name": "manual-" + family.lower(), "labels": {"kubernetes.io/service-name": "manual"}},
            "ports": [{"name": "http", "port": 8080}, {"name": "u", "port": 8080, "protocol": "UDP"}],
            "endpoints": [{"addresses": [nodes.ips[name][family]], "conditions": {
                "ready": ready, "serving": serving, "terminating": not ready}}
                for name, (ready, serving) in endpoints.items()]})


def of_families(make, **how):
    """Checks the rows that make(family, ips of services, nodes' addresses) gives for each family."""
    check([row for family in FAMILIES for row in
           make(family, {name: ips.get(family) for name, ips in table["ips"].items()}, table["nodes"].nodes[family])],
          **how)


def seen_from(name, family):
    return {"%s %s" % (server, table["nodes"].ips[name][family]) for server in BOTH}


def cluster_ip(nodes, places):
    """Pods keep their address, also across nodes."""
    of_families(lambda family, ips, _: [
        *(Row(places[name], "tcp", ips["cluster"], 80, seen_from(name, family)) for name in ("asker", "remote")),
        *(Row(place, "tcp", ips["cluster"], 80, BOTH) for place in (nodes.host, nodes.edge))])


def pods_themselves(nodes, places):
    """By address, across nodes, also much at once; outside they are seen as their node."""
    of_families(lambda family, ips, own: [
        *(Row(places["asker"], kind, nodes.ips["far"][family], 8080, {"far"}) for kind in ("tcp", "udp", "bulk")),
        Row(places["remote"], "bulk", nodes.ips["near"][family], 8080, {"near"}),
        Row(places["asker"], "tcp", nodes.ips["outside"][family], 8080, {"outside " + own[0]}),
        Row(places["remote"], "tcp", nodes.ips["outside"][family], 8080, {"outside " + own[1]})])


def several_named_ports(nodes, places):
    kinds = [("tcp", 81), ("tcp", 82), ("udp", 83)] + ([("sctp", 84)] if two_nodes.has_sctp() else [])
    of_families(lambda family, ips, _: [Row(places["asker"], kind, ips["ports"], number, BOTH)
                                        for kind, number in kinds])


def node_port(nodes, places):
    of_families(lambda family, ips, own: [
        Row(place, kind, address, number, BOTH) for kind, number in (("tcp", 30080), ("udp", 30083))
        for place in (nodes.outside, places["asker"], nodes.host) for address in own])
    check([Row(place, "tcp", "127.0.0.1", 30080, BOTH) for place in (nodes.host, nodes.edge)])


def external_ips(nodes, places):
    of_families(lambda family, ips, _: [
        Row(place, "tcp", EXTERNAL[family], 90, BOTH) for place in (nodes.outside, places["asker"], places["remote"])])


def load_balancer(nodes, places):
    given = nodes.cluster.api.get("/api/v1/namespaces/default/services/balanced")["status"]["loadBalancer"]["ingress"]
    assert {i["ip"] for i in given} == {ip for own in nodes.nodes.values() for ip in own}, given
    of_families(lambda family, ips, own: [
        Row(place, "tcp", address, 8090, BOTH) for place in (nodes.outside, places["asker"], nodes.host)
        for address in own])


def source_ranges(nodes, places):
    of_families(lambda family, ips, own: [
        Row(nodes.outside, "tcp", own[0], 8091, BOTH), Row(nodes.edge, "tcp", own[0], 8091, {"timeout"}),
        Row(places["remote"], "tcp", own[0], 8091, {"timeout"})])


def external_policy_local(nodes, places):
    """The client's address is kept; a node without endpoints drops what comes from outside, and says so."""
    of_families(lambda family, ips, own: [
        Row(nodes.outside, "tcp", own[1], 8092, {"far " + nodes.ips["outside"][family]}),
        Row(nodes.outside, "tcp", own[1], 30092, {"far " + nodes.ips["outside"][family]}),
        Row(nodes.outside, "tcp", own[0], 30092, {"timeout"}), Row(nodes.host, "tcp", own[0], 30092, {"far"}),
        Row(places["asker"], "tcp", ips["local"], 8092, {"far"}),
        Row(nodes.outside, "http", own[0], 30093, {"503"}), Row(nodes.outside, "http", own[1], 30093, {"200"})])


def internal_policy_local(nodes, places):
    of_families(lambda family, ips, _: [Row(places["asker"], "tcp", ips["inner"], 80, {"near"}),
                                        Row(places["remote"], "tcp", ips["inner"], 80, {"far"})])


def session_affinity(nodes, places):
    for family in FAMILIES:
        sticky = ("tcp", table["ips"]["sticky"][family], 80)
        # What is asked at once with the first is not bound by its choice yet.
        heard = places["asker"].ask([sticky]) + places["asker"].ask([sticky] * 12)
        assert len(set(heard)) == 1 and heard[0].split()[0] in BOTH, (family, heard)


def hairpin(nodes, places):
    """A pod reaches itself through its own service."""
    of_families(lambda family, ips, _: [Row(places["near"], "tcp", ips["mirror"], 80, {"near"})])


def no_endpoints(nodes, places):
    """Refused; the kernel sends a second's refusals once, and a client may hear of it with its next try."""
    of_families(lambda family, ips, own: [
        Row(places["asker"], "tcp", ips["empty"], 80, {"refused"}),
        Row(nodes.host, "tcp", ips["empty"], 80, {"refused"}),
        Row(nodes.outside, "tcp", own[0], 30099, {"refused"})], times=1, timeout=4)


def manual(places, answers):
    of_families(lambda family, ips, _: [Row(places["asker"], "tcp", ips["manual"], 80, answers),
                                        Row(places["remote"], "tcp", ips["manual"], 80, answers)])


def terminating_endpoints(nodes, places):
    """They serve only where nothing else does."""
    for endpoints, answers in (({"near": (True, True), "far": (False, True)}, {"near"}),
                               ({"near": (False, True), "far": (False, True)}, BOTH),
                               ({"near": (False, False), "far": (False, True)}, {"far"}),
                               ({"near": (True, True)}, {"near"})):
        slices(endpoints)
        manual(places, answers)


def connections_and_flows(nodes, places):
    """A connection stays where it is, the flow of a UDP socket goes where the service goes."""
    ips = [table["ips"]["manual"][family] for family in FAMILIES]
    sessions = [Conversation(places["asker"], "session", ip, 80) for ip in ips]
    flows = [Conversation(places["asker"], "flow", ip, 83) for ip in ips]
    for talk in sessions:
        assert talk.heard().startswith("near "), talk
    for talk in flows:
        assert talk.say().startswith("near "), talk
    slices({"far": (True, True)})
    manual(places, {"far"})
    for talk in sessions:
        assert talk.say().startswith("near ")
    for talk in flows:
        two_nodes.wait.until("the flow has gone on", lambda: talk.say().startswith("far "))
    slices({"near": (True, True)})
    manual(places, {"near"})


def names(nodes, places):
    """Headless services, a name of elsewhere, and the way back from addresses."""
    ips = table["ips"]
    out = nodes.cluster.kubectl("exec", "asker", "--", "sh", "-c", "; ".join(
        "nslookup " + what for what in ("headless.default.svc.cluster.local", "cluster.default.svc.cluster.local",
                                        "-type=CNAME away.default.svc.cluster.local",
                                        ips["cluster"]["IPv4"], ips["cluster"]["IPv6"])), ok=False)
    for wanted in (*nodes.ips["near"].values(), *nodes.ips["far"].values(), *ips["cluster"].values(),
                   "web.example.org"):
        assert wanted in out, "%s is not in:\n%s" % (wanted, out)
    assert out.count("name = cluster.default.svc.cluster.local") == 2, out


FEATURES = (pods_themselves, cluster_ip, several_named_ports, node_port, external_ips, load_balancer, source_ranges,
            external_policy_local, internal_policy_local, session_affinity, hairpin, no_endpoints,
            terminating_endpoints, connections_and_flows, names)


def case(backend, feature):
    def test(cluster):
        table["nodes"].use(backend)
        feature(table["nodes"], table["nodes"].places)
    return test


for _backend in BACKENDS:
    for _feature in FEATURES:
        globals()["test_%s_%s" % (_backend, _feature.__name__)] = case(_backend, _feature)


def test_rules_are_there_once(cluster):
    """By the backend in use alone."""
    for what, rules in table["nodes"].rules().items():
        for part in rules.split("*")[1:]:
            lines = [line for line in part.split("\n") if line.startswith(("-A", ":"))]
            assert len(lines) == len(set(lines)), "%s: %s" % (what, part)
        assert "-SERVICES" in rules, what
    for program in ("iptables-nft-save", "ip6tables-nft-save"):
        assert "KNARR" not in two_nodes.process.run([program])[0]


def test_end(cluster):
    table["nodes"].close()
