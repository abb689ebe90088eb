"""scripts/bench router: requests, streams and handshakes through the gateway's router beside nginx and haproxy.

Every round asks each peer each row, in an order that shifts; a bar is on the median of the rounds' ratios.
"""

import argparse
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Callable

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import router_report  # noqa: E402
from report import report_bars  # noqa: E402
from router_peers import (KEY, LOAD_CPU, SCRATCH, Direct, Haproxy, Nginx, Perigee, certificate, cpu_us,  # noqa: E402
                          memory_kb, start, write, ENDPOINT, ENDPOINT_PORT)

SECONDS = 1  # of one sample
OPEN_SECONDS = 2  # of one in an open loop: it has few requests
HELD = 1000  # idle streams


class Bench:
    def __init__(self, build_dir):
        programs = os.path.join(build_dir, "test", "bench")
        self.load_program = os.path.join(programs, "router_load")
        self.backend_program = os.path.join(programs, "router_backend")
        self.peers = [Direct(), Nginx(8100), Haproxy(8110, logs=False), Haproxy(8120, logs=True),
                      Perigee(8130, build_dir, everything=False), Perigee(8140, build_dir, everything=True)]
        self.script = write("post.lua", f"""wrk.method = "POST"
wrk.body = '{{"model":"m","messages":[{{"role":"user","content":"Hello"}}]}}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {KEY}"
""")

    def wrk(self, peer, tls=False):
        url = f"{'https' if tls else 'http'}://{peer.address}:{peer.tls_port if tls else peer.port}/v1/chat/completions"
        before = used(peer)
        done = subprocess.run(["taskset", "-c", str(LOAD_CPU), "wrk", "-t1", "-c64", f"-d{SECONDS}s", "-s", self.script,
                               url], capture_output=True, text=True, timeout=60, check=False)
        count = int(re.search(r"(\d+) requests in", done.stdout).group(1))
        complaint = re.search(r"Socket errors.*|Non-2xx.*", done.stdout)
        if complaint:
            print(f"{peer.name}: {complaint.group(0)}", flush=True)
        return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout).group(1)),
                "cpu": (used(peer) - before) / max(count, 1)}

    def load(self, peer, *options, per="done", tls=False):
        """What router_load found, with the proxy's CPU time for each request or event."""
        before = used(peer)
        done = subprocess.run(self.load_command(peer, options, tls), capture_output=True, text=True, timeout=120,
                              check=False, env=os.environ | {"BENCH_KEY": KEY})
        if done.returncode != 0:
            raise RuntimeError(f"{peer.name}: {done.stderr}{done.stdout}")
        found = json.loads(done.stdout)
        if found["errors"]:
            print(f"{peer.name}, {' '.join(options)}: {found['errors']} errors", flush=True)
        return found | {"cpu": (used(peer) - before) / max(found[per], 1), "rate": found["done"] / found["seconds"]}

    def load_command(self, peer, options, tls):
        port = str(peer.tls_port if tls else peer.port)
        return ["taskset", "-c", str(LOAD_CPU), self.load_program, *(["--tls"] if tls else []), *options, peer.address, port]

    def held(self, peer, tls=False):
        """Memory of a stream of which one event came: of a new proxy that was asked a little before."""
        peer.stop()
        peer.start()
        self.load(peer, "--connections", "8", "--requests", "200", "--events", "2", "--gap", "100", tls=tls)
        before = memory_kb(peer.pid)
        options = ("--connections", str(HELD), "--requests", str(HELD), "--events", "2", "--gap", "60000000", "--hold")
        client = start(self.load_command(peer, options, tls), LOAD_CPU, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            client.stdout.readline()
            return {"memory": (memory_kb(peer.pid) - before) / HELD}
        finally:
            client.stdin.close()
            client.wait(30)

    def streams(self, peer, count, gap_us):
        events = SECONDS * 1_000_000 // gap_us
        return self.load(peer, "--connections", str(count), "--requests", str(count), "--events", str(events), "--gap",
                         str(gap_us), per="events")


@dataclass
class Row:
    title: str
    measure: Callable
    proxies_only: bool = False


ROWS = {
    "memory": Row(f"{HELD} idle streams", lambda b, p: b.held(p), proxies_only=True),
    "memory-tls": Row(f"{HELD} idle streams, TLS to the client", lambda b, p: b.held(p, tls=True), proxies_only=True),
    "json": Row("Small JSON, 64 connections", lambda b, p: b.wrk(p)),
    "json-tls": Row("Small JSON, 64 connections, TLS to the client", lambda b, p: b.wrk(p, tls=True), proxies_only=True),
    "full": Row("TLS handshakes, full", lambda b, p: b.load(
        p, "--handshakes", "--connections", "8", "--seconds", str(SECONDS), tls=True), proxies_only=True),
    "resumed": Row("TLS handshakes, resumed", lambda b, p: b.load(
        p, "--handshakes", "--connections", "8", "--seconds", str(SECONDS), "--resume", tls=True), proxies_only=True),
    "open-500": Row("Open loop, 500 requests/s", lambda b, p: b.load(
        p, "--connections", "64", "--rate", "500", "--seconds", str(OPEN_SECONDS))),
    "open-5000": Row("Open loop, 5000 requests/s", lambda b, p: b.load(
        p, "--connections", "64", "--rate", "5000", "--seconds", str(OPEN_SECONDS))),
    "prompts": Row("Prompts of 220 KB, 150 connections", lambda b, p: b.load(
        p, "--connections", "150", "--requests", "1500", "--body", "220000", "--events", "2", "--gap", "1000")),
    "streams-200": Row("200 streams, an event every 10 ms", lambda b, p: b.streams(p, 200, 10_000)),
    "streams-1000": Row("1000 streams, an event every 50 ms", lambda b, p: b.streams(p, 1000, 50_000)),
}


def asked(peer, key):
    """Whether a peer has that row: its log makes a difference to requests alone."""
    return (peer.pid is not None or not ROWS[key].proxies_only) and (peer.name != "haproxy, log" or key == "json")


def used(peer):
    return 0 if peer.pid is None else cpu_us(peer.pid)


def measure(bench, rows, rounds):
    results = {}
    backend = start([bench.backend_program, ENDPOINT, str(ENDPOINT_PORT)], LOAD_CPU)
    for number in range(rounds):
        order = bench.peers[number % len(bench.peers):] + bench.peers[:number % len(bench.peers)]
        for peer in order:
            peer.start()
        for key in rows:
            for peer in order:
                if asked(peer, key):
                    results.setdefault((key, peer.name), []).append(ROWS[key].measure(bench, peer))
        for peer in order:
            peer.stop()
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    backend.terminate()
    return results


def enter_namespaces():
    """A network of our own, and a /run of our own: nothing is left of them when this process ends."""
    if ctypes.CDLL(None, use_errno=True).unshare(0x40000000 | 0x20000) != 0:  # CLONE_NEWNET | CLONE_NEWNS
        raise OSError(ctypes.get_errno(), "no namespaces; are you root?")
    for command in ("mount --make-rprivate /", "mount -t tmpfs tmpfs /run", f"mkdir {SCRATCH}", "ip link set lo up",
                    f"ip addr add {ENDPOINT}/32 dev lo", "sysctl -qw net.ipv4.ip_local_port_range=20000\\ 65000"):
        subprocess.run(command, shell=True, check=True)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench router")
    parser.add_argument("--build-dir", default="build/release")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--row", choices=ROWS, action="append")
    parser.add_argument("--without", action="append", default=[], help="a peer that is not measured, by name")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ["PATH"] = "/usr/bin:/bin:/usr/sbin:/sbin"
    enter_namespaces()
    certificate()
    bench = Bench(os.path.abspath(options.build_dir))
    bench.peers = [peer for peer in bench.peers if peer.name not in options.without]
    rows = options.row or list(ROWS)
    results = measure(bench, rows, options.rounds)
    for key in rows:
        router_report.table_of(key, ROWS[key].title, results, [peer.name for peer in bench.peers])
    bars = router_report.bars(rows, results)
    return report_bars(bars)


if __name__ == "__main__":
    sys.exit(main())
