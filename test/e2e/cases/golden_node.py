"""What a real kubelet makes of pods, replayed: as many steps agree as ever did (golden_floor)."""
from harness import golden, images

FLAGS = golden.FLAGS
IN_FULL = ("running", "succeeded", "failed", "crashloop", "init-order", "env", "volumes",
           "delete-graceful")
missing = golden.missing


def test_node(cluster):
    cluster.import_image(images.busybox(), "localhost/busybox:1")
    reports = golden.replay(cluster, "node", "--node")
    for name in IN_FULL:
        assert reports["node-" + name].endswith(", 0 failed\n"), reports["node-" + name]
