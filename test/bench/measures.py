"""What is measured, a function a subject: (options, folder of its own, table to add figures to)."""
import http.client
import json
import os
import ssl
import statistics
import subprocess
import threading
import time

from harness import images, isolation
from harness.cluster import NODE, REPO, Cluster
from harness.process import run as run_program

TOKEN = "admin-token"
TOKENS = os.path.join(REPO, "test/e2e/cases/tokens.csv")
CONTROL_PLANE = ("--disable-agent", "--disable-scheduler", "--disable-controller-manager")
PODS = "/api/v1/namespaces/default/pods"


class Server(Cluster):
    """One that is watched from outside: by token, over a connection that is kept."""

    def __init__(self, options, folder, flags=()):
        super().__init__(options.knarr, folder, flags=(*flags, *options.flag))
        self.pid = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def spawn(self):
        argv = [self.knarr, "server", "--data-dir", self.data_dir, "--run-dir", self.run_dir,
                "--log-dir", self.log_dir, "--write-kubeconfig", self.kubeconfig,
                "--config", os.devnull, "--bridge", self.bridge, "--cgroup-root", self.cgroup_root,
                "--chain-prefix", self.chains, "--https-listen-port", str(self.port),
                "--kubelet-port", str(self.kubelet_port), "--node-name", NODE,
                "--node-ip", isolation.UPLINK, "--token-auth-file", TOKENS, *self.flags]
        with open(self.folder + "/knarr.log", "a") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.pid = self.process.pid

    def connect(self, timeout=30):
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=tls)

    def ask(self, connection, method, path, body=None):
        connection.request(method, path, None if body is None else json.dumps(body),
                           {"Authorization": "Bearer " + TOKEN, "Content-Type": "application/json"})
        return connection.getresponse()

    def get(self, path):
        connection = self.connect()
        answer = self.ask(connection, "GET", path)
        value = json.loads(answer.read())
        connection.close()
        return value

    def must(self, method, path, body=None):
        connection = self.connect()
        answer = self.ask(connection, method, path, body)
        text = answer.read()
        connection.close()
        if answer.status // 100 != 2:
            raise RuntimeError("%s %s: %d %s" % (method, path, answer.status, text[:300]))

    def events(self, path, seconds=60):
        """Yields (event, when) of a watch."""
        connection = self.connect(timeout=seconds)
        answer = self.ask(connection, "GET", path)
        while line := answer.readline():
            yield json.loads(line), time.monotonic()

    def until_serving(self, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                connection = self.connect()
                if self.ask(connection, "GET", "/readyz").status == 200:
                    return
            except OSError:
                time.sleep(0.002)
        raise RuntimeError("not serving:\n" + self.log())

    def until_ready(self):
        """Until the node is, and pods may be made in the namespace default."""
        self.until_serving()
        for event, _ in self.events("/api/v1/nodes?watch=1"):
            conditions = event["object"].get("status", {}).get("conditions", ())
            if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
                return

    def until_account(self):
        for event, _ in self.events("/api/v1/namespaces/default/serviceaccounts?watch=1"):
            if event["object"]["metadata"]["name"] == "default":
                return

    def load(self, options, method, path, body, connections, seconds, count=None, **more):
        """What api_load prints; `more` are its other arguments."""
        more.update(method=method, path=path, connections=connections, seconds=seconds)
        if count:
            more["count"] = count
        return self.program(options, "api_load", body, more)

    def program(self, options, name, body, arguments):
        if body is not None:
            arguments["body"] = self.folder + "/body"
            with open(arguments["body"], "wb") as file:
                file.write(body if isinstance(body, bytes) else body.encode())
        argv = [os.path.join(options.load, name), "port=%d" % self.port, "token=" + TOKEN,
                *("%s=%s" % pair for pair in arguments.items())]
        return json.loads(run_program(argv, timeout=600)[0])


def start(options, folder, table):
    taken = {"first": [], "again": []}
    for i in range(3):
        with Server(options, folder + str(i)) as server:
            for which in ("first", "again"):
                began = time.monotonic()
                server.spawn()
                server.until_ready()
                taken[which].append(time.monotonic() - began)
                server.stop()
    table.add("exec to node Ready, empty data folder", statistics.median(taken["first"]), 0.3, "s")
    table.add("exec to node Ready, again", statistics.median(taken["again"]), 0.3, "s")


def switches(pid):
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, task)) as file:
            total += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
    return total


def cpu_ticks(pid):
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def fields_of(path):
    with open(path) as file:
        return {k: int(v.split()[0]) for k, v in
                (line.split(":", 1) for line in file if line.count(":") == 1)
                if v.split() and v.split()[0].isdigit()}


def idle(options, folder, table):
    with Server(options, folder) as server:
        server.spawn()
        server.until_ready()
        server.until_account()
        time.sleep(5)  # what the start set off is over
        pid, seconds = server.pid, options.idle
        before = switches(pid), cpu_ticks(pid), fields_of("/proc/%d/io" % pid)["write_bytes"]
        time.sleep(seconds)
        after = switches(pid), cpu_ticks(pid), fields_of("/proc/%d/io" % pid)["write_bytes"]
        memory = fields_of("/proc/%d/smaps_rollup" % pid)
        delta = [b - a for a, b in zip(before, after)]
        table.add("RSS, idle", memory["Rss"] / 1024, 25, "MB")
        table.add("of it private", (memory["Private_Clean"] + memory["Private_Dirty"]) / 1024, None,
                  "MB")
        table.add("wakeups/s, idle", delta[0] / seconds, 0, "")
        table.add("CPU, idle", 100 * delta[1] / os.sysconf("SC_CLK_TCK") / seconds, 0, "%")
        table.add("bytes written/s, idle", delta[2] / seconds, 0, "")


def pod(name, image="docker.io/library/busybox:bench"):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "bench"}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [
                {"name": "main", "image": image, "command": ["sleep", "3600"],
                 "imagePullPolicy": "IfNotPresent"}]}}


def quantile(values, q):
    return sorted(values)[int(q * (len(values) - 1) + 0.5)]


def pods(options, folder, table):
    count, ready, made = 20, {}, {}
    with Server(options, folder) as server:
        server.spawn()
        server.until_ready()
        server.until_account()
        server.import_image(images.busybox(), "docker.io/library/busybox:bench")

        def watch():
            for event, when in server.events(PODS + "?watch=1"):
                name = event["object"]["metadata"]["name"]
                if event["object"].get("status", {}).get("phase") == "Running":
                    ready.setdefault(name, when)
                if len(ready) == count + 1:
                    return

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        connection = server.connect()
        begin = time.monotonic() + 1
        for i in range(count + 1):  # the first warms the image's snapshot up and is not counted
            time.sleep(max(0, begin + i / 2 - time.monotonic()))
            made["pod-%d" % i] = time.monotonic()
            answer = server.ask(connection, "POST", PODS, pod("pod-%d" % i))
            text = answer.read()
            if answer.status != 201:
                raise RuntimeError("create a pod: %s" % text[:300])
        watcher.join(30)
        taken = [1000 * (ready[n] - made[n]) for n in made if n in ready and n != "pod-0"]
        if len(taken) < count:
            raise RuntimeError("%d of %d pods run\n%s" % (len(taken), count, server.log()))
        table.add("pod created to Running, p50", quantile(taken, 0.5), 25, "ms")
        table.add("pod created to Running, p99", quantile(taken, 0.99), 100, "ms")
        server.must("DELETE", PODS)
        end = time.monotonic() + 20
        while server.get(PODS)["items"] and time.monotonic() < end:
            time.sleep(0.1)


CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PROTOBUF = "application/vnd.kubernetes.protobuf"


def config_map(bytes_of_json):
    value = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bench-@N@-@C@"},
             "data": {"text": ""}}
    value["data"]["text"] = "x" * (bytes_of_json - len(json.dumps(value)))
    return json.dumps(value)


def protobuf(*fields):
    """A message of (number, bytes or text)."""
    def varint(n):
        return bytes([n & 127 | 128]) + varint(n >> 7) if n > 127 else bytes([n])
    out = b""
    for number, value in fields:
        value = value.encode() if isinstance(value, str) else value
        out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def config_map_protobuf(bytes_of_json):
    text = json.loads(config_map(bytes_of_json))["data"]["text"]
    value = protobuf((1, protobuf((1, "bench-@NNNNNN@-@C@"))),
                     (2, protobuf((1, "text"), (2, text))))
    return b"k8s\0" + protobuf((1, protobuf((1, "v1"), (2, "ConfigMap"))), (2, value))


def writes(options, folder, table):
    with Server(options, folder, CONTROL_PLANE) as server:
        server.spawn()
        server.until_serving()
        for connections, aim in ((1, 3000), (16, 10000), (64, 15000)):
            body = config_map(1000).replace("@C@", str(connections))
            done = server.load(options, "POST", CONFIG_MAPS, body, connections, 5)
            if done["errors"]:
                raise RuntimeError("creates failed: %s" % done)
            table.add("durable creates/s of 1 kB, %d connection%s" %
                      (connections, "s" if connections > 1 else ""), done["per_s"], aim, "")


def requests(options, folder, table):
    """64 connections; writes are durable, and of or to objects of 1 kB, reads are of pods."""
    with Server(options, folder, CONTROL_PLANE) as server:
        server.spawn()
        server.until_serving()

        def many(what, method, path, body, **more):
            before = cpu_ticks(server.pid)
            done = server.load(options, method, path, body, 64, 5, **more)
            ticks = cpu_ticks(server.pid) - before
            if done["errors"]:
                raise RuntimeError("%s failed: %s" % (what, done))
            cpu_us = 1e6 * ticks / os.sysconf("SC_CLK_TCK") / done["requests"]
            table.add_requests(what, done, cpu_us)
            return done

        done = many("create, JSON", "POST", CONFIG_MAPS, config_map(1000).replace("@C@", "json"))
        table.add("creates/s, 64 connections: p99", done["p99"], 10, "ms")
        body = config_map_protobuf(1000).replace(b"@C@", b"pb1")
        many("create, protobuf", "POST", CONFIG_MAPS, body, type=PROTOBUF, accept=PROTOBUF)
        name = CONFIG_MAPS + "/bench-@N@-json"
        patch = json.dumps({"metadata": {"labels": {"a": "b"}, "annotations": {"n": "@N@"}}})
        patch_kinds = (("merge patch", "application/merge-patch+json", "a@N@"),
                       ("strategic merge patch", "application/strategic-merge-patch+json", "b@N@"))
        for what, kind, value in patch_kinds:
            many(what, "PATCH", name, patch.replace("@N@", value), type=kind, objects=1000)
        apply = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "data": {"mine": "c@N@"}})
        many("server-side apply", "PATCH", name + "?fieldManager=bench", apply,
             type="application/apply-patch+yaml", objects=1000)
        make_pods(options, server, 1000)
        many("get of a pod, JSON", "GET", PODS + "/list-@N@", None, objects=1000)
        many("get of a pod, protobuf", "GET", PODS + "/list-@N@", None, objects=1000,
             accept=PROTOBUF)


def listed_pod():
    """One as a cluster has it: about 3 kB with its defaults."""
    value = pod("list-@N@")
    value["metadata"]["labels"] = {"app": "web", "pod-template-hash": "5d9c7b8f6d", "tier": "front"}
    value["metadata"]["annotations"] = {"example.com/checksum": "0123456789abcdef" * 4}
    value["spec"]["automountServiceAccountToken"] = False
    container = value["spec"]["containers"][0]
    container["env"] = [{"name": "SETTING_%d" % i, "value": "value-%d" % i} for i in range(12)]
    container["ports"] = [{"containerPort": 8080, "name": "http"}]
    container["resources"] = {"requests": {"cpu": "100m", "memory": "64Mi"},
                              "limits": {"cpu": "1", "memory": "128Mi"}}
    container["readinessProbe"] = {"httpGet": {"path": "/healthz", "port": "http"}}
    return value


def make_pods(options, server, count):
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    server.must("POST", "/api/v1/namespaces/default/serviceaccounts", account)
    done = server.load(options, "POST", PODS, json.dumps(listed_pod()), 32, 300, count)
    if done["errors"]:
        raise RuntimeError("creates failed: %s" % done)


def memory_kb(pid, name):
    return fields_of("/proc/%d/status" % pid)[name]


def listing(options, folder, table):
    with Server(options, folder, CONTROL_PLANE) as server:
        server.spawn()
        server.until_serving()
        empty = memory_kb(server.pid, "VmRSS")
        make_pods(options, server, 10000)
        full = memory_kb(server.pid, "VmRSS")
        table.add("RSS with 10,000 pods", full / 1024, None, "MB")
        table.add("RSS a stored pod", (full - empty) / 10000, 10, "kB")
        for what, accept, aim in (("", "application/json", 0.5), (" in protobuf", PROTOBUF, None)):
            before = memory_kb(server.pid, "VmRSS")
            with open("/proc/%d/clear_refs" % server.pid, "w") as file:
                file.write("5")  # the peak starts anew
            done = server.load(options, "GET", PODS, None, 1, 30, 20, accept=accept)
            peak = memory_kb(server.pid, "VmHWM")
            table.add("LIST of 10,000 pods%s (%.0f MB)" % (what, done["bytes"] / 1e6), done["p50"],
                      30, "ms")
            table.add("of it RSS at the most", (peak - before) / 1024, aim, "MB")


def watching(options, folder, table):
    with Server(options, folder, CONTROL_PLANE) as server:
        server.spawn()
        server.until_serving()
        server.must("POST", CONFIG_MAPS, json.loads(config_map(1000).replace("@N@-@C@", "busy")))
        for what, accept, framed in (("", "application/json", 0),
                                     (", protobuf", PROTOBUF + ";stream=watch", 1)):
            done = server.program(options, "watch_load", json.dumps({"data": {"n": "@N@"}}), {
                "watch": CONFIG_MAPS + "?watch=1", "path": CONFIG_MAPS + "/bench-busy",
                "accept": accept, "framed": framed, "watchers": 1000, "events": 100})
            table.add("event to 1,000 watchers%s, p50" % what, done["p50"], 20, "ms")
            table.add("event to 1,000 watchers%s, p99" % what, done["p99"], 20, "ms")


def dns(options, folder, table):
    """A name of the cluster, asked of the node's own server; one query at a time, then many."""
    with Server(options, folder) as server:
        server.spawn()
        server.until_ready()
        server.until_account()
        for in_flight in (1, 64):
            argv = [os.path.join(options.load, "dns_load"), "address=10.43.0.10", "port=53", "seconds=3",
                    "name=kubernetes.default.svc.cluster.local", "in_flight=%d" % in_flight]
            done = json.loads(run_program(argv, timeout=60)[0])
            if done["errors"]:
                raise RuntimeError("queries failed: %s" % done)
            if in_flight > 1:
                table.add("DNS queries/s, %d at a time" % in_flight, done["per_s"], None, "")
                continue
            table.add("DNS answer of the node's own, p50", 1000 * done["p50"], 100, "us")
            table.add("DNS answer of the node's own, p99", 1000 * done["p99"], 100, "us")


def size(options, folder, table):
    os.makedirs(folder)
    stripped = folder + "/knarr"
    run_program(["strip", "-o", stripped, options.knarr])
    table.add("size of the stripped binary", os.path.getsize(stripped) / 1e6, 10, "MB")


ALL = (("start", start), ("idle", idle), ("pods", pods), ("writes", writes),
       ("requests", requests), ("list", listing), ("watch", watching), ("dns", dns),
       ("size", size))
