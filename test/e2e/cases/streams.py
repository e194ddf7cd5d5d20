"""logs, exec, attach, cp, port-forward and run -it, with every kubectl on the machine."""
import os
import subprocess
import urllib.request

from harness import process, wait
from harness.cluster import kubectls

TALKER = "i=0; while [ $i -lt 3 ]; do i=$((i+1)); echo line $i; done; exec cat"


def start(cluster, registry):
    cluster.kubectl("run", "talker", "--image=%s/busybox" % registry.address, "-i", "--attach=false",
                    "--command", "--", "sh", "-c", TALKER)
    cluster.kubectl("run", "web", "--image=%s/httpd" % registry.address)
    cluster.wait_for("pod/talker")
    cluster.wait_for("pod/web")


def test_logs(cluster, registry):
    start(cluster, registry)
    assert cluster.kubectl("logs", "talker") == "line 1\nline 2\nline 3\n"
    assert cluster.kubectl("logs", "talker", "--tail=1") == "line 3\n"
    stamped = cluster.kubectl("logs", "talker", "--timestamps", "--tail=1")
    assert stamped.endswith("Z line 3\n") and stamped[4] == "-", stamped


def test_logs_follow(cluster, registry):
    terminal = cluster.terminal("logs", "-f", "talker")
    try:
        terminal.expect("line 3")
        process.run(cluster.kubectl_argv("exec", "talker", "--", "sh", "-c", "echo more >/proc/1/fd/1"))
        terminal.expect("more")
    finally:
        terminal.close()


def test_exec(cluster, registry):
    for name, binary in kubectls():
        out = cluster.kubectl("exec", "talker", "--", "sh", "-c", "echo out; echo err >&2",
                              binary=binary)
        assert out == "out\n", (name, out)
        out = cluster.kubectl("exec", "-i", "talker", "--", "tr", "a-z", "A-Z", stdin="hello\n",
                              binary=binary)
        assert out == "HELLO\n", (name, out)
        _, _, status = process.run(cluster.kubectl_argv("exec", "talker", "--", "sh", "-c", "exit 7",
                                                        binary=binary), ok=False)
        assert status == 7, (name, status)


def test_exec_on_a_terminal(cluster, registry):
    for name, binary in kubectls():
        terminal = cluster.terminal("exec", "-it", "talker", "--", "sh", binary=binary)
        try:
            terminal.expect("# ")
            terminal.type("test -t 0 && echo is-a-$((1+1))-tty\n")
            terminal.expect("is-a-2-tty")
            terminal.type("exit 3\n")
            assert terminal.wait() == 3, name
        finally:
            terminal.close()


def test_attach(cluster, registry):
    terminal = cluster.terminal("attach", "-i", "talker")
    try:
        # Until it is attached nobody reads: what is typed early would be lost with the terminal.
        terminal.expect("If you don't see a command prompt")
        terminal.type("to be copied\n")
        terminal.expect("to be copied\r\nto be copied")
    finally:
        terminal.close()
    # `kubectl run -i` asks for a standard input that ends with who is attached first, and so does cat.
    wait.until("it is started again", lambda: all(
        c["restartCount"] == 1 and c["ready"] for c in cluster.pod("talker")["status"]["containerStatuses"]))


def test_copy(cluster, registry):
    source, back = cluster.folder + "/source", cluster.folder + "/back"
    data = os.urandom(300000)
    with open(source, "wb") as file:
        file.write(data)
    cluster.kubectl("cp", source, "talker:/tmp/there")
    cluster.kubectl("cp", "talker:/tmp/there", back)
    with open(back, "rb") as file:
        assert file.read() == data


def test_port_forward(cluster, registry):
    for name, binary in kubectls():
        forward = subprocess.Popen(cluster.kubectl_argv("port-forward", "web", "18080:80", binary=binary),
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            line = forward.stdout.readline()
            assert "Forwarding from" in line, (name, line)
            for _ in range(3):
                with urllib.request.urlopen("http://127.0.0.1:18080/", timeout=10) as answer:
                    assert answer.read() == b"web\n", name
        finally:
            process.stop(forward)
            forward.stdout.close()


def test_run_and_remove(cluster, registry):
    terminal = cluster.terminal("run", "once", "--rm", "-it", "--image=%s/busybox" % registry.address,
                                "--restart=Never", "--", "sh", "-c", "read x; echo got $x")
    try:
        # What is printed before kubectl is attached is not shown, on Kubernetes as here.
        terminal.expect("try pressing enter", 60)
        terminal.type("this\n")
        terminal.expect("got this")
        terminal.wait(60)
    finally:
        terminal.close()
    wait.until("the pod is gone", lambda: "once" not in [p["metadata"]["name"] for p in cluster.pods()])


def looker(cluster, name):
    """The status of an ephemeral container of the talker's."""
    statuses = cluster.pod("talker")["status"].get("ephemeralContainerStatuses", [])
    return next((s for s in statuses if s["name"] == name), None)


def test_debug(cluster, registry):
    before = cluster.pod("talker")["status"]["containerStatuses"][0]["restartCount"]
    for name, binary in kubectls():
        container = "looker-" + name.replace(".", "-")
        out = cluster.kubectl("debug", "-i", "talker", "--image=%s/busybox" % registry.address,
                              "--target=talker", "-c", container, "--", "sh", "-c",
                              "read x; echo got $x; ps", stdin="this\n",
                              binary=binary)
        assert "got this" in out and " cat\n" in out, (name, out)
        pod = cluster.wait_pod("talker", lambda p: any(
            s["name"] == container and "terminated" in s["state"]
            for s in p["status"]["ephemeralContainerStatuses"]))
        assert looker(cluster, container)["state"]["terminated"]["exitCode"] == 0
        talker = pod["status"]["containerStatuses"][0]
        assert talker["ready"] and talker["restartCount"] == before, talker
        assert "got this" in cluster.kubectl("logs", "talker", "-c", container, binary=binary)


def test_debug_on_a_terminal(cluster, registry):
    terminal = cluster.terminal("debug", "-it", "talker", "--image=%s/busybox" % registry.address,
                                "-c", "shell", "--", "sh")
    try:
        terminal.expect("If you don't see a command prompt")
        terminal.type("test -t 0 && echo is-a-$((1+1))-tty\n")
        terminal.expect("is-a-2-tty")
        out = cluster.kubectl("exec", "talker", "-c", "shell", "--", "ps")
        assert " cat" not in out, out  # without a target it has its own processes only
        # A server that is killed finds it again.
        cluster.crash()
        cluster.start()
        assert "running" in looker(cluster, "shell")["state"]
    finally:
        terminal.close()
    terminal = cluster.terminal("attach", "-it", "talker", "-c", "shell")
    try:
        terminal.expect("If you don't see a command prompt")
        terminal.type("exit 5\n")
        cluster.wait_pod("talker", lambda p: looker(cluster, "shell")["state"].get(
            "terminated", {}).get("exitCode") == 5)
    finally:
        terminal.close()


def test_debug_by_a_copy_and_of_the_node(cluster, registry):
    image = "--image=%s/busybox" % registry.address
    cluster.kubectl("debug", "talker", image, "--copy-to=copy", "--share-processes",
                    "-c", "extra", "--", "sleep", "1000")
    cluster.wait_for("pod/copy")
    assert " cat" in cluster.kubectl("exec", "copy", "-c", "extra", "--", "ps")
    out = cluster.kubectl("debug", "node/node1", "-i", image, "--", "sh", "-c",
                          "read x; echo got $x; ls -d /host/proc; ps", stdin="that\n")
    assert "got that" in out and "/host/proc" in out and "knarr server" in out, out
