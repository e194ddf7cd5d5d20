"""The official JavaScript client: a controller driven by an informer, exec, port-forward, logs."""
import os
import shutil
import subprocess

from harness import process, wait
from harness.cluster import REPO

MODULES = REPO + "/build/js"


def missing():
    if not os.path.isdir(MODULES + "/node_modules"):
        return "the client's packages: test/e2e/js/install puts them into build/js"
    return ""


def argv(*args):
    shutil.copy(REPO + "/test/e2e/js/client.mjs", MODULES)
    return ["node", MODULES + "/client.mjs", *args]


def node(cluster, *args, timeout=60):
    out, _, _ = process.run(argv(*args), timeout=timeout,
                            env={**os.environ, "KUBECONFIG": cluster.kubeconfig})
    return out


def test_api(cluster, registry):
    assert "all as it should be" in node(cluster, "api")


def test_controller(cluster, registry):
    """It follows creations, changes and deletions, and its mirrors go with what they mirror."""
    cluster.kubectl("create", "configmap", "early", "--from-literal=colour=blue")
    cluster.kubectl("label", "configmap", "early", "mirror=yes")
    log_path = cluster.folder + "/controller.log"
    with open(log_path, "w") as log:
        controller = subprocess.Popen(argv("controller"), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                      env={**os.environ, "KUBECONFIG": cluster.kubeconfig})

    def mirrored(name, colour):
        out = cluster.kubectl("get", "configmap", name + "-mirror", "--ignore-not-found",
                              "-o", "jsonpath={.data.colour}")
        assert controller.poll() is None, open(log_path).read()
        return out == colour
    try:
        wait.until("what was there is mirrored", lambda: mirrored("early", "blue"))
        cluster.kubectl("create", "configmap", "late", "--from-literal=colour=red")
        cluster.kubectl("label", "configmap", "late", "mirror=yes")
        wait.until("what comes is mirrored", lambda: mirrored("late", "red"))
        cluster.kubectl("patch", "configmap", "late", "-p", '{"data":{"colour":"green"}}')
        wait.until("a change is mirrored", lambda: mirrored("late", "green"))
        cluster.kubectl("delete", "configmap", "late")
        wait.until("the mirror goes too", lambda: mirrored("late", ""))
        wait.until("the controller has seen it go", lambda: "gone late" in open(log_path).read())
    finally:
        process.stop(controller)


def test_exec_logs_and_port_forward(cluster, registry):
    cluster.kubectl("run", "web", "--image=%s/httpd" % registry.address)
    cluster.kubectl("run", "talk", "--image=%s/busybox" % registry.address, "--restart=Never", "--",
                    "sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.3; done")
    cluster.wait_for("pod/web")
    assert node(cluster, "exec", "web").strip() == \
        "out=200000 err=trouble status=Failure reason=NonZeroExitCode code=3"
    assert node(cluster, "port-forward", "web").strip() == "web"
    cluster.wait_for("pod/talk", "jsonpath={.status.phase}=Succeeded")
    assert node(cluster, "logs", "talk").split("\n")[:3] == ["line 1", "line 2", "line 3"]
