"""Claims that name no class: directories of nodes, over several nodes, and what becomes of them; what nodes and pods use."""
import json
import os

from harness import api, images, process, wait
from harness.agent import Agent

agents = {}

# One replica a node.
SET = """
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 3
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {runAsUser: 1000}
      tolerations: [{operator: Exists}]
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: db}}}
      containers:
      - name: c
        image: busybox
        imagePullPolicy: Never
        command: [sh, -c, "touch /data/$(hostname); echo $(date) >> /data/starts; trap exit TERM; sleep 3600 & wait"]
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""
NAMES = ["db-0", "db-1", "db-2"]


def running(cluster):
    """All three, and no others."""
    pods = [p for p in cluster.pods("app=db") if "deletionTimestamp" not in p["metadata"]]
    return sorted(p["metadata"]["name"] for p in pods if api.condition_of(p, "Ready") == "True") == NAMES


def directories(cluster):
    """(node, path) by name of the replica."""
    volumes = {v["metadata"]["name"]: v for v in cluster.api.get("/api/v1/persistentvolumes")["items"]}
    found = {}
    for name in NAMES:
        claim = cluster.api.get("/api/v1/namespaces/default/persistentvolumeclaims/data-" + name)
        volume = volumes[claim["spec"]["volumeName"]]
        found[name] = (volume["metadata"]["labels"]["knarr.io/local-storage-node"],
                       volume["spec"]["hostPath"]["path"])
    return found


def starts(path):
    with open(path + "/starts") as file:
        return len(file.readlines())


def test_one_replica_a_node(cluster):
    for number, name in enumerate(("disk1", "disk2"), 1):
        flags = ["--local-storage-path", cluster.folder + "/elsewhere"] if number == 1 else []
        agents[name] = Agent(cluster, name, number, flags).start()
    for node in (cluster, *agents.values()):
        node.import_image(images.busybox(), "busybox:latest")
    assert "local-path (default)   knarr.io/local-path   Delete          WaitForFirstConsumer" in \
        cluster.kubectl("get", "storageclass")
    cluster.apply(SET)
    wait.until("all replicas to run", lambda: running(cluster), 60)
    places = directories(cluster)
    assert sorted(node for node, _ in places.values()) == ["disk1", "disk2", "node1"], places
    for name, (node, path) in places.items():
        root = {"node1": cluster.data_dir + "/storage", "disk1": cluster.folder + "/elsewhere",
                "disk2": agents["disk2"].data_dir + "/storage"}[node]
        assert path.startswith(root + "/pvc-") and path.endswith("_default_data-" + name), path
        wait.until("the pod to write", lambda p=path: os.path.exists(p + "/starts"))
        assert os.stat(path).st_mode & 0o7777 == 0o777 and os.path.exists(path + "/" + name)
        assert os.stat(path + "/starts").st_uid == 1000


def test_what_nodes_and_pods_use(cluster):
    for what, names in (("nodes", ["node1", "disk1", "disk2"]), ("pods", NAMES)):
        lines = cluster.kubectl("top", what, "--no-headers").splitlines()
        assert sorted(line.split()[0] for line in lines) == sorted(names), lines
        for line in lines:
            cpu, memory = line.split()[1], line.split()[3 if what == "nodes" else 2]
            assert cpu.endswith("m") and memory.endswith("Mi"), line
    metrics = json.loads(cluster.kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"))
    assert metrics["kind"] == "NodeMetricsList" and len(metrics["items"]) == 3
    for node in ("node1", "disk1"):
        kubelet = "/api/v1/nodes/%s/proxy" % node
        summary = json.loads(cluster.kubectl("get", "--raw", kubelet + "/stats/summary"))
        assert summary["node"]["nodeName"] == node and summary["node"]["cpu"]["usageCoreNanoSeconds"] > 0
        pod = next(p for p in summary["pods"] if p["podRef"]["name"] in NAMES)
        assert pod["containers"][0]["memory"]["workingSetBytes"] > 0
        assert pod["network"]["rxBytes"] > 0 and pod["volume"]
        for path, family in (("", "kubelet_running_pods"), ("/resource", "node_cpu_usage_seconds_total"),
                             ("/cadvisor", "container_memory_working_set_bytes"), ("/probes", "")):
            text = cluster.kubectl("get", "--raw", kubelet + "/metrics" + path)
            assert family in text, (node, path, text[:2000])


def test_a_scraper_asks_nodes_themselves(cluster):
    """By a service account's token, once it may."""
    cluster.kubectl("create", "serviceaccount", "scraper")
    token = cluster.kubectl("create", "token", "scraper").strip()
    ports = ["https://%s:%d" % at for at in (
        (cluster.address, cluster.kubelet_port),
        (agents["disk1"].machine.address, agents["disk1"].kubelet_port))]

    def ask(url, *flags):
        return process.run(["curl", "-sk", "-w", " %{http_code}", *flags, url])[0]
    bearer = ("-H", "Authorization: Bearer " + token)
    for port in ports:
        assert ask(port + "/metrics") == "Unauthorized 401"
        assert ask(port + "/metrics", "-H", "Authorization: Bearer x" + token) == "Unauthorized 401"
        assert ask(port + "/stats/summary", *bearer) == (
            "Forbidden (user=system:serviceaccount:default:scraper, verb=get, resource=nodes, "
            "subresource(s)=[stats]) 403")
    cluster.kubectl("create", "clusterrole", "scraper", "--verb=get", "--resource=nodes/metrics")
    cluster.kubectl("create", "clusterrolebinding", "scraper", "--clusterrole=scraper",
                    "--serviceaccount=default:scraper")
    for port in ports:
        for path, family in (("", "kubelet_running_pods"), ("/resource", "node_cpu_usage_seconds_total"),
                             ("/cadvisor", "container_memory_working_set_bytes")):
            text = ask(port + "/metrics" + path, *bearer)
            assert family in text and text.endswith(" 200"), text[-2000:]


def test_data_stays(cluster):
    places = directories(cluster)
    before = {name: starts(path) for name, (_, path) in places.items()}
    cluster.kubectl("delete", "pod", "--all", "--wait=false")
    wait.until("pods to start again", lambda: all(
        starts(path) > before[name] for name, (_, path) in places.items()) and running(cluster), 60)
    cluster.crash()
    cluster.start()
    agents["disk2"].power_cut()
    agents["disk2"].start()
    name = next(name for name, (node, _) in places.items() if node == "disk2")
    wait.until("the pod there to run again", lambda: starts(places[name][1]) > before[name] + 1
               and running(cluster), 60)
    assert directories(cluster) == places
    for name, (_, path) in places.items():
        assert os.path.exists(path + "/" + name) and starts(path) > before[name]


def test_a_disk_that_is_not_mounted(cluster):
    """What is seen at its place then is not written to."""
    places, root = directories(cluster), cluster.folder + "/elsewhere"
    name, path = next((name, path) for name, (node, path) in places.items() if node == "disk1")
    before = starts(path)
    os.rename(root, root + "-away")
    os.mkdir(root)
    cluster.kubectl("delete", "pod", name, "--wait=false")
    wait.until("the pod to be told why", lambda: "Is its disk mounted?" in cluster.kubectl(
        "get", "events", "--field-selector", "reason=FailedMount,involvedObject.name=" + name, "-o", "yaml"))
    assert not os.listdir(root)
    os.rmdir(root)
    os.rename(root + "-away", root)
    wait.until("the pod to run again", lambda: starts(path) > before and running(cluster), 60)


def test_what_is_left(cluster):
    places = directories(cluster)
    kept = cluster.kubectl("get", "pvc", "data-db-0", "-o", "jsonpath={.spec.volumeName}")
    cluster.kubectl("patch", "pv", kept, "-p", '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}')
    # Who is away does it when it is back.
    away = next(node for name, (node, _) in places.items() if node != "node1" and name != "db-0")
    cluster.kubectl("delete", "statefulset,service", "db")
    wait.until("no pods", lambda: not cluster.pods("app=db"))
    agents[away].stop()
    cluster.kubectl("delete", "pvc", "--all")
    gone = [path for name, (node, path) in places.items() if name != "db-0" and node != away]
    wait.until("directories to be removed", lambda: not any(os.path.exists(p) for p in gone))
    later = [path for name, (node, path) in places.items() if node == away]
    assert all(os.path.exists(path + "/starts") for path in later)
    agents[away].start()
    wait.until("the rest to be removed", lambda: not any(os.path.exists(p) for p in later))
    wait.until("one volume to be left", lambda: cluster.kubectl(
        "get", "pv", "-o", "jsonpath={.items[*].metadata.name}") == kept)
    assert cluster.kubectl("get", "pv", kept, "-o", "jsonpath={.status.phase}") == "Released"
    cluster.kubectl("delete", "pv", kept)
    assert os.path.exists(places["db-0"][1] + "/starts")


def test_end(cluster):
    for agent in agents.values():
        agent.close()
