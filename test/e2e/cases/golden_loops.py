"""What real controllers and a real scheduler leave behind, replayed: as many steps agree as ever did (golden_floor)."""
from harness import golden

FLAGS = golden.FLAGS + ["--disable-agent"]
missing = golden.missing


def test_loops(cluster):
    # One after the other: they count the nodes there are.
    golden.replay(cluster, "loop", "--loops", at_once=1)
