"""Services and names in all their forms, asked from pods and from the node."""
import json
import re
import socket
import threading
import urllib.request

from harness import images, process, wait

def apply(cluster, *things):
    for thing in things:
        cluster.apply(json.dumps(thing))


def service(name, selector, ports, **spec):
    spec = {"ports": ports, **spec}
    if selector:
        spec["selector"] = {"app": selector}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def pod(name, image, labels=None, **spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "c", "image": image, **spec.pop(
                "container", {})}], **spec}}


def client(cluster, script, timeout=60):
    return cluster.kubectl("exec", "client", "--", "sh", "-c", script, timeout=timeout).strip()


def from_host(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def lookup(cluster, name, kind="A"):
    """What a pod's resolver says of a name: the addresses, or the text."""
    return cluster.kubectl("exec", "client", "--", "nslookup", "-type=" + kind, name, ok=False)


def test_start(cluster, registry):
    image = images.curl().push(registry.address, "curl")
    httpd = registry.address + "/httpd"
    apply(cluster, pod("client", image, container={"command": ["sh", "-c", "trap exit TERM; sleep 3600 & wait"]}),
          pod("one", httpd, {"app": "web"}, hostname="one", subdomain="headless"),
          pod("two", httpd, {"app": "web"}, hostname="two", subdomain="headless"))
    for name in ("client", "one", "two"):
        cluster.wait_for("pod/" + name)


def test_headless_names(cluster, registry):
    apply(cluster, service("headless", "web", [{"name": "http", "port": 80}], clusterIP="None"))
    ips = {cluster.pod(name)["status"]["podIP"] for name in ("one", "two")}
    name = "headless.default.svc.cluster.local"
    wait.until("both addresses", lambda: ips <= set(re.findall(r"10\.\d+\.\d+\.\d+", lookup(cluster, name))))
    one = cluster.pod("one")["status"]["podIP"]
    assert one in lookup(cluster, "one." + name)
    out = lookup(cluster, "_http._tcp." + name, "SRV")
    assert "one." + name in out and "two." + name in out and " 80 " in out, out
    out = cluster.kubectl("exec", "client", "--", "nslookup", one, ok=False)
    assert "one." + name in out, out


def test_external_name(cluster, registry):
    apply(cluster, service("away", None, [], type="ExternalName", externalName="web.example.org"))
    assert "web.example.org" in lookup(cluster, "away.default.svc.cluster.local", "CNAME")


class Names(threading.Thread):
    """A name server: every name has one address."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.answer = bytes.fromhex("c00c000100010000003c0004") + socket.inet_aton(address)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            query, client = self.socket.recvfrom(4096)
            end = query.index(b"\0", 12) + 5
            if query[end - 4:end - 2] == b"\0\1":  # A
                head = query[:2] + bytes.fromhex("8180000100010000") + b"\0\0"
                self.socket.sendto(head + query[12:end] + self.answer, client)


def resolve(name, kind=1):
    """The node's own answer: (rcode, rest of the message)."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.connect(("10.43.0.10", 53))
        asking.send(b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + question + bytes([0, kind, 0, 1]))
        answer = asking.recv(4096)
    assert answer[:2] == b"\x12\x34"
    return answer[3] & 15, answer[12 + len(question) + 4:]


def test_additions_to_dns(cluster, registry):
    """Zones of their own, hosts, a key that is refused; gone with the ConfigMap."""
    names = Names("192.0.2.77")
    apply(cluster, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "knarr-dns", "namespace": "kube-system"},
                    "data": {"stubDomains": json.dumps({"corp.example": ["127.0.0.1:%d" % names.port]}),
                             "hosts": "192.0.2.78 printer.cluster.local\n",
                             "web.override": "rewrite name old.example one.headless.default.svc.cluster.local",
                             "broken.server": "example.org { template ANY }"}})
    wait.until("the stub answers", lambda: "192.0.2.77" in lookup(cluster, "x.corp.example"))
    assert "192.0.2.78" in lookup(cluster, "printer.cluster.local")
    assert cluster.pod("one")["status"]["podIP"] in lookup(cluster, "old.example")
    events = "/api/v1/namespaces/kube-system/events?fieldSelector=involvedObject.name=knarr-dns"
    told = wait.until("an event", lambda: cluster.api.get(events)["items"])[0]
    assert (told["reason"], told["message"]) == (
        "InvalidDNSConfig", 'broken.server: line 1: not the head of a server block: zones and "{"'), told
    cluster.kubectl("delete", "configmap", "-n", "kube-system", "knarr-dns")
    wait.until("the name is gone", lambda: resolve("printer.cluster.local")[0] == 3)


def test_names_as_coredns_has_them(cluster, registry):
    one = cluster.pod("one")["status"]["podIP"]
    assert resolve(one.replace(".", "-") + ".default.pod.cluster.local") == (
        0, bytes.fromhex("c00c00010001000000050004") + socket.inet_aton(one))
    assert resolve("dns-version.cluster.local", 16)[1].endswith(b"\x051.1.0")
    assert b"kube-dns" in resolve("cluster.local", 2)[1]
    for name, kind, rcode in (("*.default.svc.cluster.local", 1, 3), ("default.svc.cluster.local", 1, 0),
                              ("kubernetes.default.svc.cluster.local", 28, 0), ("absent.cluster.local", 1, 3)):
        got, rest = resolve(name, kind)
        assert got == rcode and b"hostmaster" in rest, (name, got, rest)  # with the zone's SOA


def test_session_affinity(cluster, registry):
    apply(cluster, service("sticky", "web", [{"port": 80}], sessionAffinity="ClientIP"))
    url = "http://sticky.default.svc.cluster.local/"
    wait.until("it answers", lambda: client(cluster, "curl -sS -m 5 " + url) in ("one", "two"))
    seen = set(client(cluster, "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do curl -sS -m 5 %s; done" % url).split())
    assert len(seen) == 1, seen


def test_hairpin(cluster, registry):
    """A pod reaches itself through its own service."""
    apply(cluster, service("mirror", "alone", [{"port": 8080, "targetPort": 80}]),
          pod("alone", registry.address + "/httpd"))
    cluster.wait_for("pod/alone")
    address = cluster.kubectl("get", "service", "mirror", "-o", "jsonpath={.spec.clusterIP}")
    ask = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 %s 8080 | tail -n 1" % address
    wait.until("its own answer", lambda: cluster.kubectl("exec", "alone", "--", "sh", "-c", ask).strip() == "alone")


def test_udp(cluster, registry):
    """A second service before the cluster's DNS: the resolver's own protocol is the client."""
    apply(cluster, service("names", None, [{"port": 53, "targetPort": 5353, "protocol": "UDP"}]),
          {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
           "metadata": {"name": "names-1", "labels": {"kubernetes.io/service-name": "names"}},
           "ports": [{"port": 53, "protocol": "UDP"}], "endpoints": [{"addresses": ["10.43.0.10"]}]})
    address = cluster.kubectl("get", "service", "names", "-o", "jsonpath={.spec.clusterIP}")
    own = cluster.kubectl("get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}")
    wait.until("an answer", lambda: own in cluster.kubectl(
        "exec", "client", "--", "nslookup", "kubernetes.default.svc.cluster.local", address, ok=False), 30)


def test_endpoints_of_ones_own(cluster, registry):
    """A service without a selector, and the slice that somebody wrote for it."""
    ip = cluster.pod("one")["status"]["podIP"]
    apply(cluster, service("manual", None, [{"port": 81, "targetPort": 80}]),
          {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
           "metadata": {"name": "manual-1", "labels": {"kubernetes.io/service-name": "manual"}},
           "ports": [{"port": 80}], "endpoints": [{"addresses": [ip]}]})
    wait.until("the pod answers", lambda: client(
        cluster, "curl -sS -m 5 http://manual.default.svc.cluster.local:81/ || true") == "one")


def test_no_endpoints_is_refused(cluster, registry):
    apply(cluster, service("empty", "nobody", [{"port": 80}]))
    out = ""

    def refused():
        nonlocal out
        out = client(cluster, "curl -sS -m 5 http://empty.default.svc.cluster.local/ 2>&1 || true")
        return "refused" in out.lower() or "Couldn't connect" in out or "Failed to connect" in out
    wait.until("refused at once (%s)" % out, refused)


def test_host_port_and_host_network(cluster, registry):
    httpd = registry.address + "/httpd"
    apply(cluster, pod("ported", httpd, container={"ports": [{"containerPort": 80, "hostPort": 8088}]}),
          pod("rooted", registry.address + "/busybox", hostNetwork=True,
              container={"command": ["sh", "-c", "mkdir /w; echo rooted > /w/index.html; httpd -f -p 8089 -h /w"]}))
    for name in ("ported", "rooted"):
        cluster.wait_for("pod/" + name)
    assert cluster.pod("rooted")["status"]["podIP"] == cluster.address
    for port, name in ((8088, "ported"), (8089, "rooted")):
        wait.until("port %d answers a pod" % port, lambda: client(
            cluster, "curl -sS -m 5 http://%s:%d/ || true" % (cluster.address, port)) == name)


def test_load_balancer(cluster, registry):
    """The node's address is the service's, until another service has the port."""
    apply(cluster, service("balanced", "web", [{"port": 8090, "targetPort": 80}], type="LoadBalancer"))
    ingress = ["get", "service", "balanced", "-o", "jsonpath={.status.loadBalancer.ingress[*].ip}"]
    wait.until("an address", lambda: cluster.kubectl(*ingress) == cluster.address)
    for ask in (lambda url: client(cluster, "curl -sS -m 5 %s || true" % url), from_host):
        wait.until("answers", lambda: ask("http://%s:8090/" % cluster.address).strip() in ("one", "two"))
    cluster.kubectl("patch", "service", "balanced", "-p", '{"spec":{"type":"ClusterIP"}}')
    assert cluster.kubectl(*ingress) == ""


def test_network_policy(cluster, registry):
    """Refused by default, let in by a label; the node itself always comes in; nothing stays behind."""
    url = "http://%s/" % cluster.pod("one")["status"]["podIP"]
    ask = "curl -sS -m 1 %s 2>&1 || true" % url

    def policy(**spec):
        apply(cluster, {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web"},
                        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, **spec}})
    assert client(cluster, ask) == "one"
    policy()
    wait.until("kept out", lambda: "timed out" in client(cluster, ask))
    assert from_host(url).strip() == "one"
    policy(ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"port": 80}]}])
    wait.until("let in", lambda: client(cluster, ask) == "one")
    cluster.kubectl("delete", "networkpolicy", "web")
    wait.until("no rules", lambda: "-POLICY" not in process.run(["iptables-save"])[0])


def test_network_is_given_back(cluster, registry):
    cluster.kubectl("delete", "pod", "--all", "--wait=true", timeout=120)
    cluster.kubectl("delete", "service", "headless", "away", "sticky", "mirror", "names", "manual", "empty", "balanced")
