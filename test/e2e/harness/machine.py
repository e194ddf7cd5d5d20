#!/usr/bin/env python3
"""What a machine holds that a cluster could leave behind, as a set of lines.

usage: machine.py save FILE        write the state down
       machine.py compare FILE     print what is there now and was not; exit 1 if anything is

Links, network namespaces, mounts, cgroups, iptables rules, kernel settings, and processes that run a knarr or a
program of this repository's build. Short-lived leavings (a cgroup whose last process is being
reaped) are given ten seconds to go.
"""
import json
import os
import subprocess
import sys
import time

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def output(*argv):
    try:
        result = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        return ""
    return result.stdout


def links():
    return {"link " + link["ifname"] for link in json.loads(output("ip", "-j", "link") or "[]")}


def namespaces():
    named = set()
    for folder in ("/run/netns", "/run/knarr", "/run/knarr-dev"):
        for path, _, files in os.walk(folder):
            named |= {"file " + os.path.join(path, name) for name in files}
    return named


def mounts():
    with open("/proc/self/mountinfo") as file:
        return {"mount " + line.split()[4] for line in file}


def of_others(group):
    """Whether something lives in a group that does not have our name: others start and end things, too."""
    if "knarr" in group:
        return False
    try:
        with open(group + "/cgroup.procs") as file:
            return bool(file.read().strip())
    except OSError:
        return True


def cgroups():
    """Without those of other runs of the tests."""
    found, mine = set(), os.environ.get("KNARR_E2E_ID")
    for path, folders, _ in os.walk("/sys/fs/cgroup"):
        if mine:
            folders[:] = [f for f in folders if not f.startswith("knarr-e2e-") or f.split("-")[2] == mine]
        groups = [os.path.join(path, folder) for folder in folders]
        found |= {"cgroup " + group for group in groups if not of_others(group)}
    return found


def iptables():
    """Chains and rules, without the counters of packets."""
    rules = set()
    for command in ("iptables-save", "ip6tables-save"):
        table = ""
        for line in output(command).split("\n"):
            if line.startswith("*"):
                table = line[1:]
            elif line.startswith(":"):
                name, policy = line[1:].split()[:2]
                if policy == "-":
                    rules.add("%s %s: chain %s" % (command, table, name))
            elif line.startswith("-"):
                rules.add("%s %s: %s" % (command, table, line))
    return rules


SETTINGS = ("ipv4/ip_forward", "ipv4/conf/all/send_redirects", "ipv4/conf/all/route_localnet", "ipv6/conf/all/forwarding")


def settings():
    found = set()
    for name in SETTINGS:
        try:
            with open("/proc/sys/net/" + name) as file:
                found.add("setting %s: %s" % (name, file.read().strip()))
        except OSError:
            pass  # a kernel without IPv6
    return found


def processes():
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            program = os.readlink("/proc/%s/exe" % pid)
            with open("/proc/%s/cmdline" % pid) as file:
                command = file.read().replace("\0", " ").strip()
        except OSError:
            continue
        program = program.replace(" (deleted)", "")
        ours = program.startswith(REPO + "/build/") or os.path.basename(program) == "knarr"
        ours |= command.startswith("knarr shim ")  # its program is on a mount without a path
        if ours and int(pid) != os.getpid():
            found.add("process %s: %s" % (pid, command[:120]))
    return found


PARTS = (links, namespaces, mounts, cgroups, iptables, settings, processes)


def state():
    found = set()
    for part in PARTS:
        found |= part()
    return found


def left_behind(before, seconds=10):
    """What is there now and was not before, once it has had time to go."""
    end = time.monotonic() + seconds
    while True:
        left = sorted(state() - set(before))
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.2)


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("save", "compare"):
        sys.exit(__doc__)
    if sys.argv[1] == "save":
        with open(sys.argv[2], "w") as file:
            file.write("\n".join(sorted(state())))
        return 0
    with open(sys.argv[2]) as file:
        left = left_behind(file.read().split("\n"))
    for line in left:
        print("left behind: " + line)
    return bool(left)


if __name__ == "__main__":
    sys.exit(main())
