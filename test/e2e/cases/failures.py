"""What fails, and what is said of it: killed, out of memory, failing probes, images that aren't."""
from harness import wait

POD = """
apiVersion: v1
kind: Pod
metadata: {name: NAME, labels: {app: NAME}}
spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: IMAGE, MORE}]}
"""


def start(cluster, name, image, more):
    cluster.apply(POD.replace("NAME", name).replace("IMAGE", image).replace("MORE", more))


def of_container(pod):
    statuses = pod["status"].get("containerStatuses")
    return statuses[0] if statuses else {"state": {}, "lastState": {}, "restartCount": 0}


def reasons(cluster, name):
    items = cluster.api.get("/api/v1/namespaces/default/events")["items"]
    return {e["reason"] for e in items if e["involvedObject"]["name"] == name}


def test_killed_container_restarts(cluster, registry):
    start(cluster, "killed", registry.address + "/busybox",
          'command: [sh, -c, "trap exit TERM; sleep 3600 & wait"]')
    cluster.wait_for("pod/killed")
    first = of_container(cluster.pod("killed"))["containerID"]
    cluster.kubectl("exec", "killed", "--", "kill", "1", ok=False)  # it may die with the container
    pod = cluster.wait_pod("killed", lambda p: of_container(p)["restartCount"] == 1 and
                           of_container(p).get("ready"))
    assert of_container(pod)["containerID"] != first
    assert "terminated" in of_container(pod)["lastState"]


def test_crash_loop_backs_off(cluster, registry):
    start(cluster, "crashing", registry.address + "/busybox", 'command: [sh, -c, "exit 3"]')
    pod = cluster.wait_pod("crashing", lambda p: of_container(p)["state"].get("waiting", {}).get(
        "reason") == "CrashLoopBackOff")
    assert of_container(pod)["lastState"]["terminated"]["exitCode"] == 3
    wait.until("event BackOff", lambda: "BackOff" in reasons(cluster, "crashing"))


def test_out_of_memory(cluster, registry):
    start(cluster, "greedy", registry.address + "/busybox",
          'command: [sh, -c, "tail /dev/zero"], resources: {limits: {memory: 32Mi}}')
    pod = cluster.wait_pod("greedy", lambda p: of_container(p)["lastState"].get("terminated") or
                           of_container(p)["state"].get("terminated"))
    ended = of_container(pod)["lastState"].get("terminated") or of_container(pod)["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137), ended


def test_failing_liveness_probe_restarts(cluster, registry):
    start(cluster, "dying", registry.address + "/busybox", 'command: [sleep, "3600"], livenessProbe: '
          '{exec: {command: ["false"]}, periodSeconds: 1, failureThreshold: 1}')
    cluster.wait_pod("dying", lambda p: of_container(p)["restartCount"] >= 1)
    wait.until("events", lambda: {"Unhealthy", "Killing"} <= reasons(cluster, "dying"))


def test_failing_readiness_probe_leaves_the_service(cluster, registry):
    start(cluster, "moody", registry.address + "/httpd", 'readinessProbe: {httpGet: {port: 80, '
          'path: /index.html}, periodSeconds: 1, failureThreshold: 1}')
    cluster.kubectl("expose", "pod", "moody", "--port=80")

    def ready():
        items = cluster.api.get("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
                                "?labelSelector=kubernetes.io/service-name=moody")["items"]
        return [e["conditions"]["ready"] for s in items for e in s["endpoints"]]
    cluster.wait_for("pod/moody")
    wait.until("ready endpoint", lambda: ready() == [True])
    cluster.kubectl("exec", "moody", "--", "mv", "/www/index.html", "/www/hidden")
    wait.until("endpoint is not ready", lambda: ready() == [False])
    assert of_container(cluster.pod("moody"))["restartCount"] == 0
    cluster.kubectl("exec", "moody", "--", "mv", "/www/hidden", "/www/index.html")
    wait.until("endpoint is ready again", lambda: ready() == [True])


def test_bad_image(cluster, registry):
    start(cluster, "bad", registry.address + "/missing:1", "")
    pod = cluster.wait_pod("bad", lambda p: of_container(p)["state"].get("waiting", {}).get(
        "reason") in ("ErrImagePull", "ImagePullBackOff"))
    pod = cluster.wait_pod("bad", lambda p: of_container(p)["state"].get("waiting", {}).get(
        "reason") == "ImagePullBackOff", 90)
    assert "missing:1" in of_container(pod)["state"]["waiting"]["message"]
    assert "Failed" in reasons(cluster, "bad")
