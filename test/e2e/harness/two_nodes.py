"""What the tables of network features run on: a dual-stack cluster of a server and an agent, pods on
both, a machine outside, by iptables-nft and then by iptables-legacy. Pods and objects stay as the
backend changes."""
import json
import os
import shutil
import subprocess

from harness import api, images, packets, process, wait  # noqa: F401
from harness.agent import Agent, Machine
from harness.isolation import UPLINK, UPLINK6

FLAGS = ["--cluster-cidr", "10.42.0.0/16,fd00:42::/56", "--service-cidr", "10.43.0.0/16,fd00:43::/112",
         "--node-ip", UPLINK6]
EDGE = "edge"
FAMILIES = ("IPv4", "IPv6")
BACKENDS = ("nft", "legacy")
PROGRAMS = ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore")


def has_sctp():
    return subprocess.run(["python3", "-c", "import socket; socket.socket(socket.AF_INET6, socket.SOCK_STREAM, "
                           "socket.IPPROTO_SCTP)"], capture_output=True).returncode == 0


class TwoNodes:
    def __init__(self, cluster):
        self.cluster, self.backend = cluster, "nft"
        self.agent = Agent(cluster, EDGE, 1)
        machine = self.agent.machine
        self.agent.flags = ["--node-ip", machine.address6]
        self.agent.start()
        for knarr in (cluster, self.agent):
            knarr.import_image(images.busybox(), "busybox:latest")
        self.outside_machine = Machine("outside", 9)
        self.host = packets.Place("host")
        self.edge = packets.Place("edge", machine.inside)
        self.outside = packets.Place("outside", self.outside_machine.inside)
        self.nodes = {"IPv4": (UPLINK, machine.address), "IPv6": (UPLINK6, machine.address6)}
        self.places, self.ips = {}, {"outside": {"IPv4": self.outside_machine.address,
                                                 "IPv6": self.outside_machine.address6}}
        self.plain_inside = {"server": list(cluster.inside), "agent": list(self.agent.inside)}

    def pods(self, *pods):
        """(name, namespace, node, labels, container ports) of each; ready, with addresses and places."""
        for name, namespace, node, labels, ports in pods:
            self.make("/api/v1/namespaces/%s/pods" % namespace, {
                "metadata": {"name": name, "labels": labels},
                "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [{
                    "name": "c", "image": "busybox", "imagePullPolicy": "Never",
                    "command": ["sleep", "36000"], "ports": ports}]}})
        for name, namespace, *_ in pods:
            pod = self.cluster.wait_pod(name, lambda p: api.condition_of(p, "Ready") == "True", 60, namespace)
            ips = [entry["ip"] for entry in pod["status"]["podIPs"]]
            self.ips[name] = {"IPv6" if ":" in ip else "IPv4": ip for ip in ips}
            self.places[name] = packets.of_pod(pod)

    def make(self, path, thing):
        status, made = self.cluster.api.call("POST", path, thing)
        assert status == 201, "%s: %d %s" % (path, status, json.dumps(made)[:500])
        return made

    def apply(self, path, thing):
        """Made, or changed where it is."""
        status, made = self.cluster.api.call("PATCH", path + "?fieldManager=table&force=true", thing,
                                             "application/apply-patch+yaml")
        assert status in (200, 201), "%s: %d %s" % (path, status, json.dumps(made)[:500])

    def use(self, backend):
        """The rules of the backend before are gone, those of this one come as knarr starts again."""
        if backend == self.backend:
            return
        for knarr in (self.agent, self.cluster):
            knarr.stop()
            flush(knarr.inside)
        path = "%s/%s" % (self.cluster.folder, backend)
        os.makedirs(path, exist_ok=True)
        for program in PROGRAMS:
            target = shutil.which(program.replace("tables", "tables-" + backend, 1))
            if not os.path.exists(path + "/" + program):
                os.symlink(target, path + "/" + program)
        extra = ["env", "PATH=%s:%s" % (path, os.environ["PATH"])]
        self.cluster.inside = self.plain_inside["server"] + extra
        self.agent.inside = self.plain_inside["agent"] + extra
        self.backend = backend
        self.cluster.start()
        self.agent.start()

    def rules(self):
        """All of both machines and families, of the backend in use."""
        return {"%s of %s" % (program, knarr.folder): process.run([*knarr.inside, program])[0]
                for knarr in (self.cluster, self.agent) for program in ("iptables-save", "ip6tables-save")}

    def close(self):
        for place in [*self.places.values(), self.host, self.edge, self.outside]:
            place.close()
        self.agent.close()
        self.outside_machine.close()


def flush(inside):
    for program in ("iptables", "ip6tables"):
        for table in ("filter", "nat", "mangle"):
            for what in ("-F", "-X"):
                process.run([*inside, program, "-t", table, what], ok=False)
