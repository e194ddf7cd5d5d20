"""Packets from and to network namespaces: of pods, of machines, of this one (see probe.py)."""
import json
import os
import subprocess
import sys

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
