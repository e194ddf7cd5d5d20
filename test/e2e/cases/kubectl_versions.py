"""What people and scripts ask of kubectl, with the oldest, a middle and the newest on this machine."""
import base64
import json
import os
import subprocess

from harness import process
from harness.cluster import kubectls

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, labels: {tier: front}}
spec:
  replicas: 0
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: web, image: "shop:1", ports: [{containerPort: 80}]}]}
"""
EXPLAINED = ("pod", "deployment", "statefulset", "cronjob", "service", "ingress", "networkpolicy", "node",
             "persistentvolumeclaim", "storageclass", "role", "horizontalpodautoscaler", "lease",
             "customresourcedefinition", "flowschema", "deviceclass", "poddisruptionbudget", "event")


def each(cluster):
    """(name, kubectl) of every version, each starting without the others' cache."""
    for name, binary in kubectls():
        cache = os.path.join(cluster.folder, "cache-" + name)

        def run(*args, stdin=None, ok=True, binary=binary, cache=cache, **more):
            return cluster.kubectl("--cache-dir", cache, *args, stdin=stdin, ok=ok, binary=binary,
                                   **more)
        yield name, run


def test_apply_and_diff(cluster):
    for name, run in each(cluster):
        assert run("apply", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/shop created\n", name
        assert run("apply", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/shop unchanged\n", name
        changed = DEPLOYMENT.replace("shop:1", "shop:2")
        out = run("diff", "-f", "-", stdin=changed, ok=False)
        assert "-      - image: shop:1\n+      - image: shop:2\n" in out, (name, out)
        assert run("apply", "-f", "-", stdin=changed) == "deployment.apps/shop configured\n", name
        assert run("diff", "-f", "-", stdin=changed) == "", name
        out = run("apply", "--server-side", "-f", "-", stdin=DEPLOYMENT, ok=False)
        assert "shop" in out, (name, out)
        out = run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=DEPLOYMENT)
        assert out == "deployment.apps/shop serverside-applied\n", (name, out)
        out = run("diff", "--server-side", "--force-conflicts", "-f", "-", stdin=DEPLOYMENT)
        assert out == "", (name, out)
        run("delete", "deployment", "shop")


def test_validation(cluster):
    for name, run in each(cluster):
        out = run("apply", "-f", "-", stdin=DEPLOYMENT.replace("replicas", "replica"), ok=False)
        assert 'unknown field "spec.replica"' in out, (name, out)
        out = run("create", "--dry-run=server", "-o", "name", "-f", "-", stdin=DEPLOYMENT)
        assert out == "deployment.apps/shop\n", (name, out)
        out = run("create", "--validate=warn", "-f", "-", stdin=DEPLOYMENT.replace("tier", "tier: x, tier"),
                  ok=False)
        assert "shop" in out, (name, out)
        run("delete", "deployment", "shop", "--ignore-not-found")


def test_edit(cluster):
    editor = os.path.join(cluster.folder, "editor")
    with open(editor, "w") as file:
        file.write('#!/bin/sh\nsed -i "s/colour: blue/colour: red/" "$1"\n')
    os.chmod(editor, 0o755)
    for name, run in each(cluster):
        run("create", "configmap", "paint", "--from-literal=colour=blue")
        binary = dict(kubectls())[name]
        subprocess.run(cluster.kubectl_argv("edit", "configmap", "paint", binary=binary), check=True,
                       env={**os.environ, "EDITOR": editor, "KUBE_EDITOR": editor},
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60)
        assert run("get", "configmap", "paint", "-o", "jsonpath={.data.colour}") == "red", name
        run("delete", "configmap", "paint")


def test_patch(cluster):
    run = next(each(cluster))[1]
    run("apply", "-f", "-", stdin=DEPLOYMENT)
    for kind, patch, path, wanted in (
            ("strategic", '{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"s"}]}}}}',
             "{.spec.template.spec.containers[*].name}", "side web"),
            ("merge", '{"spec":{"paused":true}}', "{.spec.paused}", "true"),
            ("json", '[{"op":"replace","path":"/metadata/labels/tier","value":"back"}]',
             "{.metadata.labels.tier}", "back")):
        run("patch", "deployment", "shop", "--type", kind, "-p", patch)
        assert run("get", "deployment", "shop", "-o", "jsonpath=" + path) == wanted, kind
    run("patch", "deployment", "shop", "--subresource=scale", "--type=merge", "-p",
        '{"spec":{"replicas":0}}')
    run("delete", "deployment", "shop")


def test_explain(cluster):
    for name, run in each(cluster):
        out = run("explain", "deployment.spec.template.spec.containers.imagePullPolicy")
        assert "FIELD: imagePullPolicy <string>" in out and "IfNotPresent" in out, (name, out)
        for kind in EXPLAINED:
            out = run("explain", kind, "--recursive")
            assert "metadata" in out and "apiVersion" in out, (name, kind, out)
        out = run("explain", "nope", ok=False)
        assert "doesn't have a resource type" in out, (name, out)


def test_discovery(cluster):
    for name, run in each(cluster):
        out = run("api-resources", "--verbs=list", "-o", "name").split()
        assert {"pods", "deployments.apps", "ipaddresses.networking.k8s.io"} <= set(out), (name, out)
        assert "apps/v1\n" in run("api-versions"), name
        raw = json.loads(run("get", "--raw", "/api/v1/namespaces/default"))
        assert raw["kind"] == "Namespace", (name, raw)
        assert run("get", "--raw", "/readyz") == "ok", name


def test_who_may(cluster):
    for name, run in each(cluster):
        assert run("auth", "can-i", "create", "pods") == "yes\n", name
        assert "Resources" in run("auth", "can-i", "--list"), name
        token = run("create", "token", "default", "--duration=20m")
        assert token.count(".") == 2, (name, token)
        who = run("--token", token.strip(), "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}",
                  ok=False) if name != "kubectl.1.27" else "system:serviceaccount:default:default"
        assert "default:default" in who or "admin" in who, (name, who)
        out = run("get", "configmaps", "--as=jane", "--as-group=system:masters", "-o", "name")
        assert "configmap/kube-root-ca.crt" in out, (name, out)


def test_rights(cluster):
    """What roles give, and that nobody gives more than he has."""
    run = next(each(cluster))[1]
    refused = ('Error from server (Forbidden): pods is forbidden: User "jane" cannot list resource "pods" in '
               'API group "" in the namespace "default"\n')
    assert run("get", "pods", "--as=jane", ok=False) == refused
    assert run("auth", "can-i", "list", "pods", "--as=jane", ok=False) == "no\n"
    run("create", "rolebinding", "jane", "--clusterrole=view", "--user=jane")
    assert run("auth", "can-i", "list", "pods", "--as=jane") == "yes\n"
    assert run("get", "secrets", "--as=jane", ok=False) == refused.replace("pods", "secrets")
    run("create", "role", "maker", "--verb=create,get,update", "--resource=roles,rolebindings")
    run("create", "rolebinding", "maker", "--role=maker", "--user=jane")
    out = run("create", "role", "more", "--verb=get", "--resource=secrets", "--as=jane", ok=False)
    assert out.endswith('is attempting to grant RBAC permissions not currently held:\n'
                        '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}\n'), out
    out = run("create", "rolebinding", "more", "--clusterrole=cluster-admin", "--user=jane", "--as=jane", ok=False)
    assert '{NonResourceURLs:["*"], Verbs:["*"]}' in out, out
    run("create", "role", "less", "--verb=get", "--resource=pods", "--as=jane")
    run("delete", "role/maker", "role/less", "rolebinding/jane", "rolebinding/maker")
    assert "User \"jane\" cannot list" in run("get", "pods", "--as=jane", ok=False)


def test_certificate(cluster):
    for name, run in each(cluster):
        key = os.path.join(cluster.folder, "key.pem")
        request = process.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key,
                               "-subj", "/CN=jane/O=devs"])[0]
        body = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
                "metadata": {"name": "jane"},
                "spec": {"request": base64.b64encode(request.encode()).decode(),
                         "signerName": "example.com/nobody", "usages": ["client auth"]}}
        run("create", "-f", "-", stdin=json.dumps(body))
        assert "approved" in run("certificate", "approve", "jane"), name
        out = run("get", "csr", "jane", "-o", "jsonpath={.status.conditions[*].type}")
        assert out == "Approved", (name, out)
        run("delete", "csr", "jane")
        run("create", "-f", "-", stdin=json.dumps(body))
        out = run("certificate", "deny", "jane")
        assert out == "certificatesigningrequest.certificates.k8s.io/jane denied\n", (name, out)
        out = run("get", "csr", "jane", "--no-headers")
        assert out.split()[-1] == "Denied", (name, out)
        out = run("certificate", "approve", "jane", ok=False)  # what is decided stays decided
        assert "Denied" in run("get", "csr", "jane", "--no-headers"), (name, out)
        run("delete", "csr", "jane")


def test_wait(cluster):
    run = next(each(cluster))[1]
    run("create", "configmap", "late", "--from-literal=colour=green")
    out = run("wait", "configmap/late", "--for=jsonpath={.data.colour}=green", "--timeout=30s")
    assert out == "configmap/late condition met\n", out
    run("delete", "configmap", "late")


def test_everyday_writes(cluster):
    """Verbs whose requests are the same in all versions, by one of them."""
    run = next(each(cluster))[1]
    run("apply", "-f", "-", stdin=DEPLOYMENT)
    for args, wanted in (
            ("set image deploy/shop web=shop:2", "deployment.apps/shop image updated"),
            ("set env deploy/shop A=b", "deployment.apps/shop env updated"),
            ("set resources deploy/shop --limits=cpu=1", "deployment.apps/shop resource requirements updated"),
            ("rollout pause deploy/shop", "deployment.apps/shop paused"),
            ("rollout resume deploy/shop", "deployment.apps/shop resumed"),
            ("autoscale deploy shop --min=1 --max=3", "horizontalpodautoscaler.autoscaling/shop autoscaled"),
            ("expose deploy shop --port=80", "service/shop exposed"),
            ("create ingress shop --rule=a.b/c=shop:80", "ingress.networking.k8s.io/shop created"),
            ("create pdb shop --selector=app=shop --min-available=1", "poddisruptionbudget.policy/shop created"),
            ("create cronjob shop --image=shop:1 --schedule=@yearly", "cronjob.batch/shop created"),
            ("create quota shop --hard=pods=99", "resourcequota/shop created"),
            ("get deploy shop --subresource=scale -o jsonpath={.kind}", "Scale"),
            ("get deploy shop -o go-template={{.spec.replicas}}", "0"),
            ("get deploy shop -o custom-columns=I:..image --no-headers", "shop:2"),
            ("delete deploy shop --cascade=orphan", 'deployment.apps "shop" deleted')):
        out = run(*args.split(" "))
        assert out.strip().startswith(wanted), (args, out)
    sets = run("get", "rs", "-l", "app=shop", "-o", "name").split()
    assert sets, "the deployment's sets are orphans"
    run("delete", "rs", "-l", "app=shop", "--cascade=foreground")
    run("delete", "hpa/shop", "svc/shop", "ing/shop", "pdb/shop", "cronjob/shop", "quota/shop")
    owned = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: owned}\ndata: {a: \"%d\"}\n"
    run("apply", "--server-side", "--field-manager=one", "-f", "-", stdin=owned % 1)
    out = run("apply", "--server-side", "--field-manager=two", "-f", "-", stdin=owned % 2, ok=False)
    assert out.startswith('error: Apply failed with 1 conflict: conflict with "one": .data.a\n'), out
    assert run("replace", "--force", "-f", "-", stdin=owned % 3).endswith("configmap/owned replaced\n")
    run("delete", "cm", "owned")


def test_drain_and_debug(cluster, registry):
    run = next(each(cluster))[1]
    run("create", "deployment", "web", "--image=%s/httpd" % registry.address)
    run("rollout", "status", "deployment/web", "--timeout=60s", timeout=70)
    pod = run("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    run("debug", pod, "--image=%s/busybox" % registry.address, "--container=look", "--", "sleep", "300")
    names = run("get", "pod", pod, "-o", "jsonpath={.spec.ephemeralContainers[*].name}")
    assert names == "look", names
    out = run("drain", "node1", "--ignore-daemonsets", "--force", "--delete-emptydir-data", "--timeout=60s",
              timeout=90)
    assert "node/node1 drained" in out, out
    assert run("uncordon", "node1") == "node/node1 uncordoned\n"
    run("delete", "deployment", "web")


def test_drain_waits_for_a_budget(cluster, registry):
    """An eviction that a budget forbids is tried again until the budget lets it through."""
    run = next(each(cluster))[1]
    run("create", "deployment", "kept", "--image=%s/httpd" % registry.address)
    run("rollout", "status", "deployment/kept", "--timeout=60s", timeout=70)
    run("create", "pdb", "kept", "--selector=app=kept", "--min-available=1")
    run("wait", "pdb/kept", "--for=jsonpath={.status.currentHealthy}=1", "--timeout=30s")
    drain = cluster.terminal("drain", "node1", "--pod-selector=app=kept", "--timeout=60s",
                             binary=dict(kubectls())[next(each(cluster))[0]])
    try:
        refused = drain.expect("(will retry after 5s): ")
        assert "evicting pod default/kept-" in refused and 'error when evicting pods/"kept-' in refused, refused
        drain.expect("Cannot evict pod as it would violate the pod's disruption budget.")
        run("patch", "pdb", "kept", "--type=merge", "-p", '{"spec":{"minAvailable":0}}')
        drain.expect("node/node1 drained", 60)
        assert drain.wait() == 0
    finally:
        drain.close()
    run("uncordon", "node1")
    run("delete", "deployment/kept", "pdb/kept")
