"""Pod networking by plug-ins of others: those of Debian's containernetworking-plugins, and one that can fail."""
import json
import os
import re
import subprocess
import urllib.request

from harness import api, images, process, wait
from harness.cluster import NODE, Cluster

PLUGINS = "/usr/lib/cni"
TOLERANT = [{"operator": "Exists"}]
REFUSAL = """#!/bin/sh
conf=$(cat)
case $CNI_COMMAND:$CNI_ARGS in
  ADD:*K8S_POD_NAME=refused*) [ -e {folder}/welcome ] || {{ echo '{{"code":11,"msg":"not this one"}}'; exit 1; }} ;;
esac
[ $CNI_COMMAND != ADD ] || printf '%s' "$conf" | sed 's/.*"prevResult"://; s/}}$//; s/,"runtimeConfig".*//'
"""


def missing():
    return "" if os.path.exists(PLUGINS + "/bridge") else "no " + PLUGINS + "/bridge"


def start(cluster, *flags):
    cluster.launch("server", "--write-kubeconfig", cluster.kubeconfig, "--https-listen-port", str(cluster.port),
                   "--node-name", NODE, "--node-ip", cluster.address, "--network-backend", "none",
                   "--cni-conf-dir", cluster.folder + "/net.d",
                   "--cni-bin-dir", cluster.folder + "/bin," + PLUGINS, *flags)
    cluster.api = api.Api(cluster.kubeconfig, cluster.folder)


def configure(cluster):
    ipam = {"type": "host-local", "dataDir": cluster.folder + "/ipam", "routes": [{"dst": "0.0.0.0/0"}],
            "ranges": [[{"subnet": "10.42.0.0/24"}]]}
    chain = [{"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": ipam},
             {"type": "portmap", "capabilities": {"portMappings": True}}, {"type": "refuse"}]
    os.makedirs(cluster.folder + "/bin", exist_ok=True)
    with open(cluster.folder + "/bin/refuse", "w") as file:
        file.write(REFUSAL.format(folder=cluster.folder))
    os.chmod(cluster.folder + "/bin/refuse", 0o755)
    with open(cluster.folder + "/net.d/10-test.conflist.new", "w") as file:
        json.dump({"cniVersion": "1.0.0", "name": "test", "plugins": chain}, file)
    os.rename(cluster.folder + "/net.d/10-test.conflist.new", cluster.folder + "/net.d/10-test.conflist")


def addresses_given(cluster):
    folder = cluster.folder + "/ipam/test"
    return {n for n in os.listdir(folder) if re.fullmatch(r"[0-9.]+", n)} if os.path.isdir(folder) else set()


def pod(name, image, command=None, **spec):
    container = {"name": "c", "image": image, **spec.pop("container", {})}
    if command:
        container["command"] = ["sh", "-c", command]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 1, "tolerations": TOLERANT, "containers": [container], **spec}}


def apply(cluster, *things):
    for thing in things:
        cluster.apply(json.dumps(thing))


def ask(cluster, url):
    return cluster.kubectl("exec", "client", "--", "sh", "-c", "curl -sS -m 5 %s || true" % url).strip()


def event(cluster, name, reason):
    found = cluster.api.get("/api/v1/namespaces/default/events?fieldSelector=involvedObject.name=" + name)["items"]
    return next((e["message"] for e in found if e["reason"] == reason), "")


def ready_condition(node):
    return next(c for c in node["status"]["conditions"] if c["type"] == "Ready")


SHARED = {}


def test_not_ready_without_a_configuration(knarr, folder, registry):
    cluster = SHARED["cluster"] = Cluster(knarr, folder)
    start(cluster)
    words = ("container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
             "message:Network plugin returns error: cni plugin not initialized")
    condition = ready_condition(cluster.api.watch_until(
        "/api/v1/nodes", lambda n: ready_condition(n)["message"] == words))
    assert (condition["status"], condition["reason"]) == ("False", "KubeletNotReady"), condition
    cluster.api.watch_until("/api/v1/namespaces/default/serviceaccounts", lambda a: a["metadata"]["name"] == "default")
    httpd = registry.address + "/httpd"
    image = images.curl().push(registry.address, "curl")
    apply(cluster, pod("rooted", registry.address + "/busybox", "trap exit TERM; sleep 3600 & wait", hostNetwork=True),
          pod("client", image, "trap exit TERM; sleep 3600 & wait"), pod("one", httpd, container={
              "ports": [{"containerPort": 80, "hostPort": 8088}]}))
    cluster.wait_for("pod/rooted")
    wait.until("an event", lambda: event(cluster, "client", "NetworkNotReady") == "network is not ready: " + words)
    assert not addresses_given(cluster)
    configure(cluster)
    cluster.api.watch_until("/api/v1/nodes", lambda n: api.condition_of(n, "Ready") == "True")
    for name in ("client", "one"):
        cluster.wait_for("pod/" + name)


def test_pods_services_and_host_ports(registry):
    cluster = SHARED["cluster"]
    one = cluster.pod("one")["status"]["podIP"]
    assert addresses_given(cluster) == {one, cluster.pod("client")["status"]["podIP"]}
    assert cluster.pod("rooted")["status"]["podIP"] == cluster.address
    assert ask(cluster, "http://%s/" % one) == "one"
    cluster.kubectl("expose", "pod", "one", "--port=8080", "--target-port=80")
    wait.until("the service answers by its name", lambda: ask(
        cluster, "http://one.default.svc.cluster.local:8080/") == "one")
    service = cluster.kubectl("get", "service", "one", "-o", "jsonpath={.spec.clusterIP}")
    for url in ("http://%s:8080/" % service, "http://%s:8088/" % cluster.address):
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert answer.read().decode().strip() == "one", url
    assert ask(cluster, "http://%s:8088/" % cluster.address) == "one"
    rules = process.run(["iptables-save"])[0]
    assert "-o %s -j ACCEPT" % cluster.bridge not in rules and "knarr pods" not in rules, rules


def test_a_plugin_refuses(registry):
    """Its words are in the event, what the plug-ins before it made is undone, and it is tried again."""
    cluster = SHARED["cluster"]
    before = addresses_given(cluster)
    apply(cluster, pod("refused", registry.address + "/httpd"))
    message = wait.until("an event", lambda: event(cluster, "refused", "FailedCreatePodSandBox"))
    assert re.fullmatch(r'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for '
                        r'sandbox "[0-9a-f]{64}": plugin type="refuse" failed \(add\): not this one', message), message
    wait.until("the address is given back", lambda: addresses_given(cluster) == before)
    open(cluster.folder + "/welcome", "w").close()
    cluster.wait_for("pod/refused")
    cluster.kubectl("delete", "pod", "refused")
    wait.until("the address is given back", lambda: addresses_given(cluster) == before)


def identity(cluster):
    return {p["metadata"]["name"]: (p["status"]["podIP"], p["status"]["containerStatuses"][0]["containerID"])
            for p in cluster.pods()}


def test_restart_keeps_pods(registry):
    cluster = SHARED["cluster"]
    before = identity(cluster)
    cluster.crash()
    start(cluster, "--enable-network-policy")
    wait.until("the same pods", lambda: identity(cluster) == before)
    assert ask(cluster, "http://one.default.svc.cluster.local:8080/") == "one"


def test_policies_when_asked_for(registry):
    cluster = SHARED["cluster"]
    url = "http://%s/" % cluster.pod("one")["status"]["podIP"]
    apply(cluster, {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "closed"},
                    "spec": {"podSelector": {"matchLabels": {"app": "one"}}, "policyTypes": ["Ingress"]}})
    probe = ["exec", "client", "--", "sh", "-c", "curl -sS -m 1 %s || true" % url]
    wait.until("it is refused", lambda: "one" != cluster.kubectl(*probe).strip())
    cluster.kubectl("delete", "networkpolicy", "closed")
    wait.until("it is let in", lambda: "one" == cluster.kubectl(*probe).strip())


def test_a_reboot_gives_addresses_back(registry):
    cluster = SHARED["cluster"]
    before = identity(cluster)
    cluster.power_cut()
    start(cluster)
    wait.until("new containers", lambda: all(
        cluster.pod(n)["status"]["containerStatuses"][0].get("containerID") not in (None, before[n][1])
        for n in before), 60)
    for name in ("client", "one"):
        cluster.wait_for("pod/" + name)
    wait.until("theirs alone are given", lambda: addresses_given(cluster) == {
        cluster.pod(n)["status"]["podIP"] for n in ("client", "one")})
    assert ask(cluster, "http://one.default.svc.cluster.local:8080/") == "one"


def test_nothing_stays(registry):
    """Of plug-ins what they keep for all pods does: the bridge, and chains without a pod's rules."""
    cluster = SHARED["cluster"]
    cluster.kubectl("delete", "pod", "--all", timeout=60)
    wait.until("all addresses are given back", lambda: not addresses_given(cluster))
    links = json.loads(subprocess.run(["ip", "-j", "link", "show", "master", "cni0"], capture_output=True,
                                      text=True, check=True).stdout or "[]")
    assert not links, links
    assert "--to-destination 10.42." not in process.run(["iptables-save"])[0]
    assert not os.listdir(cluster.data_dir + "/agent/network/cni")


def test_end(registry):
    process.run(["ip", "link", "delete", "cni0"])  # for a bridge of others' the machine goes on forwarding
    SHARED["cluster"].close()
    for command in ("iptables -t nat -F", "iptables -t nat -X", "iptables -t filter -F"):
        process.run(command.split())
