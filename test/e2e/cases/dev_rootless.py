"""`knarr dev` as an ordinary user: in his own namespaces, and gone without a trace."""
import os
import select
import signal
import subprocess

from harness import images, machine, process, wait

UID, NAME, HOME = 20000, "dora", "home"
before, bound = {}, []

PODS = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: httpd, image: httpd, imagePullPolicy: Never}
      - name: other
        image: httpd
        imagePullPolicy: Never
        command: [sh, -c, "id -u && touch /data/file && exec sleep 1000"]
        securityContext: {runAsUser: 1000, runAsGroup: 1000}
        volumeMounts: [{name: data, mountPath: /data}]
      securityContext: {fsGroup: 2000}
      volumes: [{name: data, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, nodePort: 30080}]
"""


def as_user(folder, *argv, ok=True, stdin=None):
    home = folder + "/" + HOME
    out, err, status = process.run(
        ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups", "--inh-caps=-all",
         *argv], ok=ok, stdin=stdin,
        env={"PATH": os.environ["PATH"], "HOME": home, "XDG_RUNTIME_DIR": folder + "/run"})
    return out + err if ok else (out + err, status)


def dev(folder, *words, ok=True):
    return as_user(folder, folder + "/knarr", "dev", *words, ok=ok)


def kubectl(folder, *words, stdin=None):
    return as_user(folder, "kubectl", *words, stdin=stdin)


def bind(source, target):
    if not os.path.exists(target):
        open(target, "w").close()
    process.run(["mount", "--bind", source, target])
    bound.append(target)


def add_line(folder, path, line):
    """To a file of the machine, as this run sees it."""
    with open(path) as file:
        text = file.read()
    own = folder + "/" + path.strip("/").replace("/", "_")
    with open(own, "w") as file:
        file.write(text.rstrip("\n") + "\n" + line + "\n" if line else text)
    bind(own, path)


def processes():
    """Of the user, and of those whose ids he may give."""
    listed = process.run(["ps", "-eo", "uid=,args="])[0].strip().split("\n")
    return [line for line in listed if int(line.split()[0]) in (UID, *range(300000, 365536))]


def test_without_what_it_needs(knarr, folder):
    """A user whom nobody has given ids."""
    os.chmod(folder, 0o755)
    for name in (HOME, "run"):
        os.mkdir(folder + "/" + name)
        os.chown(folder + "/" + name, UID, UID)
    bind(os.path.realpath(knarr), folder + "/knarr")
    add_line(folder, "/etc/passwd", "%s:x:%d:%d::%s:/bin/sh" % (NAME, UID, UID, folder + "/" + HOME))
    # As udev makes it.
    process.run(["mknod", "-m", "666", folder + "/tun", "c", "10", "200"])
    bind(folder + "/tun", "/dev/net/tun")
    said, status = dev(folder, "up", ok=False)
    assert status == 1 and 'a line "dora:100000:65536" in /etc/subuid' in said, said
    assert not os.listdir(folder + "/run"), os.listdir(folder + "/run")


def test_up(folder):
    for path in ("/etc/subuid", "/etc/subgid"):
        add_line(folder, path, "%s:300000:65536" % NAME)
    before["state"] = machine.state()
    said = dev(folder, "up", "--nodes", "3", "--publish", "8080:30080")
    assert "cluster dev is up after" in said and "3 nodes" in said, said
    listed = kubectl(folder, "get", "nodes", "--no-headers")
    assert listed.count(" Ready ") == 3, listed
    assert "dev" in dev(folder, "list") and "is ready" in dev(folder, "logs")


def test_pods_of_other_users_on_every_node(folder):
    images.httpd().save(folder + "/httpd.tar", "httpd:latest")
    os.chmod(folder + "/httpd.tar", 0o644)
    assert "httpd:latest" in dev(folder, "load", folder + "/httpd.tar")
    kubectl(folder, "apply", "-f", "-", stdin=PODS)
    try:
        kubectl(folder, "rollout", "status", "ds/web", "--timeout=40s")
    except process.Failed as error:
        raise process.Failed("%s\n%s" % (error, kubectl(folder, "describe", "pods")[-3000:])) from None
    assert kubectl(folder, "logs", "-l", "app=web", "-c", "other").split() == ["1000"] * 3
    pod = kubectl(folder, "get", "pods", "-o", "name").split()[0]
    listed = kubectl(folder, "exec", pod, "-c", "other", "--", "stat", "-c", "%u %g", "/data/file")
    assert listed.strip() == "1000 2000", listed
    seen = set()

    def asked():
        answer = subprocess.run(["curl", "-s", "-m", "2", "http://127.0.0.1:8080/"],
                                capture_output=True, text=True)
        seen.add(answer.stdout.strip())
        return len(seen - {""}) == 3
    wait.until("every pod answers at the published port", asked)


def test_stop_and_up_again(folder):
    dev(folder, "stop")
    left = machine.left_behind(before["state"])
    assert not left and not processes(), (left, processes())
    dev(folder, "up")
    restarts = "jsonpath={.items[*].status.containerStatuses[*].restartCount}"
    wait.until("every pod was started anew", lambda: kubectl(folder, "get", "pods", "-o", restarts).split() == ["1"] * 6)


def kill(pid):
    ended = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert select.select([ended], [], [], 10)[0]
    os.close(ended)


def test_its_nodes_were_killed(folder):
    """Pods go on, whatever is said of other clusters meanwhile."""
    pods = process.run(["pgrep", "-fx", "sleep 1000"])[0]
    for node in ("agent-2", "agent-1", "server"):
        with open("%s/run/knarr-dev/dev/%s.pid" % (folder, node)) as file:
            kill(int(file.read().split()[0]))
    said, status = dev(folder, "stop", "typo", ok=False)
    assert status == 1 and "there is no cluster typo" in said, said
    dev(folder, "up")
    assert process.run(["pgrep", "-fx", "sleep 1000"])[0] == pods and len(pods.split()) == 3, pods


def kill_keeper(folder):
    with open(folder + "/run/knarr-dev/namespaces") as file:
        kill(int(file.read().split()[0]))


def test_its_keeper_was_killed(folder):
    """Who kept the namespaces ends first: the rest is found by them."""
    kill_keeper(folder)
    said, status = dev(folder, "stop", "typo", ok=False)
    assert status == 1 and "had been killed" in said, said
    assert not os.listdir(folder + "/run") and not processes(), (os.listdir(folder + "/run"), processes())
    dev(folder, "up")
    assert kubectl(folder, "get", "nodes", "--no-headers").count(" Ready ") == 3
    kill_keeper(folder)
    said = dev(folder, "down")
    assert "had been killed" in said and "cluster dev is gone" in said, said
    left = machine.left_behind(before["state"])
    assert not left and not processes(), (left, processes())
    assert not os.listdir(folder + "/run"), os.listdir(folder + "/run")


def test_down(folder):
    dev(folder, "up")
    dev(folder, "down")
    left = machine.left_behind(before["state"])
    assert not left and not processes(), (left, processes())
    assert not os.listdir(folder + "/run"), os.listdir(folder + "/run")
    files = [path for path, _, names in os.walk(folder + "/" + HOME) for _ in names]
    assert not [f for f in files if "/.kube/cache" not in f], files
    for target in bound:
        process.run(["umount", target])
