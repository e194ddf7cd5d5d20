"""A Deployment behind a Service: requests from the host and from pods reach every replica."""
import urllib.request

from harness import images, wait


def pod_names(cluster):
    return {pod["metadata"]["name"] for pod in cluster.pods("app=web")}


def answers(url, fetch, wanted):
    """Asks until every replica has answered."""
    seen = set()

    def ask():
        seen.add(fetch(url).strip())
        return seen >= wanted
    wait.until("all of %s have answered at %s (seen: %s)" % (wanted, url, seen), ask, 30, every=0)
    return seen


def from_host(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def test_deployment(cluster, registry):
    cluster.kubectl("create", "deployment", "web", "--image=%s/httpd" % registry.address,
                    "--replicas=3")
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s", timeout=70)
    assert len(pod_names(cluster)) == 3
    out = cluster.kubectl("get", "deployment", "web", "-o", "jsonpath={.status.availableReplicas}")
    assert out == "3", out


def test_cluster_ip_from_the_host(cluster, registry):
    cluster.kubectl("expose", "deployment", "web", "--port=80")
    address = cluster.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    wanted = pod_names(cluster)
    assert answers("http://%s/" % address, from_host, wanted) == wanted


def test_name_from_a_pod(cluster, registry):
    image = images.curl().push(registry.address, "curl")
    cluster.kubectl("run", "client", "--image=" + image, "--command", "--", "sleep", "3600")
    cluster.wait_for("pod/client")
    wanted = pod_names(cluster)
    # Debian's static busybox dies in its wget when a name has an address; its nc does not.
    ask = 'printf "GET / HTTP/1.0\\r\\n\\r\\n" | nc -w 5 web.default.svc.cluster.local 80 | tail -n 1'
    seen = answers("http://web.default.svc.cluster.local/", lambda url: cluster.kubectl(
        "exec", "client", "--", "sh", "-c", ask), wanted)
    assert seen == wanted


def test_short_names_and_strangers(cluster, registry):
    """A pod's search domains lead to its own namespace first; a name that isn't is said not to be."""
    for name in ("web", "web.default", "web.default.svc"):
        out = cluster.kubectl("exec", "client", "--", "curl", "-sS", "-m", "5", "http://%s/" % name)
        assert out.strip() in pod_names(cluster), out
    out = cluster.kubectl("exec", "client", "--", "curl", "-sS", "-m", "5",
                          "http://nobody.default.svc.cluster.local/", ok=False)
    assert "Could not resolve host" in out, out


def test_node_port(cluster, registry):
    cluster.kubectl("expose", "deployment", "web", "--port=80", "--type=NodePort", "--name=outer")
    port = cluster.kubectl("get", "service", "outer", "-o", "jsonpath={.spec.ports[0].nodePort}")
    wanted = pod_names(cluster)
    assert answers("http://%s:%s/" % (cluster.address, port), from_host, wanted) == wanted


def test_scaled_down_to_nothing(cluster, registry):
    cluster.kubectl("scale", "deployment", "web", "--replicas=0")
    wait.until("no pods", lambda: not pod_names(cluster), 60)
    slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=" \
        "kubernetes.io/service-name=web"
    wait.until("no endpoints", lambda: not any(s["endpoints"] for s in cluster.api.get(slices)["items"]))
    cluster.kubectl("delete", "service", "web", "outer")
