"""The lab's network namespaces: made by one holder process, entered by nsenter; as root directly, as an
ordinary user inside a user namespace of the holder's."""

import json
import os
import subprocess
import sys
import time

HOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "holder.py")
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable


class Unsupported(Exception):
    """This machine or user cannot have a lab; the text says why."""


def check_support():
    """Raises Unsupported where network namespaces cannot be made."""
    attempt = subprocess.run(_outer() + ["unshare", "--net", "true"], capture_output=True, text=True,
                             check=False)
    if attempt.returncode != 0:
        who = "root" if os.geteuid() == 0 else "an ordinary user (are user namespaces switched off?)"
        raise Unsupported(f"network namespaces cannot be made as {who}: {attempt.stderr.strip()}")


def _outer():
    return [] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--"]


class Namespaces:
    def __init__(self, run, processes):
        self.file = os.path.join(run, "holder.json")
        self.processes = processes

    def create(self, names):
        if os.path.exists(self.file):
            os.unlink(self.file)
        self.processes.start("holder", _outer() + [PYTHON, HOLDER, self.file, *names])
        deadline = time.monotonic() + 20
        while not os.path.exists(self.file):
            if not self.processes.pid("holder") or time.monotonic() > deadline:
                raise Unsupported("the namespaces' holder did not start: " + self.processes.log_tail("holder"))
            time.sleep(0.01)

    def prefix(self, name):
        """The command line that runs what follows it in namespace `name`."""
        with open(self.file, encoding="utf-8") as file:
            holder = json.load(file)
        if name not in holder["descriptors"]:
            raise KeyError(f"no namespace is named '{name}'; there are {', '.join(holder['descriptors'])}")
        pid = holder["pid"]
        enter = ["nsenter", f"--net=/proc/{pid}/fd/{holder['descriptors'][name]}"]
        if os.geteuid() != 0:
            enter += [f"--user=/proc/{pid}/ns/user", "--preserve-credentials"]
        return enter + ["--"]

    def path(self, name):
        """A path that names the namespace for `ip link ... netns PATH`, valid in every namespace of the lab."""
        with open(self.file, encoding="utf-8") as file:
            holder = json.load(file)
        return f"/proc/{holder['pid']}/fd/{holder['descriptors'][name]}"

    def run(self, name, command, text_in=None, check=True):
        done = subprocess.run(self.prefix(name) + command, input=text_in, capture_output=True, text=True,
                              check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"in {name}: {' '.join(command)}: {done.stderr.strip() or done.returncode}"
                               + (f"\n{text_in}" if text_in else ""))
        return done

    def quiet(self, name):
        """No IPv6, no reverse-path filter: frames belong to the data planes and to the lab's addresses."""
        settings = {"net/ipv6/conf/all/disable_ipv6": 1, "net/ipv6/conf/default/disable_ipv6": 1,
                    "net/ipv4/conf/all/rp_filter": 0, "net/ipv4/conf/default/rp_filter": 0}
        script = "; ".join(f"[ ! -e /proc/sys/{key} ] || echo {value} > /proc/sys/{key}"
                           for key, value in settings.items())
        self.run(name, ["sh", "-c", script])

    def connect(self, pairs):
        """Makes veth pairs (namespace, interface, namespace, interface). All offloads are off at both ends:
        a data plane sees frames as a wire carries them, with whole checksums and at most one MTU long."""
        if not pairs:
            return
        lines = [f"link add name {a_port} netns {self.path(a)} type veth peer name {b_port} "
                 f"netns {self.path(b)}" for a, a_port, b, b_port in pairs]
        self.run(pairs[0][0], ["ip", "-batch", "-"], "\n".join(lines) + "\n")
        ports = {}
        for a, a_port, b, b_port in pairs:
            ports.setdefault(a, []).append(a_port)
            ports.setdefault(b, []).append(b_port)
        for name, interfaces in ports.items():
            script = "; ".join(f"ethtool -K {port} tx off tso off gso off gro off >/dev/null || exit 1"
                               for port in interfaces)
            self.run(name, ["sh", "-c", script])
