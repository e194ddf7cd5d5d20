"""What a real kubelet makes of pods, replayed: as many steps agree as ever did (golden_floor)."""
from harness import golden, images

FLAGS = golden.FLAGS
missing = golden.missing


def test_node(cluster):
    cluster.import_image(images.busybox(), "localhost/busybox:1")
    golden.replay(cluster, "node", "--node")
