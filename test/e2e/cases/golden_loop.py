"""What real controllers and the scheduler leave behind, replayed (golden_floor)."""
from harness import golden

FLAGS = golden.FLAGS + ["--disable-agent"]
missing = golden.missing


def test_loops(cluster):
    golden.replay(cluster, "loop", "--loops")
