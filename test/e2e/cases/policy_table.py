"""Every form of network policy, in IPv4 and IPv6, by iptables-nft and iptables-legacy, for pods of
both nodes, of two namespaces, and for the node itself."""
from harness import two_nodes
from harness.cluster import NODE
from harness.packets import Row, check
from harness.two_nodes import BACKENDS, EDGE, FAMILIES, FLAGS, TwoNodes  # noqa: F401

table = {}
WAIT = 0.4  # for an answer that is not to come
POLICIES = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/"
# web is asked; near is on its node, other is of another namespace.
PODS = (("web", "default", NODE, {"app": "web"}, [{"name": "http", "containerPort": 8080}]),
        ("near", "default", NODE, {"app": "friend"}, []),
        ("far", "default", EDGE, {"app": "stranger"}, [{"name": "http", "containerPort": 8081}]),
        ("other", "other", EDGE, {"app": "friend"}, []))
ASKERS = {"near", "far", "other"}


def test_start(cluster):
    nodes = table["nodes"] = TwoNodes(cluster)
    nodes.make("/api/v1/namespaces", {"metadata": {"name": "other", "labels": {"team": "x"}}})
    cluster.api.watch_until("/api/v1/namespaces/other/serviceaccounts", lambda a: a["metadata"]["name"] == "default")
    nodes.pods(*PODS)
    for name in ("web", "far"):
        nodes.places[name].serve("tcp/8080", "tcp/8081", "tcp/8082", "udp/8080")


def blocks(*names):
    """ipBlocks of the pods, of each family."""
    return [{"cidr": table["nodes"].ips[n][f] + ("/32" if f == "IPv4" else "/128")} for n in names for f in FAMILIES]


def all_but(name):
    """Peers: everybody but one pod, in each family."""
    return [{"ipBlock": {"cidr": "0.0.0.0/0" if f == "IPv4" else "::/0", "except": [b["cidr"]]}}
            for f, b in zip(FAMILIES, blocks(name))]


def selected(pods=None, namespaces=None):
    peer = {}
    if pods is not None:
        peer["podSelector"] = {"matchLabels": pods}
    if namespaces is not None:
        peer["namespaceSelector"] = {"matchLabels": namespaces}
    return peer


def ingress(*rules, pods={"app": "web"}):
    return {"podSelector": {"matchLabels": pods}, "policyTypes": ["Ingress"], "ingress": list(rules)}


def egress(*rules, pods={"app": "friend"}):
    return {"podSelector": {"matchLabels": pods}, "policyTypes": ["Egress"], "egress": list(rules)}


def to_web(askers, protocol="tcp", port=8080):
    """Who of all askers reaches web there."""
    return [(asker, "web", protocol, port, asker in askers) for asker in ASKERS]


# name -> (policies, who reaches whom); made when its pods have their addresses.
def forms():
    tcp, udp = {"port": 8080}, {"port": 8080, "protocol": "UDP"}
    return {
        "default_deny_ingress": ([ingress()], to_web([]) + [("web", "far", "tcp", 8080, True),
                                                            ("host", "web", "tcp", 8080, True)]),
        "from_everybody": ([ingress({})], to_web(ASKERS) + to_web(ASKERS, "udp")),
        "from_pods": ([ingress({"from": [selected({"app": "friend"})]})], to_web(["near"])),
        "from_namespaces": ([ingress({"from": [selected(namespaces={"team": "x"})]})], to_web(["other"])),
        "from_pods_of_namespaces": ([ingress({"from": [selected({"app": "friend"}, {})]})], to_web(["near", "other"])),
        "from_block": ([ingress({"from": [{"ipBlock": b} for b in blocks("far")]})], to_web(["far"])),
        "from_block_but": ([ingress({"from": all_but("near")})], to_web(["far", "other"])),
        "one_or_the_other": ([ingress({"from": [selected({"app": "stranger"})]},
                                      {"from": [selected(namespaces={"team": "x"})]})], to_web(["far", "other"])),
        "port": ([ingress({"ports": [tcp]})], to_web(ASKERS) + to_web([], "tcp", 8081) + to_web([], "udp")),
        "udp_port": ([ingress({"ports": [udp]})], to_web([]) + to_web(ASKERS, "udp")),
        "end_port": ([ingress({"ports": [{"port": 8080, "endPort": 8081}]})],
                     to_web(ASKERS) + to_web(ASKERS, "tcp", 8081) + to_web([], "tcp", 8082)),
        "named_port": ([ingress({"ports": [{"port": "http"}]})], to_web(ASKERS) + to_web([], "tcp", 8081)),
        "two_policies_add_up": ([ingress({"ports": [tcp]}), ingress({"from": [selected({"app": "stranger"})]})],
                                to_web(ASKERS) + to_web(["far"], "tcp", 8081)),
        "default_deny_egress": ([egress()], to_web(["far", "other"]) + [("web", "near", "tcp", 8080, None)]),
        "to_pods": ([egress({"to": [selected({"app": "web"})]})],
                    to_web(ASKERS) + [("near", "far", "tcp", 8080, False)]),
        "to_block_but": ([egress({"to": all_but("web")})],
                         to_web(["far", "other"]) + [("near", "far", "tcp", 8080, True)]),
        "to_port": ([egress({"ports": [{"port": 8081}]})],
                    to_web(["far", "other"]) + to_web(ASKERS, "tcp", 8081)),
        # What a name means is for each pod that is reached to say.
        "to_named_port": ([egress({"ports": [{"port": "http"}]})],
                          to_web(ASKERS) + [("near", "web", "tcp", 8081, False), ("near", "far", "tcp", 8081, True),
                                            ("near", "far", "tcp", 8080, False)]),
        "both_directions": ([{"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}],
                            to_web([]) + [("web", "far", "tcp", 8080, False)]),
    }


def reached(reaches):
    nodes = table["nodes"]
    rows = []
    for asker, target, protocol, port, ok in reaches:
        place = nodes.host if asker == "host" else nodes.places[asker]
        # Nobody listens there: a refusal would come back.
        answers = {"refused"} if ok is None else {target} if ok else {"timeout"}
        rows += [Row(place, protocol, nodes.ips[target][family], port, answers) for family in FAMILIES]
    check(rows, times=1, timeout=WAIT)


def try_form(name):
    policies, reaches = forms()[name]
    for i, spec in enumerate(policies):
        table["nodes"].apply(POLICIES + "p%d" % i, {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                                                    "metadata": {"name": "p%d" % i}, "spec": spec})
    try:
        reached(reaches)
    finally:
        for i in range(len(policies)):
            table["nodes"].cluster.api.call("DELETE", POLICIES + "p%d" % i)


def gone_without_a_trace():
    reached(to_web(ASKERS))
    two_nodes.wait.until("no rules", lambda: not any(word in rules for rules in table["nodes"].rules().values()
                                                     for word in ("-POLICY", "-PI-", "-PE-", "0x8000")))


def case(backend, work):
    def test(cluster):
        table["nodes"].use(backend)
        work()
    return test


NAMES = ("default_deny_ingress", "from_everybody", "from_pods", "from_namespaces", "from_pods_of_namespaces",
         "from_block", "from_block_but", "one_or_the_other", "port", "udp_port", "end_port", "named_port",
         "two_policies_add_up", "default_deny_egress", "to_pods", "to_block_but", "to_port", "to_named_port",
         "both_directions")
for _backend in BACKENDS:
    for _name in NAMES:
        globals()["test_%s_%s" % (_backend, _name)] = case(_backend, lambda name=_name: try_form(name))
    globals()["test_%s_gone_without_a_trace" % _backend] = case(_backend, gone_without_a_trace)


def test_end(cluster):
    assert set(NAMES) == set(forms())
    table["nodes"].close()
