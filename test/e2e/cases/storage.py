"""Volumes that claims are bound to: when there is one, where a pod can use it, and while it is used; and quotas."""
import json
import os

from harness import wait

HOLD = ["sh", "-c", "trap exit TERM; sleep 3600 & wait"]


def volume(cluster, name, storage_class):
    path = cluster.folder + "/" + name
    os.makedirs(path, exist_ok=True)
    cluster.apply(json.dumps({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                 "storageClassName": storage_class, "hostPath": {"path": path}}}))
    return path


def claim(cluster, name, storage_class):
    cluster.apply(json.dumps({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": storage_class,
                 "resources": {"requests": {"storage": "1Gi"}}}}))


def user(cluster, registry, name, claim_name):
    cluster.apply(json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 1,
                 "containers": [{"name": "c", "image": registry.address + "/busybox", "command": HOLD,
                                 "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
                 "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}]}}))


def phase(cluster, what):
    return cluster.kubectl("get", what, "-o", "jsonpath={.status.phase}")


def reach(cluster, what, wanted):
    wait.until("%s to be %s" % (what, wanted), lambda: phase(cluster, what) == wanted)


def test_bound_at_once(cluster, registry):
    path = volume(cluster, "kept", "manual")
    claim(cluster, "data", "manual")
    reach(cluster, "pvc/data", "Bound")
    user(cluster, registry, "writer", "data")
    cluster.wait_for("pod/writer")
    cluster.kubectl("exec", "writer", "--", "sh", "-c", "echo kept > /data/file")
    cluster.kubectl("delete", "pvc", "data", "--wait=false")
    assert phase(cluster, "pvc/data") == "Bound"
    cluster.kubectl("delete", "pod", "writer")
    reach(cluster, "pv/kept", "Released")
    with open(path + "/file") as file:
        assert file.read() == "kept\n"
    cluster.kubectl("delete", "pv", "kept")


def test_bound_for_its_consumer(cluster, registry):
    cluster.apply(json.dumps({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "later"},
        "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}))
    volume(cluster, "spare", "later")
    claim(cluster, "waits", "later")
    reach(cluster, "pv/spare", "Available")
    assert phase(cluster, "pvc/waits") == "Pending"
    user(cluster, registry, "first", "waits")
    cluster.wait_for("pod/first")
    assert phase(cluster, "pvc/waits") == "Bound"
    cluster.kubectl("delete", "pod/first", "pvc/waits", "pv/spare")


def test_quota(cluster):
    cluster.kubectl("create", "quota", "few", "--hard=configmaps=2")
    wait.until("the quota to be counted", lambda: cluster.kubectl(
        "get", "quota", "few", "-o", "jsonpath={.status.used.configmaps}") == "1")
    cluster.kubectl("create", "configmap", "one")
    refused = cluster.kubectl("create", "configmap", "two", ok=False)
    assert "exceeded quota: few, requested: configmaps=1, used: configmaps=2, limited: configmaps=2" in refused
    cluster.kubectl("delete", "quota/few", "configmap/one")
