"""A node that can only dial out: what needs a connection to it comes through its own."""
import os
import subprocess
import urllib.request

from harness import images, process, wait
from harness.agent import Agent
from harness.cluster import kubectls

agents = {}
TALKER = "echo hello from afar; exec httpd -f -p 80 -h /www"


def wall(machine, verb):
    """Nothing reaches the machine but answers."""
    process.run([*machine.inside, "iptables", "-w", verb, "INPUT", "-i", "eth0", "-m", "conntrack",
                 "--ctstate", "NEW", "-j", "DROP"])


def test_a_node_behind_a_wall(cluster):
    agents["far"] = agent = Agent(cluster, "far", 1)
    wall(agent.machine, "-A")
    agent.start()
    agent.import_image(images.httpd(), "httpd:latest")
    cluster.kubectl("run", "web", "--image=httpd", "--image-pull-policy=Never", "--port=80", "--overrides",
                    '{"spec":{"nodeName":"far","terminationGracePeriodSeconds":1}}',
                    "--command", "--", "sh", "-c", "mkdir -p /www; echo page > /www/index.html; " + TALKER)
    cluster.wait_for("pod/web")
    address = "https://%s:10251/healthz" % agent.machine.address
    _, _, status = process.run(["curl", "-sk", "--max-time", "1", address], ok=False)
    assert status == 28, "the wall has a hole"


def test_logs_and_exec(cluster):
    assert cluster.kubectl("logs", "web") == "hello from afar\n"
    assert "hello" in cluster.kubectl("logs", "-c", "web", "--tail=1", "--timestamps", "web")
    said = cluster.kubectl("logs", "web", "-c", "other", ok=False)
    assert "container other is not valid for pod web" in said, said
    said = cluster.kubectl("logs", "web", "--previous", ok=False)
    assert 'previous terminated container "web" in pod "web" not found' in said, said
    for name, binary in kubectls():
        out = cluster.kubectl("exec", "-i", "web", "--", "tr", "a-z", "A-Z", stdin="hello\n", binary=binary)
        assert out == "HELLO\n", (name, out)
        _, _, status = process.run(cluster.kubectl_argv("exec", "web", "--", "sh", "-c", "exit 7",
                                                        binary=binary), ok=False)
        assert status == 7, (name, status)
    terminal = cluster.terminal("logs", "-f", "web")
    try:
        terminal.expect("hello from afar")
        cluster.kubectl("exec", "web", "--", "sh", "-c", "echo more >/proc/1/fd/1")
        terminal.expect("more")
    finally:
        terminal.close()


def test_copy(cluster):
    source, back = cluster.folder + "/source", cluster.folder + "/back"
    data = os.urandom(3000000)
    with open(source, "wb") as file:
        file.write(data)
    cluster.kubectl("cp", source, "web:/tmp/there")
    cluster.kubectl("cp", "web:/tmp/there", back)
    with open(back, "rb") as file:
        assert file.read() == data


def test_port_forward_and_proxy(cluster):
    forward = subprocess.Popen(cluster.kubectl_argv("port-forward", "web", "18081:80"),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        line = forward.stdout.readline()
        assert "Forwarding from" in line, line
        for _ in range(3):
            with urllib.request.urlopen("http://127.0.0.1:18081/", timeout=10) as answer:
                assert answer.read() == b"page\n"
    finally:
        process.stop(forward)
        forward.stdout.close()
    cluster.kubectl("expose", "pod", "web", "--port=80")
    wait.until("the service has an endpoint", lambda: "10.42." in cluster.kubectl("get", "endpoints", "web"))
    for path in ("pods/web", "pods/web:80", "services/web"):
        assert cluster.kubectl("get", "--raw", "/api/v1/namespaces/default/%s/proxy/" % path) == "page\n", path
    assert cluster.kubectl("get", "--raw", "/api/v1/nodes/far/proxy/healthz") == "ok"


def test_a_node_that_is_gone(cluster):
    """Without its tunnel it is dialed, and what comes of that is told. It comes back by itself."""
    agent = agents["far"]
    with cluster.exec_open("web"):
        agent.stop()
    wall(agent.machine, "-D")
    refused = "dial tcp %s:10251: connect: connection refused" % agent.machine.address
    out = cluster.kubectl("logs", "web", ok=False)
    assert ('Error from server: Get "https://%s:10251/containerLogs/default/web/web": %s' %
            (agent.machine.address, refused)) in out, out
    out = cluster.kubectl("exec", "web", "--", "true", ok=False)
    assert "error dialing backend: " + refused in out, out
    wall(agent.machine, "-A")
    agent.start()
    wait.until("its logs are read", lambda: "hello from afar" in cluster.kubectl("logs", "web", ok=False))


def test_end(cluster):
    for agent in agents.values():
        agent.close()
