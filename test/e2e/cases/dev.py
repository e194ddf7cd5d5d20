"""`knarr dev`: clusters of several nodes on one machine, made by one command, gone by another."""
import os
import stat
import subprocess

from harness import images, machine, process, wait

NAME, OTHER = "blue", "amber"
before = {}

KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: elsewhere, cluster: {server: "https://192.0.2.99:6443"}}]
users: [{name: someone, user: {token: secret}}]
contexts: [{name: elsewhere, context: {cluster: elsewhere, user: someone}}]
current-context: elsewhere
"""

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web-%(node)s, labels: {app: web}}
spec:
  nodeName: %(node)s
  terminationGracePeriodSeconds: 1
  containers: [{name: httpd, image: httpd, imagePullPolicy: Never}]
---
"""

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, nodePort: 30080}]
"""


def dev(knarr, folder, *words, ok=True, at="/dev", kube="/kube"):
    out, err, status = process.run(
        [knarr, "dev", *words, "--dev-dir", folder + at,
         "--cgroup-root", "knarr-e2e-%s-dev" % os.environ["KNARR_E2E_ID"]], ok=ok,
        env={**os.environ, "KUBECONFIG": folder + kube + ":/nowhere"})
    return out + err if ok else (out + err, status)


def kubectl(folder, *words, name=NAME, stdin=None, kube="/kube"):
    return process.run(["kubectl", "--kubeconfig", folder + kube, "--context", "knarr-" + name, *words],
                       stdin=stdin)[0]


def nodes(prefix=NAME, agents=2):
    return ["%s-server" % prefix] + ["%s-agent-%d" % (prefix, i + 1) for i in range(agents)]


def test_up(knarr, folder):
    with open("/proc/sys/net/ipv4/ip_forward", "w") as file:
        file.write("0")
    before["state"] = machine.state()
    with open(folder + "/kube", "w") as file:
        file.write(KUBECONFIG)
    os.chown(folder + "/kube", 1234, 1234)
    said = dev(knarr, folder, "up", NAME, "--nodes", "3", "--publish", "8080:30080")
    assert "cluster blue is up after" in said and "3 nodes" in said, said
    listed = kubectl(folder, "get", "nodes", "--no-headers")
    for node in nodes():
        assert any(line.split()[:2] == [node, "Ready"] for line in listed.split("\n")), listed
    assert "is up already" in dev(knarr, folder, "up", NAME)


def test_kubeconfig(folder):
    info = os.stat(folder + "/kube")
    assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (1234, 1234, 0o600), info
    config = process.run(["kubectl", "--kubeconfig", folder + "/kube", "config", "view", "-o",
                          "jsonpath={.current-context} {.contexts[*].name} {.users[*].name}"])[0]
    assert config == "knarr-blue elsewhere knarr-blue knarr-blue someone", config


def test_load_and_run_on_each_node(knarr, folder):
    images.httpd().save(folder + "/httpd.tar", "httpd:latest")
    assert "httpd:latest" in dev(knarr, folder, "load", folder + "/httpd.tar", "--name", NAME)
    kubectl(folder, "apply", "-f", "-", stdin="".join(POD % {"node": n} for n in nodes()) + SERVICE)
    kubectl(folder, "wait", "pod", "--all", "--for=condition=Ready", "--timeout=40s")
    process.run(["sh", "-c", "cd %s && mkdir layout && echo '{}' > layout/oci-layout" % folder])
    said, status = dev(knarr, folder, "load", folder + "/layout", "--name", NAME, ok=False)
    assert status == 1 and "index.json" in said, said
    said, status = dev(knarr, folder, "load", "no-such-image:1", "--name", NAME, ok=False)
    assert status == 1 and "no-such-image:1" in said, said


def test_a_published_port(folder):
    """Asked on the loopback address and on the machine's own, it leads to pods of all nodes."""
    for address in ("127.0.0.1", "192.0.2.10"):
        seen = set()

        def asked():
            answer = subprocess.run(["curl", "-s", "-m", "2", "http://%s:8080/" % address],
                                    capture_output=True, text=True)
            seen.add(answer.stdout.strip())
            return seen >= {"web-" + node for node in nodes()}
        wait.until("every pod answers on " + address, asked)


def test_stop_and_up_again(knarr, folder):
    dev(knarr, folder, "stop", NAME)
    assert "0        10.89." in dev(knarr, folder, "list")
    # Another's, which knows of no other, takes the same network meanwhile.
    elsewhere = {"at": "/elsewhere", "kube": "/kube2"}
    dev(knarr, folder, "up", OTHER, **elsewhere)
    said, status = dev(knarr, folder, "up", NAME, ok=False)
    assert status == 1 and "10.89.100.0/24, the network of cluster blue, is in use" in said, said
    assert nodes(OTHER, 0)[0] in kubectl(folder, "get", "nodes", name=OTHER, kube="/kube2")
    dev(knarr, folder, "down", OTHER, **elsewhere)
    dev(knarr, folder, "up", NAME)
    restarts = "jsonpath={.items[*].status.containerStatuses[0].restartCount}"
    wait.until("every pod was started anew", lambda: kubectl(folder, "get", "pods", "-o", restarts) == "1 1 1")


def test_two_at_once(knarr, folder):
    said, status = dev(knarr, folder, "up", OTHER, "--publish", "no", ok=False)
    assert status == 2 and "--publish" in said, said
    said, status = dev(knarr, folder, "up", OTHER, "--publish", "8080:80", ok=False)
    assert status == 1 and "port 8080/tcp is cluster blue's" in said, said
    dev(knarr, folder, "up", OTHER, kube="/kube2")
    assert nodes(OTHER, 0)[0] in kubectl(folder, "get", "nodes", name=OTHER, kube="/kube2")
    assert nodes()[0] in kubectl(folder, "get", "nodes")
    assert "is ready after" in dev(knarr, folder, "logs", NAME, "agent-2")
    said, status = dev(knarr, folder, "up", NAME, ok=False, at="/elsewhere")
    assert status == 1 and "a cluster blue of another --dev-dir runs" in said, said
    assert nodes()[0] in kubectl(folder, "get", "nodes")


def test_a_failed_up_leaves_what_ran(knarr, folder):
    """A file is in the way of the first of two more nodes."""
    os.makedirs(folder + "/dev/blue/agent-3")
    with open(folder + "/dev/blue/agent-3/agent", "w") as file:
        file.write("a file, not a folder")
    were = kubectl(folder, "get", "nodes", "-o", "jsonpath={.items[*].metadata.uid}")
    said, status = dev(knarr, folder, "up", NAME, "--nodes", "5", ok=False)
    assert status == 1 and "blue-agent-3 ended; its log ends with" in said, said
    listed = dev(knarr, folder, "list")
    assert any(line.split()[:3] == ["blue", "3", "3"] for line in listed.split("\n")), listed
    assert kubectl(folder, "get", "nodes", "-o", "jsonpath={.items[*].metadata.uid}") == were
    os.unlink(folder + "/dev/blue/agent-3/agent")


def test_a_failed_up_leaves_nothing(knarr, folder):
    """Something is in the way: the server can't write."""
    os.makedirs(folder + "/dev/red/server/db.sqlite/in-the-way")
    os.makedirs(folder + "/dev/red/server/tls")
    with open(folder + "/dev/red/server/server", "w") as file:
        file.write("a file, not a folder")
    said, status = dev(knarr, folder, "up", "red", ok=False)
    assert status == 1 and "red-server ended; its log ends with" in said, said
    assert not os.path.exists(folder + "/dev/red") and not os.path.exists("/run/knarr-dev/red")
    assert nodes()[0] in kubectl(folder, "get", "nodes")


def test_down(knarr, folder):
    """All at once; the kubeconfig of the first can't be read."""
    with open(folder + "/kube2", "w") as file:
        file.write("a: [")
    follower = subprocess.Popen([knarr, "dev", "logs", "-f", OTHER, "--dev-dir", folder + "/dev"],
                                stdout=subprocess.PIPE, text=True)
    assert any("is ready after" in line for line in follower.stdout)
    said, status = dev(knarr, folder, "down", "--all", ok=False)
    assert status == 1 and "cluster blue is gone" in said, said
    assert "cluster amber: %s/kube2: " % folder in said, said
    assert follower.wait(timeout=10) == 0, follower.returncode
    follower.stdout.close()
    left = machine.left_behind(before["state"])
    assert not left, left
    assert not os.path.exists(folder + "/dev") and not os.path.exists("/run/knarr-dev")
    config = process.run(["kubectl", "--kubeconfig", folder + "/kube", "config", "view", "-o",
                          "jsonpath={.current-context} {.contexts[*].name} {.users[*].name}"])[0]
    assert config == "elsewhere elsewhere someone", config
    with open("/proc/sys/net/ipv4/ip_forward", "w") as file:
        file.write("1")
