"""Drives load through a lab and keeps the records of load.py."""

import json
import os
import subprocess
import threading
import time
from collections import Counter

import namespaces

TOKENS_PER_S = 50  # of one stream, by the endpoint simulator
LOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "load.py")


class Driven:
    """One load.py in the client's namespace; its records arrive by a thread."""

    def __init__(self, lab, *arguments):
        command = lab.spaces.prefix("client") + [namespaces.PYTHON, "-B", LOAD, *map(str, arguments)]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._records = []
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self):
        for line in self._child.stdout:
            self._records.append(json.loads(line))  # append is atomic; readers copy

    def records(self):
        return list(self._records)

    def running(self):
        return self._child.poll() is None

    def stop(self):
        """Ends it, when it has not ended by itself."""
        if self.running():
            self._child.terminate()
        self._child.wait()
        self._thread.join()
        self._child.stdin.close()
        self._child.stdout.close()


class Load(Driven):
    """Requests, new connections and kept ones."""

    def __init__(self, lab, new=100, keep=8, keep_rate=50):
        super().__init__(lab, "--new", new, "--keep", keep, "--keep-rate", keep_rate)

    def failed(self, since_ns=0, until_ns=None):
        """Those that started in the time given, and failed."""
        return [r for r in self.records() if r["error"] and r["start"] >= since_ns
                and (until_ns is None or r["start"] < until_ns)]

    def succeeded(self, since_ns=0, kind=None):
        return [r for r in self.records() if not r["error"] and r["start"] >= since_ns
                and kind in (None, r["kind"])]

    def endpoints(self, since_ns=0, kind=None):
        """How many requests each endpoint answered."""
        return Counter(r["endpoint"] for r in self.succeeded(since_ns, kind))


class Stream(Driven):
    """One streamed completion of so many tokens, TOKENS_PER_S."""

    def __init__(self, lab, tokens):
        super().__init__(lab, "--stream", tokens)

    def tokens(self):
        return [r for r in self.records() if r["kind"] == "token"]

    def endpoint(self):
        tokens = self.tokens()
        return tokens[0]["endpoint"] if tokens else None

    def outcome(self):
        """None while it runs; then its last record."""
        last = [r for r in self.records() if r["kind"] == "stream"]
        return last[0] if last else None

    def longest_gap_ms(self, since_ns=0):
        times = [r["at"] for r in self.tokens()]
        return max((b - a for a, b in zip(times, times[1:]) if b >= since_ns), default=0) / 1e6


class Asked(Driven):
    """Streamed requests of the routed service, `clients` at a time."""

    def __init__(self, lab, clients, prompt=10, gap=0.0):
        super().__init__(lab, "--ask", clients, "--certificate", lab.certificate, "--prompt", prompt, "--gap", gap)

    def answers(self, since_ns=0):
        """Those to what was asked since."""
        return [r for r in self.records() if r["start"] >= since_ns and not r["error"]]

    def failed(self):
        return [r for r in self.records() if r["error"]]


def now_ns():
    return time.monotonic_ns()
