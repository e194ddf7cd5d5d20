"""A cluster of IPv6 alone, with its ranges by default: two nodes that know each other by IPv6, pods,
services, names, and the API's ways into pods."""
from harness import images, two_nodes
from harness.agent import Agent
from harness.cluster import NODE, Cluster
from harness.isolation import UPLINK6
from harness.packets import Place, Row, check

made = {}


class Nodes(two_nodes.TwoNodes):
    """Both known by IPv6 alone."""

    def __init__(self, knarr, folder):
        cluster = self.cluster = Cluster(knarr, folder)
        cluster.address = UPLINK6
        cluster.start()
        self.agent = Agent(cluster, two_nodes.EDGE, 1)
        self.agent.machine.address = self.agent.machine.address6
        self.agent.start()
        for one in (cluster, self.agent):
            one.import_image(images.busybox(), "busybox:latest")
        self.places, self.ips = {}, {}
        self.host, self.edge = Place("host"), Place("edge", self.agent.machine.inside)


def test_start(knarr, folder):
    nodes = made["nodes"] = Nodes(knarr, folder)
    web = [{"name": "http", "containerPort": 8080}]
    nodes.pods(("near", "default", NODE, {"app": "web"}, web), ("far", "default", two_nodes.EDGE, {"app": "web"}, web))
    for name in ("near", "far"):
        nodes.places[name].serve("tcp/8080", "udp/8080")
    ranges = [n["spec"]["podCIDRs"] for n in nodes.cluster.api.get("/api/v1/nodes")["items"]]
    assert sorted(ranges) == [["fd00:42:0:1::/64"], ["fd00:42::/64"]], ranges
    assert list(nodes.ips["near"]) == ["IPv6"], nodes.ips


def test_services(knarr, folder):
    nodes = made["nodes"]
    service = nodes.make("/api/v1/namespaces/default/services", {"metadata": {"name": "web"}, "spec": {
        "type": "NodePort", "selector": {"app": "web"}, "ports": [
            {"name": "t", "port": 80, "targetPort": "http", "nodePort": 30080},
            {"name": "u", "port": 80, "targetPort": 8080, "protocol": "UDP"}]}})
    address, both = service["spec"]["clusterIP"], {"near", "far"}
    assert service["spec"]["ipFamilies"] == ["IPv6"], service
    check([*(Row(nodes.places[asker], kind, address, 80, both) for asker in both for kind in ("tcp", "udp")),
           *(Row(place, "tcp", node, 30080, both) for place in (nodes.host, nodes.edge)
             for node in (nodes.cluster.address, nodes.agent.machine.address)),
           Row(nodes.places["near"], "tcp", nodes.ips["far"]["IPv6"], 8080, {"far " + nodes.ips["near"]["IPv6"]}),
           Row(nodes.places["near"], "bulk", nodes.ips["far"]["IPv6"], 8080, {"far"})])
    for name in both:
        out = nodes.cluster.kubectl("exec", name, "--", "nslookup", "web.default.svc.cluster.local", ok=False)
        assert address in out and "fd00:43::a" in out, out


def test_end(knarr, folder):
    nodes = made["nodes"]
    for place in [*nodes.places.values(), nodes.host, nodes.edge]:
        place.close()
    nodes.agent.close()
    nodes.cluster.close()
