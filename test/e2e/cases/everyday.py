"""The everyday verbs of kubectl against one Deployment: what is shown, changed, undone, deleted."""
import json

from harness import wait
from harness.manifests import CONFIG_AND_SERVICE


def deployment_image(cluster):
    return cluster.kubectl("get", "deployment", "web", "-o",
                           "jsonpath={.spec.template.spec.containers[0].image}")


def test_get_and_describe(cluster, registry):
    cluster.kubectl("create", "deployment", "web", "--image=%s/httpd" % registry.address)
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s", timeout=70)
    nodes = cluster.kubectl("get", "nodes", "-o", "wide").split("\n")
    assert nodes[0].split()[:5] == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"], nodes
    assert nodes[1].split()[:2] == ["node1", "Ready"], nodes
    pods = cluster.kubectl("get", "pods", "-o", "wide").split("\n")
    assert pods[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE",
                               "NOMINATED", "NODE", "READINESS", "GATES"], pods
    assert pods[1].split()[1:4] == ["1/1", "Running", "0"], pods
    text = cluster.kubectl("describe", "pod", "-l", "app=web")
    for reason in ("Scheduled", "Pulled", "Created", "Started"):
        assert reason in text, text
    text = cluster.kubectl("describe", "deployment", "web")
    assert "ScalingReplicaSet" in text and "1 available" in text, text
    assert "Ready" in cluster.kubectl("describe", "node", "node1")


def test_get_watch(cluster, registry):
    terminal = cluster.terminal("get", "configmaps", "-w", "--no-headers", "-o",
                                "custom-columns=N:.metadata.name")
    try:
        terminal.expect("kube-root-ca.crt")
        cluster.kubectl("create", "configmap", "seen", "--from-literal=a=b")
        terminal.expect("seen")
    finally:
        terminal.close()
    cluster.kubectl("delete", "configmap", "seen")


def test_apply_twice(cluster):
    assert cluster.apply(CONFIG_AND_SERVICE).split("\n")[:2] == ["configmap/settings created",
                                                                 "service/shop created"]
    assert cluster.apply(CONFIG_AND_SERVICE).split("\n")[:2] == ["configmap/settings unchanged",
                                                  "service/shop unchanged"]
    assert "configmap/settings configured" in cluster.apply(CONFIG_AND_SERVICE.replace("blue", "red"))
    out = cluster.kubectl("get", "configmap", "settings", "-o", "jsonpath={.data.colour}")
    assert out == "red", out
    out = cluster.kubectl("delete", "-f", "-", stdin=CONFIG_AND_SERVICE)
    assert 'configmap "settings" deleted' in out, out
    out = cluster.kubectl("get", "configmap", "settings", ok=False)
    assert 'configmaps "settings" not found' in out, out


def test_server_side_apply(cluster):
    out = cluster.kubectl("apply", "--server-side", "-f", "-", stdin=CONFIG_AND_SERVICE)
    assert "configmap/settings serverside-applied" in out, out
    cluster.kubectl("delete", "-f", "-", stdin=CONFIG_AND_SERVICE)


def test_scale_and_wait(cluster, registry):
    cluster.kubectl("scale", "deployment/web", "--replicas=3")
    cluster.wait_for("deployment/web", "jsonpath={.status.readyReplicas}=3")
    cluster.kubectl("scale", "deployment/web", "--replicas=1")
    wait.until("one pod", lambda: len(cluster.pods("app=web")) == 1, 60)


def test_rollout(cluster, registry):
    first = deployment_image(cluster)
    before = {pod["metadata"]["name"] for pod in cluster.pods("app=web")}
    cluster.kubectl("rollout", "restart", "deployment/web")
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s", timeout=70)
    wait.until("other pods", lambda: not before & {p["metadata"]["name"] for p in cluster.pods("app=web")}, 60)
    cluster.kubectl("set", "image", "deployment/web", "httpd=%s/httpd:latest" % registry.address)
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s", timeout=70)
    assert deployment_image(cluster) == registry.address + "/httpd:latest"
    cluster.kubectl("rollout", "undo", "deployment/web")
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s", timeout=70)
    assert deployment_image(cluster) == first
    history = cluster.kubectl("rollout", "history", "deployment/web")
    assert "REVISION" in history and "4" in history, history


def test_patch_and_label(cluster, registry):
    cluster.kubectl("label", "deployment", "web", "tier=front")
    cluster.kubectl("annotate", "deployment", "web", "note=x")
    cluster.kubectl("patch", "deployment", "web", "--type=json", "-p",
                    json.dumps([{"op": "add", "path": "/spec/minReadySeconds", "value": 1}]))
    out = json.loads(cluster.kubectl("get", "deployments", "-l", "tier=front", "-o", "json"))
    assert out["items"][0]["spec"]["minReadySeconds"] == 1
    assert out["items"][0]["metadata"]["annotations"]["note"] == "x"


def test_top(cluster):
    out = cluster.kubectl("top", "nodes", "--no-headers")
    assert out.startswith("node1 ") and "%" in out, out


def test_delete_takes_what_it_owns(cluster, registry):
    cluster.kubectl("delete", "deployment", "web")
    wait.until("no ReplicaSets and pods", lambda: not cluster.pods("app=web") and not cluster.api.get(
        "/apis/apps/v1/namespaces/default/replicasets")["items"], 60)
