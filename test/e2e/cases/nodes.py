"""A node whose link is cut: NotReady, its pods replaced elsewhere, its containers untouched; healed."""
import os

from harness import api, images, process, wait
from harness.agent import Agent

agents = {}

# One that gives up on its node soon, one that stays with it.
PODS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: moves}
spec:
  replicas: 1
  selector: {matchLabels: {app: moves}}
  template:
    metadata: {labels: {app: moves}}
    spec:
      terminationGracePeriodSeconds: 1
      tolerations:
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
            - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [edge1, edge2]}]
          preferredDuringSchedulingIgnoredDuringExecution:
          - weight: 100
            preference: {matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [edge1]}]}
      containers: [{name: c, image: httpd, imagePullPolicy: Never}]
---
apiVersion: v1
kind: Pod
metadata: {name: stays, labels: {app: stays}}
spec:
  nodeName: edge1
  tolerations: [{operator: Exists}]
  containers: [{name: c, image: httpd, imagePullPolicy: Never}]
---
apiVersion: v1
kind: Pod
metadata: {name: stays-too, labels: {app: stays}}
spec:
  nodeName: edge2
  containers: [{name: c, image: httpd, imagePullPolicy: Never}]
---
apiVersion: v1
kind: Service
metadata: {name: stays}
spec: {selector: {app: stays}, ports: [{port: 80}]}
"""


def ready(cluster, name):
    return api.condition_of(cluster.api.get("/api/v1/nodes/" + name), "Ready")


def moving(cluster):
    return [p for p in cluster.pods("app=moves") if "deletionTimestamp" not in p["metadata"]]


def container(pod):
    return pod["status"]["containerStatuses"][0]["containerID"]


def processes(agent):
    """Of all containers there, by the cgroups of its knarr."""
    found = set()
    for folder, _, files in os.walk("/sys/fs/cgroup"):
        if "/%s" % agent.cgroup_root in folder and "cgroup.procs" in files:
            with open(folder + "/cgroup.procs") as file:
                found |= set(file.read().split())
    return found


def answers(cluster, times):
    """Who answers at the service, asked a few times from the server's node."""
    address = cluster.api.get("/api/v1/namespaces/default/services/stays")["spec"]["clusterIP"]
    ask = "for i in $(seq %d); do curl -s -m 2 http://%s/ || echo nobody; done" % (times, address)
    return set(process.run(["sh", "-c", ask])[0].split())


def test_both_join(cluster):
    for number, name in enumerate(("edge1", "edge2"), 1):
        agents[name] = Agent(cluster, name, number).start()
        agents[name].import_image(images.httpd(), "httpd:latest")
    cluster.apply(PODS)
    cluster.wait_for("deployment/moves", "condition=Available")
    cluster.kubectl("wait", "pod/stays", "pod/stays-too", "--for=condition=Ready", "--timeout=30s")
    wait.until("both answer", lambda: answers(cluster, 10) == {"stays", "stays-too"})
    assert [p["spec"]["nodeName"] for p in moving(cluster)] == ["edge1"]


def test_cut(cluster):
    before, running = container(cluster.pod("stays")), processes(agents["edge1"])
    agents["edge1"].machine.cut()
    wait.until("edge1 is not ready", lambda: ready(cluster, "edge1") == "Unknown", 70)
    wait.until("its pod is replaced", lambda: [p["spec"]["nodeName"] for p in moving(cluster)] == ["edge2"])
    cluster.wait_for("deployment/moves", "condition=Available")
    wait.until("the service is left by who is cut off", lambda: answers(cluster, 10) == {"stays-too"})
    assert answers(cluster, 30) == {"stays-too"}
    assert processes(agents["edge1"]) == running
    assert container(cluster.pod("stays")) == before


def test_heal(cluster):
    before = container(cluster.pod("stays"))
    agents["edge1"].machine.heal()
    wait.until("edge1 is ready", lambda: ready(cluster, "edge1") == "True", 60)
    wait.until("the replaced pod is gone", lambda: len(cluster.pods("app=moves")) == 1, 60)
    stays = cluster.pod("stays")
    assert container(stays) == before and stays["status"]["containerStatuses"][0]["restartCount"] == 0
    wait.until("both answer again", lambda: answers(cluster, 10) == {"stays", "stays-too"})
    wait.until("it is told to be ready", lambda: api.condition_of(cluster.pod("stays"), "Ready") == "True")


def test_end(cluster):
    for agent in agents.values():
        agent.close()
