"""Replays recorded conversations with a real cluster, which lie beside the repository."""
import os
import re
import subprocess

from harness.cluster import REPO

FOLDER = os.path.join(os.path.dirname(REPO), "shared", "golden")
FLOOR = os.path.join(REPO, "test", "e2e", "golden_floor")
FLAGS = ["--service-cidr", "10.96.0.0/16", "--cluster-cidr", "10.244.0.0/16",
         "--token-auth-file", "{cases}/tokens.csv"]
API_FLAGS = FLAGS + ["--disable-agent", "--disable-scheduler", "--disable-controller-manager"]


def missing():
    return "" if os.path.exists(FOLDER + "/replay") else "no golden conversations beside the repository"


def floor(name):
    with open(FLOOR) as file:
        return int(re.search(r"(?m)^%s (\d+)$" % name, file.read())[1])


def replay(cluster, name, *args):
    """Fails if fewer steps agree than the floor says."""
    result = subprocess.run(
        [FOLDER + "/replay", "--server", "https://127.0.0.1:%d" % cluster.port, "--token",
         "admin-token", *args], capture_output=True, text=True, timeout=900, stdin=subprocess.DEVNULL)
    report = os.path.join(REPO, "build", "golden-%s.log" % name)
    os.makedirs(os.path.dirname(report), exist_ok=True)
    with open(report, "w") as file:
        file.write(result.stdout + result.stderr)
    agreed, differed = map(int, re.findall(r"(\d+) passed, (\d+) failed", result.stdout)[-1])
    print("      %s: %d of %d steps agree, %s" % (name, agreed, agreed + differed, report))
    assert agreed >= floor(name), "%d steps agree, the floor is %d" % (agreed, floor(name))
