"""Files in <data-dir>/server/manifests: applied at start and on change, what they no longer have goes."""
import os

from harness import wait

FLAGS = ["--disable-agent"]


def config_map(name, value):
    return ("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n  namespace: made\ndata:\n"
            "  value: '%s'\n---\n" % (name, value))


NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: made\n---\n"


def write(cluster, name, text):
    path = cluster.data_dir + "/server/manifests/" + name
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def values(cluster):
    return cluster.kubectl("get", "configmaps", "-n", "made", "-o",
                           "jsonpath={range .items[*]}{.metadata.name}={.data.value} {end}",
                           "--field-selector=metadata.name!=kube-root-ca.crt").strip()


def test_applied_and_changed(cluster):
    # The first is not possible before the second is there: it is tried again.
    write(cluster, "a.yaml", config_map("one", 1) + config_map("two", 2))
    write(cluster, "sub/b.yaml", NAMESPACE)
    wait.until("both are there", lambda: values(cluster) == "one=1 two=2")
    write(cluster, "a.yaml", config_map("one", 3))
    wait.until("one is changed, the other gone", lambda: values(cluster) == "one=3")


def test_changed_while_the_server_was_off(cluster):
    cluster.stop()
    write(cluster, "a.yaml", config_map("three", 3))
    cluster.start()
    wait.until("what the file has, and no more", lambda: values(cluster) == "three=3")


def test_skipped(cluster):
    write(cluster, "a.yaml.skip", "")
    write(cluster, "a.yaml", config_map("four", 4))
    write(cluster, "c.yaml", config_map("five", 5))
    wait.until("only the file that is not skipped", lambda: values(cluster) == "five=5 three=3")


def test_removed(cluster):
    os.unlink(cluster.data_dir + "/server/manifests/sub/b.yaml")
    wait.until("the namespace is gone", lambda: not cluster.kubectl(
        "get", "namespace", "made", "--ignore-not-found"))
