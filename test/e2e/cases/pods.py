"""What pods may ask of their node beyond an image: hooks, volumes that change, users, limits, names."""
import json
import os
import time

from harness import wait

HOLD = ["sh", "-c", "trap exit TERM; sleep 3600 & wait"]


def start(cluster, name, image, container=None, **spec):
    """A pod of one busybox container that holds on, changed by `container` and `spec`."""
    first = {"name": "c", "image": image, "command": HOLD, **(container or {})}
    cluster.apply(json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 2, "containers": [first], **spec}}))


def run_in(cluster, pod, script, container="c", ok=True):
    return cluster.kubectl("exec", pod, "-c", container, "--", "sh", "-c", script, ok=ok).strip()


def busybox(registry):
    return registry.address + "/busybox"


def test_hooks(cluster, registry):
    """postStart ends before the pod is Ready; preStop runs before the signal; both see the container."""
    write = lambda text: {"exec": {"command": ["sh", "-c", "echo %s >> /shared/hooks" % text]}}  # noqa: E731
    start(cluster, "hooked", busybox(registry),
          {"lifecycle": {"postStart": write("begun"), "preStop": write("ending")},
           "command": ["sh", "-c", "trap 'echo term >> /shared/hooks; exit 0' TERM; sleep 3600 & wait"],
           "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]},
          volumes=[{"name": "shared", "hostPath": {"path": cluster.folder + "/hooks", "type": "DirectoryOrCreate"}}])
    cluster.wait_for("pod/hooked")
    assert run_in(cluster, "hooked", "cat /shared/hooks") == "begun"
    cluster.kubectl("delete", "pod", "hooked")
    with open(cluster.folder + "/hooks/hooks") as file:
        assert file.read().split() == ["begun", "ending", "term"]


def test_changed_config_map_reaches_the_volume(cluster, registry):
    """... but not the environment, nor a mount of one file by subPath."""
    cluster.kubectl("create", "configmap", "settings", "--from-literal=colour=blue")
    start(cluster, "reader", busybox(registry), {
        "env": [{"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}}],
        "volumeMounts": [{"name": "settings", "mountPath": "/settings"},
                         {"name": "settings", "mountPath": "/one", "subPath": "colour"}]},
          volumes=[{"name": "settings", "configMap": {"name": "settings"}}])
    cluster.wait_for("pod/reader")
    assert run_in(cluster, "reader", "cat /settings/colour; echo; cat /one") == "blue\nblue"
    cluster.kubectl("patch", "configmap", "settings", "-p", '{"data":{"colour":"red","shape":"round"}}')
    wait.until("the change is seen", lambda: run_in(
        cluster, "reader", "cat /settings/colour /settings/shape") == "redround", 90)
    assert run_in(cluster, "reader", "cat /one; echo $COLOUR") == "blueblue"


def test_users_and_file_systems(cluster, registry):
    start(cluster, "modest", busybox(registry), {
        "securityContext": {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]},
          volumes=[{"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
          securityContext={"runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000,
                           "supplementalGroups": [4000], "runAsNonRoot": True})
    cluster.wait_for("pod/modest")
    assert run_in(cluster, "modest", "id -u; id -g; id -G").split("\n") == ["1000", "3000", "3000 2000 4000"]
    assert "Read-only file system" in run_in(cluster, "modest", "touch /x 2>&1; true")
    assert run_in(cluster, "modest", "touch /scratch/x && stat -c %g /scratch/x /scratch") == "2000\n2000"
    assert "No space left" in run_in(cluster, "modest", "dd if=/dev/zero of=/scratch/y bs=1M count=2 2>&1; true")
    assert run_in(cluster, "modest", "grep CapEff /proc/self/status").split()[1] == "0" * 16
    assert run_in(cluster, "modest", "grep NoNewPrivs /proc/self/status").split()[1] == "1"


def test_shared_processes_and_names(cluster, registry):
    start(cluster, "shared", busybox(registry), shareProcessNamespace=True, hostname="inner", subdomain="group",
          hostAliases=[{"ip": "10.9.8.7", "hostnames": ["elsewhere"]}], dnsPolicy="None",
          dnsConfig={"nameservers": ["10.43.0.10"], "searches": ["one.example"],
                     "options": [{"name": "ndots", "value": "2"}]})
    cluster.wait_for("pod/shared")
    assert run_in(cluster, "shared", "cat /proc/1/comm") == "pause"
    assert run_in(cluster, "shared", "hostname -f") == "inner.group.default.svc.cluster.local"
    assert "10.9.8.7\telsewhere" in run_in(cluster, "shared", "cat /etc/hosts")
    assert run_in(cluster, "shared", "cat /etc/resolv.conf").split("\n") == [
        "search one.example", "nameserver 10.43.0.10", "options ndots:2"]


def test_deadline(cluster, registry):
    start(cluster, "late", busybox(registry), activeDeadlineSeconds=1, restartPolicy="Never")
    pod = cluster.wait_pod("late", lambda p: p["status"].get("phase") == "Failed")
    assert pod["status"]["reason"] == "DeadlineExceeded", pod["status"]


def test_deleted_at_once(cluster, registry):
    """A pod that ignores SIGTERM: by force it is gone from the API, and then from the node."""
    start(cluster, "stubborn", busybox(registry), {"command": ["sh", "-c", "trap '' TERM; sleep 7654"]},
          terminationGracePeriodSeconds=60)
    cluster.wait_for("pod/stubborn")
    started = time.monotonic()
    cluster.kubectl("delete", "pod", "stubborn", "--force", "--grace-period=0")
    assert time.monotonic() - started < 20

    def running():
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid) as file:
                    if "7654" in file.read():
                        return True
            except OSError:
                pass
        return False
    wait.until("its processes are gone", lambda: not running())


def test_sidecar_ends_last(cluster, registry):
    """An init container with restartPolicy Always runs beside the others and doesn't hold the pod's end."""
    start(cluster, "helped", busybox(registry), {"command": ["sh", "-c", "sleep 1; cat /shared/log"],
                                                 "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]},
          restartPolicy="Never", volumes=[{"name": "shared", "emptyDir": {}}],
          initContainers=[{"name": "side", "image": busybox(registry), "restartPolicy": "Always",
                           "command": ["sh", "-c", "echo ready > /shared/log; trap exit TERM; sleep 3600 & wait"],
                           "startupProbe": {"exec": {"command": ["test", "-e", "/shared/log"]}, "periodSeconds": 1},
                           "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}])
    cluster.wait_pod("helped", lambda p: p["status"].get("phase") == "Succeeded")
    assert cluster.kubectl("logs", "helped", "-c", "c") == "ready\n"


def test_secrets_and_tokens(cluster, registry):
    """Modes of files, optional sources, and a service account's token that the server accepts."""
    cluster.kubectl("create", "secret", "generic", "keys", "--from-literal=key=hidden")
    start(cluster, "keeper", busybox(registry), {
        "envFrom": [{"secretRef": {"name": "keys"}, "prefix": "S_"},
                    {"configMapRef": {"name": "nowhere", "optional": True}}],
        "volumeMounts": [{"name": "all", "mountPath": "/all"}]},
          volumes=[{"name": "all", "projected": {"defaultMode": 0o400, "sources": [
              {"secret": {"name": "keys", "items": [{"key": "key", "path": "deep/key", "mode": 0o440}]}},
              {"configMap": {"name": "nowhere", "optional": True}},
              {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
              {"serviceAccountToken": {"path": "token", "audience": "someone", "expirationSeconds": 600}}]}}])
    cluster.wait_for("pod/keeper")
    assert run_in(cluster, "keeper", "echo $S_key; cat /all/deep/key; echo; cat /all/labels") == \
        'hidden\nhidden\napp="keeper"'
    assert run_in(cluster, "keeper", "stat -L -c %a /all/deep/key /all/labels /all/token") == "440\n400\n400"
    token = run_in(cluster, "keeper", "cat /all/token")
    review = cluster.kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": token, "audiences": ["someone"]}}))
    status = json.loads(review)["status"]
    assert status["authenticated"] and status["user"]["username"] == "system:serviceaccount:default:default", status
    default = run_in(cluster, "keeper", "cat /var/run/secrets/kubernetes.io/serviceaccount/token")
    assert default.count(".") == 2 and default != token


def test_refused(cluster, registry):
    """What this node cannot do it says, in a kubelet's words; it does not pretend."""
    start(cluster, "confined", busybox(registry),
          securityContext={"appArmorProfile": {"type": "RuntimeDefault"}})
    pod = cluster.wait_pod("confined", lambda p: p["status"].get("phase") == "Failed")
    assert pod["status"]["reason"] == "AppArmor", pod["status"]
    start(cluster, "mapped", busybox(registry), hostUsers=False)
    cluster.api.watch_until("/api/v1/namespaces/default/events", lambda e: (
        e["involvedObject"]["name"] == "mapped" and e["reason"] == "FailedCreatePodSandBox" and
        "can't set `spec.hostUsers: false`, runtime does not support user namespaces" in e["message"]))
    cluster.kubectl("delete", "pod", "confined", "mapped")


def test_rules_of_restart(cluster, registry):
    """An exit that a rule names restarts a container of a pod that never does; another ends it."""
    start(cluster, "ruled", busybox(registry), {
        "command": ["sh", "-c", "echo x >> /data/starts; [ $(wc -l < /data/starts) -lt 2 ] && exit 42; exit 3"],
        "restartPolicy": "Never",
        "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
          restartPolicy="Never", volumes=[{"name": "data", "emptyDir": {}}])
    pod = cluster.wait_pod("ruled", lambda p: p["status"].get("phase") == "Failed")
    status = pod["status"]["containerStatuses"][0]
    assert status["restartCount"] == 1 and status["state"]["terminated"]["exitCode"] == 3, status
