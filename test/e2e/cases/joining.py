"""A second machine joins: by a token that pins the server, once; what keeps it out is said."""
import os
import shutil

from cases import install
from harness import agent as machines
from harness import images, process, wait
from harness.agent import Agent
from harness.cluster import NODE, REPO, phase_is

agents = {}


def join(cluster, name, number, **options):
    agents[name] = Agent(cluster, name, number)
    agents[name].start(**options)
    agents[name].import_image(images.httpd(), "httpd:latest")
    return agents[name]


def run(cluster, name, node, *command):
    cluster.kubectl("run", name, "--image=httpd", "--image-pull-policy=Never", "--restart=Never", "--overrides",
                    '{"spec":{"nodeName":"%s","terminationGracePeriodSeconds":1}}' % node,
                    *(["--command", "--", *command] if command else []))


def refused(agent, token, *flags):
    """What a machine that was never in says when it is not let in."""
    shutil.rmtree(agent.folder + "/other", ignore_errors=True)
    out, err, status = process.run(
        [*agent.inside, agent.knarr, "agent", "--server", "https://192.0.2.10:6443", "--token", token,
         "--data-dir", agent.folder + "/other", "--run-dir", agent.folder + "/run-other",
         "--node-ip", agent.machine.address, *flags], ok=False)
    assert status == 1, out + err
    return out + err


def test_join_by_the_servers_token(cluster):
    agent = join(cluster, "edge1", 1)
    assert "edge1   Ready" in cluster.kubectl("get", "nodes")
    # The files that k3s' users look for.
    assert os.readlink(cluster.data_dir + "/server/node-token") == "token"
    assert os.stat(agent.data_dir + "/agent/tls/node.key").st_mode & 0o77 == 0


def test_a_pod_runs_there(cluster):
    run(cluster, "far", "edge1")
    cluster.wait_for("pod/far")


def test_pods_reach_each_other(cluster):
    """From here to there and back, by address and by a service on the nodes' addresses."""
    cluster.import_image(images.httpd(), "httpd:latest")
    run(cluster, "near", NODE)
    cluster.wait_for("pod/near")
    ask = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 %s %d | tail -n 1"
    far, near = [cluster.pod(name)["status"]["podIP"] for name in ("far", "near")]
    wait.until("far answers near", lambda: cluster.kubectl(
        "exec", "near", "--", "sh", "-c", ask % (far, 80), ok=False).strip() == "far")
    run(cluster, "asker", "edge1", "sh", "-c", "until [ \"$(%s)\" = near ]; do sleep 0.2; done" % ask % (near, 80))
    cluster.wait_pod("asker", phase_is("Succeeded"))
    cluster.kubectl("expose", "pod", "far", "--type=LoadBalancer", "--port=8090", "--target-port=80")
    for address in (cluster.address, agents["edge1"].machine.address):
        wait.until("the service answers on " + address, lambda: cluster.kubectl(
            "exec", "near", "--", "sh", "-c", ask % (address, 8090), ok=False).strip() == "far")


def test_additions_to_dns_reach_every_node(cluster):
    cluster.kubectl("create", "configmap", "knarr-dns", "-n", "kube-system",
                    "--from-literal=hosts=192.0.2.99 printer.example")
    for name in ("near", "far"):
        wait.until("the name is known there", lambda: "192.0.2.99" in cluster.kubectl(
            "exec", name, "--", "nslookup", "printer.example", ok=False))


def test_a_restarted_agent_keeps_its_pods(cluster):
    """With a token that is good no more, and an address where the server is no more: it has learnt another."""
    before = cluster.pod("far")["status"]["containerStatuses"][0]["containerID"]
    agents["edge1"].crash()
    agents["edge1"].start(token="K10%s::server:stale" % cluster.token()[3:67],
                          server="https://%s:9" % cluster.address)
    now = cluster.pod("far")["status"]["containerStatuses"][0]
    assert now["containerID"] == before and now["restartCount"] == 0
    run(cluster, "next", "edge1")
    cluster.wait_for("pod/next")
    cluster.kubectl("delete", "pod", "next", "--wait=false")


def test_join_by_a_token_that_runs_out(cluster):
    token = process.run([cluster.knarr, "token", "create", "--kubeconfig", cluster.kubeconfig,
                         "--ttl", "1h", "--description", "for a test"])[0].strip()
    join(cluster, "edge2", 2, token=token)
    listed = process.run([cluster.knarr, "token", "list", "--kubeconfig", cluster.kubeconfig])[0]
    assert "for a test" in listed and token.split(".")[-1] not in listed
    secret = token.split("::")[1]
    process.run([cluster.knarr, "token", "delete", secret, "--kubeconfig", cluster.kubeconfig])
    assert "Unauthorized" in refused(agents["edge2"], token, "--node-name", "edge3")


def test_another_machine_of_a_known_name(cluster):
    said = refused(agents["edge2"], cluster.token(), "--node-name", "edge1")
    assert "kubectl delete node edge1" in said, said


def test_a_name_of_the_api_server(cluster):
    said = refused(agents["edge2"], cluster.token(), "--node-name", "kubernetes.default.svc")
    assert "is a name of the API server" in said, said


def test_a_server_that_is_not_the_tokens(cluster):
    said = refused(agents["edge2"], "K10" + "0" * 64 + "::server:x", "--node-name", "edge3")
    assert "is not the one that the token names" in said, said


def test_rotated_token(cluster):
    old = cluster.token()
    new = process.run([cluster.knarr, "token", "rotate", "--kubeconfig", cluster.kubeconfig])[0].strip()
    wait.until("the file has the new token", lambda: cluster.token() == new)
    assert "Unauthorized" in refused(agents["edge2"], old, "--node-name", "edge3")


def test_the_place_of_a_removed_node_is_free(cluster):
    """And whoever had it before is that node no more, though his certificate has long to go."""
    agent = agents["edge2"]
    agent.stop()
    before = shutil.move(agent.data_dir + "/agent/tls", agent.folder + "/tls-before")
    cluster.kubectl("delete", "node", "edge2")
    agent.start()

    def asked_by(tls):
        return process.run(
            [*agent.inside, "curl", "-s", "--cacert", tls + "/server-ca.crt", "--cert", tls + "/client.crt",
             "--key", tls + "/node.key", "https://192.0.2.10:6443/api/v1/nodes/edge2"])[0]
    assert "known as another machine" in asked_by(before)
    assert "knarr.io/node-key" in asked_by(agent.data_dir + "/agent/tls")


SECRETIVE = """
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {word: open sesame}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: page}
data: {index.html: remembered}
---
apiVersion: v1
kind: Pod
metadata: {name: alone}
spec:
  nodeName: edge1
  hostNetwork: true
  containers:
  - name: httpd
    image: httpd
    imagePullPolicy: Never
    command: [sh, -c, 'exec httpd -f -p 8099 -h /page']
    env: [{name: WORD, valueFrom: {secretKeyRef: {name: key, key: word}}}]
    volumeMounts: [{name: key, mountPath: /key}, {name: page, mountPath: /page}]
  volumes:
  - {name: key, secret: {secretName: key}}
  - {name: page, configMap: {name: page}}
"""


def test_a_node_that_boots_without_the_server(cluster):
    """Its pods come back with their secrets, and are the same to the server when that is back."""
    cluster.apply(SECRETIVE)
    cluster.wait_for("pod/alone")
    uid = cluster.pod("alone")["metadata"]["uid"]
    cluster.stop()
    agent = agents["edge1"]
    agent.power_cut()
    for folder, _, files in os.walk(agent.data_dir + "/agent/memory"):
        for name in files:
            with open(os.path.join(folder, name), "rb") as file:
                assert b"sesame" not in file.read()
    agent.start_alone()

    def served():
        return process.run([*agent.inside, "curl", "-sf", "http://127.0.0.1:8099/"])[0].strip()
    wait.until("the page is served", lambda: served() == "remembered")
    cluster.start()
    wait.until("both know each other again", lambda: "edge1   Ready" in cluster.kubectl("get", "nodes"))
    cluster.wait_for("pod/alone")
    assert cluster.pod("alone")["metadata"]["uid"] == uid
    assert cluster.pod("asker")["status"]["phase"] == "Succeeded"
    wait.until("its container was started anew, once", lambda: cluster.pod(
        "alone")["status"]["containerStatuses"][0]["restartCount"] == 1)


def test_the_installer_joins(cluster):
    machine = machines.Machine("edge4", 4)
    site = install.Machine(cluster.folder + "/edge4", cluster.knarr, machine.inside)
    try:
        site.env.update({
            "KNARR_URL": "https://%s:%d" % (cluster.address, cluster.port), "KNARR_TOKEN": cluster.token(),
            "KNARR_NODE_NAME": "edge4", "KNARR_NODE_IP": machine.address, "KNARR_RUN_DIR": "/run/knarr4",
            "KNARR_BRIDGE": "knarr4", "KNARR_CHAIN_PREFIX": "KNARR4"})
        assert "this machine is a node of the cluster" in site.install()
        wait.until("the server shows it", lambda: "edge4   Ready" in cluster.kubectl("get", "nodes"))
        site.script(REPO + "/scripts/knarr-uninstall.sh")
        assert site.files() == []
    finally:
        site.close()
        machine.close()


def test_end(cluster):
    for agent in agents.values():
        agent.close()
