"""knarr ends, by kill -9 or by a reboot: pods serve on, are adopted, or come back."""
import json
import os
import subprocess
import urllib.request

from harness import process, wait
from harness.cluster import REPO

KEPT = ("containerID", "restartCount", "ready", "image")


def fetch(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode().strip()


def seen(cluster):
    """What should look the same before and after."""
    return {p["metadata"]["name"]: (p["status"]["podIP"], [
        {k: c[k] for k in KEPT} for c in p["status"]["containerStatuses"]]) for p in cluster.pods("app=web")}


PROBE = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1, "timeoutSeconds": 10, "failureThreshold": 1}


def test_start(cluster, registry):
    cluster.apply(json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probed"},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [
            {"name": "c", "image": registry.address + "/httpd", "livenessProbe": PROBE, "readinessProbe": PROBE,
             "startupProbe": {**PROBE, "failureThreshold": 60}}]}}))
    cluster.kubectl("create", "deployment", "web", "--image=%s/httpd" % registry.address,
                    "--replicas=2")
    cluster.kubectl("expose", "deployment", "web", "--port=80")
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s", timeout=70)
    cluster.wait_for("pod/probed")


def serve_without(cluster, end):
    before = seen(cluster)
    address = cluster.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    end()
    wanted, answered = set(before), set()

    def ask():
        answered.add(fetch("http://%s/" % address))
        return answered == wanted
    wait.until("both pods serve without knarr", ask, 20, every=0)
    cluster.start()
    wait.until("the same as before: %s" % json.dumps(before), lambda: seen(cluster) == before)
    name = sorted(wanted)[0]
    assert cluster.kubectl("exec", name, "--", "hostname").strip() == name


def test_kill_9(cluster, registry):
    serve_without(cluster, cluster.crash)


def test_sigterm(cluster, registry):
    serve_without(cluster, cluster.stop)


def test_container_that_ended_meanwhile(cluster, registry):
    """A container that dies while knarr is away is restarted when it is back."""
    name = cluster.pods("app=web")[0]["metadata"]["name"]
    cluster.kubectl("exec", name, "--", "sh", "-c",
                    "(sleep 1; kill -9 -1) >/dev/null 2>&1 & echo started")
    cluster.crash()
    cluster.start()
    cluster.wait_pod(name, lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1 and
                     p["status"]["containerStatuses"][0]["ready"])


def test_probes_go_on(cluster, registry):
    """They find the pods that were adopted, and those stay what they were meanwhile."""
    pod = cluster.pod("probed")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0, pod["status"]
    ready = next(c for c in pod["status"]["conditions"] if c["type"] == "Ready")
    with cluster.exec_open("probed"):  # which does not keep it from ending
        cluster.stop()
    cluster.start()
    pod = cluster.pod("probed")
    assert ready in pod["status"]["conditions"], (ready, pod["status"])


def test_reboot(cluster, registry):
    """All processes, mounts and what is in /run are gone; data is kept."""
    names = set(seen(cluster))
    cluster.stop()
    process.run([REPO + "/scripts/knarr-killall.sh"], env={**os.environ, **cluster.names()})
    mounts = subprocess.run(["findmnt", "-rno", "TARGET"], capture_output=True, text=True).stdout
    assert cluster.data_dir not in mounts, mounts
    cluster.start()

    def back():
        now = seen(cluster)
        return set(now) == names and all(c[0]["ready"] and c[0]["restartCount"] >= 1
                                         for _, c in now.values())
    wait.until("the same pods, restarted", back, 60)
    address = cluster.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    wait.until("they serve", lambda: fetch("http://%s/" % address) in names)
