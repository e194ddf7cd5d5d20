"""What is measured of several machines and their network: as measures.py, on which it stands."""
import json
import os
import socket
import statistics
import subprocess
import threading
import time

from harness import api, images, process, wait
from harness.agent import Agent
from harness.cluster import NODE
from measures import PODS, Server, cpu_ticks, fields_of, quantile, switches

IMAGE = "docker.io/library/net_load:bench"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
SERVICES = "/api/v1/namespaces/default/services"


def running(options, folder):
    """A server with its node."""
    server = Server(options, folder)
    server.spawn()
    server.until_ready()
    server.until_account()
    server.api = api.Api(server.kubeconfig, folder)
    return server


def net_load(options, *arguments, inside=()):
    argv = [*inside, os.path.join(options.load, "net_load"), *arguments]
    return json.loads(process.run(argv, timeout=120)[0])


def give_image(options, one):
    with open(os.path.join(options.load, "net_load"), "rb") as file:
        image = images.Image([("bin/net_load", file.read(), 0o755)])
    one.import_image(image, IMAGE)


def serving(name, node, word="ok"):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [
                {"name": "c", "image": IMAGE, "imagePullPolicy": "Never",
                 "command": ["/bin/net_load", "mode=serve", "port=80", "word=" + word]}]}}


def await_answer(address):
    def answers():
        socket.create_connection((address, 80), 1).close()
        return True
    wait.until(address + " answers", answers)


def address_of(server, name):
    pod = wait.until(name + " runs", lambda: server.get(PODS + "/" + name)["status"].get("podIPs") and
                     server.get(PODS + "/" + name))
    await_answer(pod["status"]["podIP"])
    return pod["status"]["podIP"]


def service(name, **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"ports": [{"port": 80}], **spec}}


def joining(options, folder, table):
    """A machine joins: three, each for the first time; then one of them is left alone."""
    with running(options, folder) as server:
        taken, agents = [], []
        try:
            for number in (1, 2, 3):
                agents.append(Agent(server, "edge%d" % number, number))
                began = time.monotonic()
                agents[-1].start()
                taken.append(time.monotonic() - began)
            table.add("join: exec of the agent to node Ready", statistics.median(taken), 0.5, "s")
            time.sleep(5)
            pid, seconds = agents[-1].process.pid, options.idle
            before = switches(pid), cpu_ticks(pid), fields_of("/proc/%d/io" % pid)["write_bytes"]
            time.sleep(seconds)
            after = switches(pid), cpu_ticks(pid), fields_of("/proc/%d/io" % pid)["write_bytes"]
            delta = [b - a for a, b in zip(before, after)]
            rss = fields_of("/proc/%d/smaps_rollup" % pid)["Rss"]
            table.add("agent: RSS, idle", rss / 1024, 15, "MB")
            table.add("agent: wakeups/s, idle", delta[0] / seconds, 1, "")
            table.add("agent: bytes written/s, idle", delta[2] / seconds, 0, "")
        finally:
            for agent in agents:
                agent.close()


def dev(options, folder, table):
    os.makedirs(folder)
    taken = []
    words = ["--dev-dir", folder + "/dev", "--cgroup-root", "knarr-%s-dev" % os.environ["KNARR_E2E_ID"]]
    for _ in range(3):
        began = time.monotonic()
        process.run([options.knarr, "dev", "up", "--nodes", "3", *words],
                    env={**os.environ, "KUBECONFIG": folder + "/kube"})
        taken.append(time.monotonic() - began)
        process.run([options.knarr, "dev", "down", *words], env={**os.environ, "KUBECONFIG": folder + "/kube"})
    table.add("knarr dev up --nodes 3", statistics.median(taken), 2, "s")


def paths(options, folder, table):
    """From a pod's network on one machine: to a pod beside it, by a service, and to another machine."""
    with running(options, folder) as server:
        agent = Agent(server, "edge1", 1)
        try:
            agent.start()
            for one in (server, agent):
                give_image(options, one)
            for name, node in (("near", NODE), ("asker", NODE), ("far", "edge1")):
                server.must("POST", PODS, serving(name, node))
            near, far, _ = [address_of(server, name) for name in ("near", "far", "asker")]
            server.must("POST", SERVICES, service("near", selector={"app": "near"}))
            virtual = server.get(SERVICES + "/near")["spec"]["clusterIP"]
            await_answer(virtual)

            def in_asker(*arguments):
                return json.loads(server.kubectl("exec", "asker", "--", "/bin/net_load", *arguments, timeout=120))
            in_asker("mode=ask", "hosts=%s,%s" % (near, virtual), "count=500")
            done = in_asker("mode=ask", "hosts=%s,%s" % (near, virtual), "count=5000")
            for i, which in enumerate(("p50", "p99")):
                direct, by_service = done[which]
                table.add("request to a pod, %s" % which, direct, None, "us")
                table.add("the same by ClusterIP, %s" % which, by_service,
                          direct * 1.05 if i == 0 else None, "us")
            here = in_asker("mode=stream", "host=" + near, "seconds=4")["gbit_per_s"]
            there = in_asker("mode=stream", "host=" + far, "seconds=4")["gbit_per_s"]
            table.add("throughput to a pod beside, by veth", here, None, "Gbit/s")
            table.add("throughput to a pod of another machine, by VXLAN", there, None, "Gbit/s")
        finally:
            agent.close()


def slices(name, address):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
            "ports": [{"port": 80, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}]}


def proxying(options, folder, table):
    """Services by the thousand, and how long until one that changes leads elsewhere."""
    with running(options, folder) as server:
        give_image(options, server)
        for word in ("one", "two"):
            server.must("POST", PODS, serving(word, NODE, word))
        where = {word: address_of(server, word) for word in ("one", "two")}
        server.must("POST", SERVICES, service("probe"))
        server.must("POST", SLICES, slices("probe", where["one"]))
        virtual, made = server.get(SERVICES + "/probe")["spec"]["clusterIP"], 0

        def leads_to(word):
            return float(net_load_text(options, "mode=until", "host=" + virtual, "word=" + word, "seconds=60"))
        for count in (100, 1000, 10000):
            for what, path, body in (("service", SERVICES, service("s-%d-@N@" % count)),
                                     ("slice", SLICES, slices("s-%d-@N@" % count, "10.42.0.250"))):
                done = server.load(options, "POST", path, json.dumps(body), 16, 300, count - made)
                if done["errors"]:
                    raise RuntimeError("%ss: %s" % (what, done))
            made = count
            wait.until("all are there", lambda: rules_of(server) >= count, 120, every=0.5)
            taken = []
            for i in range(11):
                word = ("two", "one")[i % 2]
                patch = json.dumps({"endpoints": slices("", where[word])["endpoints"]})
                connection = server.connect()
                connection.connect()
                began = time.monotonic()
                connection.request("PATCH", SLICES + "/probe", patch, {
                    "Authorization": "Bearer admin-token", "Content-Type": "application/merge-patch+json"})
                connection.getresponse().read()
                taken.append(1000 * (leads_to(word) - began))
                connection.close()
            table.add("a service changes among %s, p50" % format(count, ","), quantile(taken, 0.5), 50, "ms")


def net_load_text(options, *arguments):
    return process.run([os.path.join(options.load, "net_load"), *arguments], timeout=120)[0]


def rules_of(server):
    """Of services, with an endpoint."""
    saved = process.run(["iptables-save", "-t", "nat"])[0]
    return saved.count("\n:%s-SVC-" % server.chains)


def becoming_ready(options, folder, table):
    """From the moment that a pod is said to be Ready to the first answer by its service."""
    with running(options, folder) as server:
        give_image(options, server)
        server.must("POST", SERVICES, service("late", selector={"app": "late"}))
        virtual, taken = server.get(SERVICES + "/late")["spec"]["clusterIP"], []
        for _ in range(11):
            ready = []

            def watch():
                for event, when in server.events(PODS + "?watch=1"):
                    if api.condition_of(event["object"], "Ready") == "True":
                        ready.append(when)
                        return
            watcher = threading.Thread(target=watch, daemon=True)
            watcher.start()
            asking = subprocess.Popen([os.path.join(options.load, "net_load"), "mode=until", "host=" + virtual,
                                       "seconds=30"], stdout=subprocess.PIPE, text=True)
            server.must("POST", PODS, serving("late", NODE))
            answered = float(asking.communicate()[0])
            watcher.join(10)
            taken.append(1000 * max(0, answered - ready[0]))
            server.must("DELETE", PODS + "/late")
            wait.until("the pod is gone", lambda: not server.get(PODS)["items"])
        table.add("pod Ready to reachable by its service, p50", quantile(taken, 0.5), 20, "ms")
        table.add("pod Ready to reachable by its service, at the most", max(taken), None, "ms")


ALL = (("join", joining), ("dev", dev), ("paths", paths), ("proxy", proxying), ("ready", becoming_ready))
