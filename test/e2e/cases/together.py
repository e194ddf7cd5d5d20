"""A server and three agents, one of which nothing reaches but by what it opened itself: everything reaches
everything. Then knarr is killed and started twenty times, here and there, under traffic, and no container
notices, and no request but those that go by the server."""
import os
import random
import subprocess

from harness import api, images, process, wait
from harness.agent import Agent, Machine
from harness.cluster import NODE

ROUNDS = 20
agents, pods, addresses, outside = {}, {}, {}, {}

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web-%(node)s, labels: {app: web, near: "%(near)s"}}
spec:
  nodeName: %(node)s
  hostname: web-%(node)s
  subdomain: pods
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: web, imagePullPolicy: Never, command: [sh, -c, "echo here; %(run)s"]}]
---
"""

SERVICES = """
apiVersion: v1
kind: Service
metadata: {name: pods}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: 30080}]}
---
apiVersion: v1
kind: Service
metadata: {name: near}
spec: {selector: {near: "True"}, ports: [{port: 80}]}
"""


def everywhere(cluster):
    return [cluster, *agents.values()]


def ask_all(hosts):
    return "; ".join("curl -s -m 5 http://%s/ || echo no %s" % (h, h) for h in hosts)


def test_three_join(cluster):
    for number, name in enumerate(("edge1", "edge2", "far"), 1):
        agents[name] = Agent(cluster, name, number)
    process.run([*agents["far"].machine.inside, "iptables", "-w", "-A", "INPUT", "-i", "eth0",
                 "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP"])
    outside["machine"] = Machine("outside", 9)
    for agent in agents.values():
        agent.start()
    for one in everywhere(cluster):
        one.import_image(images.curl(), "web:latest")
    run = images.HTTPD.replace('"', '\\"')
    cluster.apply("".join(POD % {"node": n, "near": n != "far", "run": run} for n in [NODE, *agents])
                  + SERVICES)
    cluster.kubectl("wait", "pod", "--all", "--for=condition=Ready", "--timeout=60s", timeout=70)
    for pod in cluster.pods():
        pods[pod["metadata"]["name"]] = pod["status"]["containerStatuses"][0]["containerID"]
        addresses[pod["metadata"]["name"]] = pod["status"]["podIP"]
    assert len(pods) == 4


def each_reaches_all(cluster):
    hosts = [*addresses.values(), *("%s.pods" % name for name in addresses)]
    for name in pods:
        wait.until("%s reaches all" % name, lambda: cluster.kubectl(
            "exec", name, "--", "sh", "-c", ask_all(hosts)).split() == [*addresses, *addresses])


def test_pods_reach_each_other(cluster):
    """By address, by name, and by the service."""
    each_reaches_all(cluster)
    for name in pods:
        said = cluster.kubectl("exec", name, "--", "sh", "-c", ask_all(["web"] * 4)).split()
        assert len(said) == 4 and set(said) <= set(pods), said


def test_services_from_nodes_and_from_outside(cluster):
    service = cluster.api.get("/api/v1/namespaces/default/services/web")["spec"]["clusterIP"]
    for one in everywhere(cluster):
        said = process.run([*one.inside, "sh", "-c", ask_all([service] * 3)])[0].split()
        assert len(said) == 3 and set(said) <= set(pods), (one.folder, said)
    for address in (cluster.address, agents["edge1"].machine.address, agents["edge2"].machine.address):
        said = process.run([*outside["machine"].inside, "sh", "-c", ask_all([address + ":30080"] * 3)])[0].split()
        assert len(said) == 3 and set(said) <= set(pods), (address, said)


def test_verbs_for_every_node(cluster):
    with open(cluster.folder + "/file", "w") as file:
        file.write("copied\n")
    for number, name in enumerate(pods):
        assert cluster.kubectl("logs", name) == "here\n"
        cluster.kubectl("cp", cluster.folder + "/file", name + ":/tmp/file")
        assert cluster.kubectl("exec", name, "--", "cat", "/tmp/file") == "copied\n"
        port = 18090 + number
        forward = subprocess.Popen(cluster.kubectl_argv("port-forward", name, "%d:80" % port),
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            line = forward.stdout.readline()
            assert "Forwarding from" in line, line
            assert process.run(["curl", "-s", "http://127.0.0.1:%d/" % port])[0].strip() == name
        finally:
            process.stop(forward)
            forward.stdout.close()


def test_top_for_every_node(cluster):
    """Each by the same way that logs go, also where nobody can dial."""
    for what, names in (("nodes", [NODE, *agents]), ("pods", pods)):
        said = {line.split()[0]: line.split()[1:] for line in
                cluster.kubectl("top", what, "--no-headers").splitlines()}
        assert sorted(said) == sorted(names), said
        for words in said.values():
            assert words[0].endswith("m") and words[2 if what == "nodes" else 1].endswith("Mi"), said


class Traffic:
    """Requests one after another, each on a connection of its own, from one machine."""

    def __init__(self, inside, address, path):
        self.path = path
        with open(path, "w") as file:
            self.process = subprocess.Popen(
                [*inside, "sh", "-c", "while :; do curl -s -o /dev/null -m 5 -w '%%{http_code}\\n' "
                 "http://%s/; sleep 0.02; done" % address], stdout=file, stderr=file,
                stdin=subprocess.DEVNULL, start_new_session=True)

    def end(self):
        """How many were answered, and what else was heard."""
        os.killpg(self.process.pid, 9)
        self.process.wait()
        with open(self.path) as file:
            said = file.read().split()
        return said.count("200"), [s for s in said if s != "200"]


def test_twenty_ends_and_starts(cluster):
    """Who needs the server to be reached is cut while it is down: requests are of and to the others."""
    service = cluster.api.get("/api/v1/namespaces/default/services/near")["spec"]["clusterIP"]
    chance = random.Random(4)
    starts = {NODE: cluster.start_alone, **{name: agent.start_alone for name, agent in agents.items()}}
    running = {NODE: cluster, **agents}
    traffic = [Traffic(one.inside, service, "%s/traffic-%d" % (cluster.folder, i))
               for i, one in enumerate((cluster, agents["edge1"], agents["edge2"]))]
    try:
        for _ in range(ROUNDS):
            some = chance.sample(sorted(running), chance.choice((1, 1, 2, 4)))
            for name in some:
                chance.choice((running[name].crash, running[name].stop))()
            chance.shuffle(some)
            for name in some:
                starts[name]()
    finally:
        heard = [t.end() for t in traffic]
    for answered, else_heard in heard:
        assert answered > ROUNDS and not else_heard, heard


def test_all_is_as_before(cluster):
    for name in (NODE, *agents):
        wait.until(name + " is ready", lambda: api.condition_of(
            cluster.api.get("/api/v1/nodes/" + name), "Ready") == "True", 60)
    now = {p["metadata"]["name"]: p["status"]["containerStatuses"][0] for p in cluster.pods()}
    assert {name: c["containerID"] for name, c in now.items()} == pods
    assert all(c["restartCount"] == 0 and c["ready"] for c in now.values()), now
    for name in pods:
        assert cluster.kubectl("exec", name, "--", "cat", "/tmp/file") == "copied\n"
    each_reaches_all(cluster)


def test_end():
    outside["machine"].close()
    for agent in agents.values():
        agent.close()
