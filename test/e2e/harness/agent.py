"""Further machines: network namespaces on one switch with the server, a `knarr agent` in each."""
import subprocess

from harness import api
from harness.cluster import Process
from harness.isolation import SWITCH


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Machine:
    """A network namespace on the switch, with an address and a default route."""

    def __init__(self, name, number):
        self.name, self.address = name, "192.0.2.%d" % (20 + number)
        self.address6 = "2001:db8::%d" % (20 + number)
        self.port = "%s%d" % (SWITCH, number)
        ip("netns", "add", name)
        # A machine that has the address later has the same hardware address: nobody has stale neighbours.
        ip("-n", name, "link", "add", "eth0", "address", "02:00:00:00:00:%02x" % number, "type", "veth",
           "peer", "name", self.port, "netns", SWITCH)
        ip("-n", SWITCH, "link", "set", self.port, "master", SWITCH, "up")
        for words in ("link set lo up", "address add %s/24 dev eth0" % self.address,
                      "address add %s/64 dev eth0 nodad" % self.address6, "link set eth0 up",
                      "route add default via 192.0.2.1", "-6 route add default via 2001:db8::1"):
            ip("-n", name, *words.split())
        # Not `ip netns exec`: it would hide the cgroups.
        self.inside = ["nsenter", "--net=/run/netns/" + name]
        subprocess.run([*self.inside, "sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)

    def cut(self):
        ip("-n", SWITCH, "link", "set", self.port, "down")

    def heal(self):
        ip("-n", SWITCH, "link", "set", self.port, "up")

    def close(self):
        ip("netns", "delete", self.name)


class Agent(Process):
    """A machine that joins the cluster."""

    def __init__(self, cluster, name, number, flags=()):
        self.machine = Machine(name, number)
        super().__init__(cluster.knarr, "%s/%s" % (cluster.folder, name), number, self.machine.inside)
        self.cluster, self.name, self.flags = cluster, name, list(flags)

    def start(self, token=None, server=None):
        """Returns when its node is Ready."""
        self.start_alone(token, server)
        self.cluster.api.watch_until("/api/v1/nodes", lambda n: n["metadata"]["name"] == self.name
                                     and api.condition_of(n, "Ready") == "True")
        return self

    def start_alone(self, token=None, server=None):
        """Returns when it runs pods, whether the server knows or not."""
        address = self.cluster.address
        self.launch("agent", "--server", server or "https://%s:%d" % (
                        "[%s]" % address if ":" in address else address, self.cluster.port),
                    "--token", token or self.cluster.token(), "--node-name", self.name,
                    "--node-ip", self.machine.address, *self.flags)

    def close(self):
        try:
            super().close()
        finally:
            self.machine.close()
