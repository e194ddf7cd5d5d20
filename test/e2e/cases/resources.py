"""What containers may use: limits as cgroups, changed while they run."""
from harness import wait

POD = """
apiVersion: v1
kind: Pod
metadata: {name: sized}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: IMAGE
    command: [sleep, "3600"]
    resources: {requests: {cpu: 100m, memory: 16Mi}, limits: {cpu: 200m, memory: 32Mi}}
"""
FILES = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true"


def limit(cluster):
    return int(cluster.kubectl("exec", "sized", "--", "sh", "-c", FILES).split()[0])


def resize(cluster, resources):
    body = {"spec": {"containers": [{"name": "c", "resources": resources}]}}
    return cluster.api.call("PATCH", "/api/v1/namespaces/default/pods/sized/resize", body,
                            "application/strategic-merge-patch+json")


def conditions(pod):
    return {c["type"]: c.get("reason", "") for c in pod["status"]["conditions"]}


def test_limits(cluster, registry):
    cluster.apply(POD.replace("IMAGE", registry.address + "/busybox"))
    cluster.wait_for("pod/sized")
    assert limit(cluster) == 32 << 20


def test_resize_in_place(cluster, registry):
    before = cluster.pod("sized")["status"]["containerStatuses"][0]
    status, answer = resize(cluster, {"requests": {"memory": "24Mi"},
                                      "limits": {"memory": "64Mi", "cpu": "300m"}})
    assert status == 200, answer
    pod = cluster.wait_pod("sized", lambda p: p["status"]["containerStatuses"][0].get(
        "resources", {}).get("limits", {}).get("memory") == "64Mi" and
        "PodResizeInProgress" not in conditions(p))
    after = pod["status"]["containerStatuses"][0]
    assert after["containerID"] == before["containerID"]
    assert after["allocatedResources"]["memory"] == "24Mi", after
    assert limit(cluster) == 64 << 20


def test_resize_that_never_fits(cluster, registry):
    status, answer = resize(cluster, {"requests": {"cpu": "1000"}, "limits": {"cpu": "1000"}})
    assert status == 403 and "node didn't have enough allocatable resources: cpu" in answer["message"], answer
    pod = cluster.pod("sized")
    assert pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "100m", pod["spec"]


def test_resized_pod_stays_so(cluster, registry):
    """Another knarr finds what was given, and leaves it."""
    cluster.crash()
    cluster.start()
    cluster.wait_for("pod/sized")
    assert limit(cluster) == 64 << 20
    wait.until("no resize is open", lambda: not {"PodResizePending", "PodResizeInProgress"} &
               set(conditions(cluster.pod("sized"))))
