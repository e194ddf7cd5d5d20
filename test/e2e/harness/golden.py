"""Replays recorded conversations with a real cluster, which lie beside the repository."""
import concurrent.futures
import glob
import os
import re
import subprocess

from harness.cluster import REPO

FOLDER = os.path.join(os.path.dirname(REPO), "shared", "golden")
FLOOR = os.path.join(REPO, "test", "e2e", "golden_floor")
AT_ONCE = 6
FLAGS = ["--service-cidr", "10.96.0.0/16", "--cluster-cidr", "10.244.0.0/16",
         "--token-auth-file", "{cases}/tokens.csv",
         # What that cluster had not.
         "--disable-local-storage", "--disable-metrics-server"]
API_FLAGS = FLAGS + ["--disable-agent", "--disable-scheduler", "--disable-controller-manager"]


def missing():
    return "" if os.path.exists(FOLDER + "/replay") else "no golden conversations beside the repository"


def floor(name):
    with open(FLOOR) as file:
        return int(re.search(r"(?m)^%s (\d+)$" % name, file.read())[1])


def replay(cluster, name, *args, at_once=AT_ONCE):
    """Fails if fewer steps agree than the floor says. Cases wait more than they work, and each has a
    namespace of its own: several run at once."""
    cases = sorted(glob.glob("%s/cases/%s-*.json" % (FOLDER, name)))

    def one(case):
        return subprocess.run(
            [FOLDER + "/replay", "--server", "https://127.0.0.1:%d" % cluster.port, "--token",
             "admin-token", *args, case], capture_output=True, text=True, timeout=900,
            stdin=subprocess.DEVNULL).stdout
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        reports = list(pool.map(one, cases))
    path = os.path.join(REPO, "build", "golden-%s.log" % name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.writelines(reports)
    sums = [re.findall(r"(\d+) passed, (\d+) failed\n$", report)[0] for report in reports]
    agreed, differed = sum(int(s[0]) for s in sums), sum(int(s[1]) for s in sums)
    print("      %s: %d of %d steps agree, %s" % (name, agreed, agreed + differed, path))
    assert agreed >= floor(name), "%d steps agree, the floor is %d" % (agreed, floor(name))
    return dict(zip([os.path.basename(case)[:-5] for case in cases], reports))
