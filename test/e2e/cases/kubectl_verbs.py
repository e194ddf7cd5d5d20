"""`knarr kubectl`: the everyday verbs, beside the real kubectl where both can be asked."""
import json
import os

from harness import process, wait
from harness.manifests import CONFIG_AND_SERVICE


def argv(cluster, *args):
    return [cluster.knarr, "kubectl", "--kubeconfig", cluster.kubeconfig, *args]


def own(cluster, *args, stdin=None, ok=True, timeout=60):
    out, err, _ = process.run(argv(cluster, *args), stdin, ok, timeout)
    return out if ok else out + err


def test_deployment(cluster, registry):
    out = own(cluster, "create", "deployment", "web", "--image=%s/httpd" % registry.address)
    assert out == "deployment.apps/web created\n", out
    out = own(cluster, "rollout", "status", "deployment/web", "--timeout=60s", timeout=70)
    assert out.endswith('deployment "web" successfully rolled out\n'), out
    assert own(cluster, "expose", "deployment", "web", "--port=80") == "service/web exposed\n"


def test_get_as_kubectl_does(cluster, registry):
    for args in (["get", "deployments"], ["get", "pods", "--show-labels"], ["get", "rs", "-o", "wide"],
                 ["get", "svc,deploy"], ["get", "deploy/web", "svc/web"], ["get", "pods", "-o", "name"],
                 ["get", "deploy", "web", "-o", "json"], ["get", "nodes", "--no-headers"],
                 ["get", "deploy", "-o", "custom-columns=N:.metadata.name,R:.spec.replicas"],
                 ["get", "svc", "-o", "jsonpath={range .items[*]}{.metadata.name}{\"\\n\"}{end}"]):
        def same(args=args):
            return cluster.kubectl(*args) == own(cluster, *args)
        wait.until("the same of " + " ".join(args), same, 20)  # ages may differ by a second


def test_errors_as_kubectl_does(cluster):
    for args in (["get", "pod", "nope"], ["get", "nope"], ["delete", "configmap", "nope"],
                 ["scale", "deployment/nope", "--replicas=1"], ["get", "pods", "-l", "a=nope"]):
        assert cluster.kubectl(*args, ok=False) == own(cluster, *args, ok=False), args


def test_apply_twice(cluster):
    assert own(cluster, "apply", "-f", "-", stdin=CONFIG_AND_SERVICE).split("\n")[:2] == [
        "configmap/settings created", "service/shop created"]
    assert own(cluster, "apply", "-f", "-", stdin=CONFIG_AND_SERVICE).split("\n")[:2] == [
        "configmap/settings unchanged", "service/shop unchanged"]
    assert "configmap/settings unchanged" in cluster.apply(CONFIG_AND_SERVICE)  # the other one sees no difference
    assert "configmap/settings configured" in own(cluster, "apply", "-f", "-",
                                                  stdin=CONFIG_AND_SERVICE.replace("blue", "red"))
    out = own(cluster, "get", "configmap", "settings", "-o", "jsonpath={.data.colour}")
    assert out == "red", out
    out = own(cluster, "delete", "-f", "-", stdin=CONFIG_AND_SERVICE)
    assert 'configmap "settings" deleted' in out, out


def test_describe(cluster, registry):
    text = own(cluster, "describe", "pod", "-l", "app=web")
    for word in ("Scheduled", "Pulled", "Created", "Started", "Container ID:", "QoS Class:"):
        assert word in text, text
    assert "1 available" in own(cluster, "describe", "deployment", "web")
    assert "Allocated resources:" in own(cluster, "describe", "node", "node1")
    assert "Endpoints:" in own(cluster, "describe", "svc", "web")


def test_watch(cluster):
    terminal = process.Terminal(argv(cluster, "get", "configmaps", "-w"))
    try:
        terminal.expect("kube-root-ca.crt")
        own(cluster, "create", "configmap", "seen", "--from-literal=a=b")
        terminal.expect("seen")
    finally:
        terminal.close()
    own(cluster, "delete", "configmap", "seen")


def test_scale_and_rollout(cluster, registry):
    own(cluster, "scale", "deployment/web", "--replicas=2")
    own(cluster, "wait", "deployment/web", "--for=jsonpath={.status.readyReplicas}=2", "--timeout=60s",
        timeout=70)
    out = own(cluster, "set", "image", "deployment/web", "httpd=%s/httpd:latest" % registry.address)
    assert out == "deployment.apps/web image updated\n", out
    own(cluster, "rollout", "status", "deployment/web", "--timeout=60s", timeout=70)
    out = own(cluster, "rollout", "history", "deployment/web")
    assert out == cluster.kubectl("rollout", "history", "deployment/web"), out
    assert "rolled back" in own(cluster, "rollout", "undo", "deployment/web")
    assert "restarted" in own(cluster, "rollout", "restart", "deployment/web")
    own(cluster, "rollout", "status", "deployment/web", "--timeout=60s", timeout=70)
    template = json.loads(own(cluster, "get", "deploy", "web", "-o", "json"))["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == registry.address + "/httpd", template


def test_label_and_patch(cluster, registry):
    assert own(cluster, "label", "deployment", "web", "tier=front") == "deployment.apps/web labeled\n"
    assert own(cluster, "label", "deploy/web", "tier-") == "deployment.apps/web unlabeled\n"
    own(cluster, "annotate", "deployment", "web", "note=x")
    out = own(cluster, "patch", "deployment", "web", "-p", '{"spec": {"minReadySeconds": 0}}')
    assert "patched" in out, out


def test_logs(cluster, registry):
    own(cluster, "run", "talker", "--image=%s/busybox" % registry.address, "-i", "--attach=false",
        "--command", "--", "sh", "-c", "echo line 1; echo line 2; exec cat")
    own(cluster, "wait", "pod/talker", "--for=condition=Ready", "--timeout=60s", timeout=70)
    assert own(cluster, "logs", "talker") == "line 1\nline 2\n"
    assert own(cluster, "logs", "talker", "--tail=1", "--prefix") == "[pod/talker/talker] line 2\n"
    terminal = process.Terminal(argv(cluster, "logs", "-f", "talker"))
    try:
        terminal.expect("line 2")
        own(cluster, "exec", "talker", "--", "sh", "-c", "echo more >/proc/1/fd/1")
        terminal.expect("more")
    finally:
        terminal.close()


def test_exec(cluster, registry):
    assert own(cluster, "exec", "talker", "--", "sh", "-c", "echo out; echo err >&2") == "out\n"
    assert own(cluster, "exec", "-i", "talker", "--", "tr", "a-z", "A-Z", stdin="hello\n") == "HELLO\n"
    much = os.urandom(1 << 20).hex()
    assert own(cluster, "exec", "-i", "talker", "--", "cat", stdin=much) == much
    _, err, status = process.run(argv(cluster, "exec", "talker", "--", "sh", "-c", "exit 7"), ok=False)
    assert (status, err) == (7, "command terminated with exit code 7\n"), err


def test_exec_on_a_terminal(cluster, registry):
    terminal = process.Terminal(argv(cluster, "exec", "-it", "talker", "--", "sh"))
    try:
        terminal.expect("# ")
        terminal.type("test -t 0 && echo is-a-$((1+1))-tty\n")
        terminal.expect("is-a-2-tty")
        terminal.type("exit 3\n")
        assert terminal.wait() == 3
    finally:
        terminal.close()


def test_run_and_remove(cluster, registry):
    out = own(cluster, "run", "once", "--rm", "-i", "--restart=Never", "--image=%s/busybox" %
              registry.address, "--command", "--", "cat", stdin="through\n")
    assert out.startswith("through\n") and 'pod "once" deleted' in out, out


def test_delete_waits(cluster, registry):
    out = own(cluster, "delete", "pod", "talker", "--grace-period=1")
    assert out.startswith('pod "talker" deleted'), out
    out = own(cluster, "get", "pod", "talker", ok=False)
    assert out == 'Error from server (NotFound): pods "talker" not found\n', out
    own(cluster, "delete", "deployment,service", "web")
    wait.until("no pods", lambda: not cluster.pods("app=web"), 60)


def test_about_the_server(cluster):
    # Read twice within a second: the same numbers.
    for what in ("nodes", "pods"):
        wait.until("both to say the same", lambda w=what: own(cluster, "top", w) == cluster.kubectl("top", w))
    assert "Server Version: v1.36" in own(cluster, "version")
    assert own(cluster, "api-resources", "--api-group=apps") == cluster.kubectl(
        "api-resources", "--api-group=apps")
    assert "is running at https://127.0.0.1" in own(cluster, "cluster-info")


def test_explain(cluster):
    out = own(cluster, "explain", "deployment.spec.template.spec.containers.imagePullPolicy")
    assert out.startswith("GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n\n"
                          "FIELD: imagePullPolicy <string>\nENUM:\n    Always\n"), out
    for kind in ("pods", "crd", "hpa"):
        assert "\n  metadata\t<ObjectMeta>\n    annotations\t<map[string]string>\n" in own(
            cluster, "explain", kind, "--recursive"), kind
    out = own(cluster, "explain", "pod.spec.nope", ok=False)
    assert out == 'error: field "nope" does not exist\n' or "does not exist" in out, out


def test_drain(cluster, registry):
    own(cluster, "create", "deployment", "drained", "--image=%s/httpd" % registry.address)
    own(cluster, "rollout", "status", "deployment/drained", "--timeout=60s", timeout=70)
    out = own(cluster, "drain", "node1", "--force", "--ignore-daemonsets", "--delete-emptydir-data",
              "--grace-period=1", "--timeout=60s", timeout=70)
    assert out.startswith("node/node1 cordoned\n") and out.endswith("node/node1 drained\n"), out
    assert own(cluster, "cordon", "node1") == "node/node1 already cordoned\n"
    assert own(cluster, "uncordon", "node1") == "node/node1 uncordoned\n"
    own(cluster, "delete", "deployment", "drained")
