"""Packets from and to network namespaces: of pods, of machines, of this one (see probe.py)."""
import collections
import concurrent.futures
import json
import os
import subprocess
import sys
import time

from harness import wait

PROBE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "probe.py")


class Place:
    """A network namespace; `inside` is what runs a program in it."""

    def __init__(self, name, inside=()):
        self.name, self.inside, self.processes = name, list(inside), []

    def start(self, *words):
        process = subprocess.Popen([*self.inside, sys.executable, PROBE, *map(str, words)], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.processes.append(process)
        return process

    def serve(self, *ports):
        assert self.start("serve", self.name, *ports).stdout.readline() == "serving\n", self.name

    def ask(self, questions):
        """[(protocol, address, port), ...] -> answers, all asked at once."""
        out = subprocess.run([*self.inside, sys.executable, PROBE, "ask"], input=json.dumps(list(questions)),
                             capture_output=True, text=True, check=True, timeout=60)
        return json.loads(out.stdout)

    def close(self):
        for process in self.processes:
            process.stdin.close()
            process.stdout.close()
            process.kill()
            process.wait()
        self.processes = []


class Conversation:
    """A client that keeps its socket: say() gives the next answer."""

    def __init__(self, place, kind, address, port):
        self.process = place.start(kind, address, port)

    def say(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.heard()

    def heard(self):
        return self.process.stdout.readline().strip()


# What a place hears when it asks an address: exactly these answers, each at least once. An answer
# without the asker's address stands for any ("near" for "near 10.42.0.5").
Row = collections.namedtuple("Row", "place protocol address port answers")


def check(rows, seconds=15, times=4, timeout=1.0):
    """Asks until all rows are as they should be, with ever more patience; says which are not."""
    end = time.monotonic() + seconds
    seen = [set() for _ in rows]
    while True:
        wrong = one_round(rows, seen, times, timeout)
        if not wrong:
            return
        timeout = min(timeout * 1.3, 3)
        if time.monotonic() > end:
            raise wait.TimedOut("%d of %d rows are wrong:\n" % (len(wrong), len(rows)) + "\n".join(wrong))


def one_round(rows, seen, times, timeout):
    places = {id(row.place): row.place for row in rows}
    mine = {key: [i for i, row in enumerate(rows) if id(row.place) == key] for key in places}

    def ask(key):
        questions = [(rows[i].protocol, rows[i].address, rows[i].port, timeout)
                     for i in mine[key] for _ in range(times)]
        return places[key].ask(questions)
    wrong = []
    with concurrent.futures.ThreadPoolExecutor(len(places)) as pool:
        for key, answers in zip(places, pool.map(ask, places)):
            for n, i in enumerate(mine[key]):
                row = rows[i]
                heard = {short(a, row.answers) for a in answers[n * times:(n + 1) * times]}
                seen[i] = seen[i] | heard if heard <= row.answers else set()
                if seen[i] != row.answers:
                    wrong.append("%s asks %s %s %s: heard %s, not %s" %
                                 (row.place.name, *row[1:4], sorted(heard), sorted(row.answers)))
    return wrong


def short(answer, expected):
    return answer if answer in expected else answer.split()[0]


def of_pod(pod):
    """The place of a running pod: the network namespace of a process of one of its containers."""
    uid = pod["metadata"]["uid"]
    for folder, _, files in os.walk("/sys/fs/cgroup"):
        if uid not in folder.replace("_", "-") or "cgroup.procs" not in files:
            continue
        with open(folder + "/cgroup.procs") as file:
            for pid in file.read().split():
                if pid != "0":
                    return Place(pod["metadata"]["name"], ["nsenter", "--net=/proc/%s/ns/net" % pid])
    raise LookupError("no process of pod " + pod["metadata"]["name"])
