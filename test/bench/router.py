"""scripts/bench router: requests, streams and handshakes through the gateway's router beside other proxies.

Every round asks each peer each row, in an order that shifts; a bar is on the median of the rounds' ratios.
"""

import argparse
import ctypes
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Callable

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "sdk")]

import npm_packages  # noqa: E402
import router_report  # noqa: E402
from report import report_bars  # noqa: E402
from router_peers import (ENDPOINT, ENDPOINT_PORT, KEY, LOAD_CPU, SCRATCH, AiGateway, Direct, Haproxy, Nginx,  # noqa: E402
                          Perigee, certificate, cpu_us, memory_kb, start, write)

SECONDS = 1  # of one sample
OPEN_SECONDS = 2  # of one in an open loop: it has few requests
HELD, HELD_MANY = 1000, 40_000  # idle streams
FEW_NAMES, MANY_NAMES = 10_000, 100_000  # requests for what nobody knows
SPARE_DESCRIPTORS = 1000  # of a gateway, besides two for each stream
LET_GO_S = 30  # a proxy has, until nothing is in flight of clients that went


class Bench:
    def __init__(self, build_dir, ai_gateway):
        self.build_dir = build_dir
        programs = os.path.join(build_dir, "test", "bench")
        self.load_program = os.path.join(programs, "router_load")
        self.backend_program = os.path.join(programs, "router_backend")
        self.peers = [Direct(), Nginx(8100), Haproxy(8110, logs=False), Haproxy(8120, logs=True),
                      Perigee(8130, build_dir, everything=False), Perigee(8140, build_dir, everything=True)]
        if ai_gateway:
            self.peers.append(AiGateway(8150, ai_gateway))

    def script(self, peer):
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"} | peer.headers
        return write(f"post-{peer.port}.lua", """wrk.method = "POST"
wrk.body = '{"model":"m","messages":[{"role":"user","content":"Hello"}]}'
""" + "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in headers.items()))

    def wrk(self, peer, tls=False):
        url = f"{'https' if tls else 'http'}://{peer.address}:{peer.tls_port if tls else peer.port}/v1/chat/completions"
        script = self.script(peer)
        before = used(peer)
        done = subprocess.run(["taskset", "-c", str(LOAD_CPU), "wrk", "-t1", "-c64", f"-d{SECONDS}s", "-s", script, url],
                              capture_output=True, text=True, timeout=60, check=False)
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
        headers = [word for name, value in peer.headers.items() for word in ("--header", f"{name}: {value}")]
        return ["taskset", "-c", str(LOAD_CPU), self.load_program, *(["--tls"] if tls else []), *headers, *options,
                peer.address, port]

    def hold(self, peers, count, tls=False):
        """Memory of a stream of which one event came, `count` at each of these, that were asked a little before."""
        for peer in peers:
            self.load(peer, "--connections", "8", "--requests", "200", "--events", "2", "--gap", "100", tls=tls)
        before = sum(memory_kb(peer.pid) for peer in peers)
        options = ("--connections", str(count), "--events", "2", "--gap", "600000000", "--hold")
        clients = [start(self.load_command(peer, options, tls), LOAD_CPU, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                   for peer in peers]
        if any(client.stdout.readline() != "held\n" for client in clients):
            raise RuntimeError(f"{peers[0].name}: no connections for {count} streams")
        memory = sum(memory_kb(peer.pid) for peer in peers) - before
        found = [json.loads(client.communicate(timeout=LET_GO_S)[0]) for client in clients]
        return {"memory": memory / (count * len(peers)), "answered": sum(one["answered"] - one["errors"] for one in found)}

    def held(self, peer, tls=False):
        peer.stop()
        peer.start()
        return self.hold([peer], HELD, tls)

    def held_many(self, peer):
        """The same, in as many gateways as a process has too few descriptors; and what is in flight when the clients have
        gone."""
        for_streams = descriptors() * 3 // 4 - SPARE_DESCRIPTORS  # a gateway keeps the rest for others than clients
        count = -(-HELD_MANY // (for_streams // 2))
        peers = [Perigee(8200 + 10 * i, self.build_dir, peer.everything, ENDPOINT_PORT + 1 + i) for i in range(count)]
        backends = [start([self.backend_program, ENDPOINT, str(one.endpoint_port)], LOAD_CPU) for one in peers]
        for one in peers:
            one.start()
        found = self.hold(peers, HELD_MANY // count)
        begun = time.monotonic()
        while (left := sum(one.in_flight() for one in peers)) > 0 and time.monotonic() < begun + LET_GO_S:
            time.sleep(0.1)
        let_go = time.monotonic() - begun
        for one in peers:
            one.stop()
        for backend in backends:
            backend.terminate()
        return found | {"gateways": count, "left": left, "let_go": let_go}

    def unknown(self, peer):
        """Memory and series of a new proxy after a few requests for models and paths that nobody knows, and after many."""
        peer.stop()
        peer.start()
        out = {}
        for name, count in (("few", FEW_NAMES), ("many", MANY_NAMES - FEW_NAMES)):
            self.load(peer, "--connections", "8", "--requests", str(count), "--unknown")
            out |= {f"series_{name}": len(peer.metrics()), f"memory_{name}": memory_kb(peer.pid)}
        return out | {"growth": out["memory_many"] - out["memory_few"],
                      "series_growth": out["series_many"] - out["series_few"]}

    def prompts(self, peer):
        """Of a proxy that has had as many at once before: memory that it never touched costs the first ones most here."""
        options = ("--connections", "150", "--body", "220000", "--events", "2", "--gap", "1000")
        self.load(peer, "--requests", "300", *options)
        return self.load(peer, "--requests", "1500", *options)

    def streams(self, peer, count, gap_us):
        events = SECONDS * 1_000_000 // gap_us
        return self.load(peer, "--connections", str(count), "--requests", str(count), "--events", str(events), "--gap",
                         str(gap_us), per="events")


@dataclass
class Row:
    title: str
    measure: Callable
    of: Callable = lambda peer: True


def is_proxy(peer):
    return peer.pid is not None


def is_ours(peer):
    return isinstance(peer, Perigee)


ROWS = {
    "memory": Row(f"{HELD} idle streams", lambda b, p: b.held(p), is_proxy),
    "memory-tls": Row(f"{HELD} idle streams, TLS to the client", lambda b, p: b.held(p, tls=True), is_proxy),
    "memory-40k": Row(f"{HELD_MANY} idle streams", lambda b, p: b.held_many(p), is_ours),
    "names": Row(f"{MANY_NAMES} requests for models and paths that nobody knows", lambda b, p: b.unknown(p), is_ours),
    "json": Row("Small JSON, 64 connections", lambda b, p: b.wrk(p)),
    "json-tls": Row("Small JSON, 64 connections, TLS to the client", lambda b, p: b.wrk(p, tls=True), is_proxy),
    "full": Row("TLS handshakes, full", lambda b, p: b.load(
        p, "--handshakes", "--connections", "8", "--seconds", str(SECONDS), tls=True), is_proxy),
    "resumed": Row("TLS handshakes, resumed", lambda b, p: b.load(
        p, "--handshakes", "--connections", "8", "--seconds", str(SECONDS), "--resume", tls=True), is_proxy),
    "open-500": Row("Open loop, 500 requests/s", lambda b, p: b.load(
        p, "--connections", "64", "--rate", "500", "--seconds", str(OPEN_SECONDS))),
    "open-5000": Row("Open loop, 5000 requests/s", lambda b, p: b.load(
        p, "--connections", "64", "--rate", "5000", "--seconds", str(OPEN_SECONDS))),
    "prompts": Row("Prompts of 220 KB, 150 connections", lambda b, p: b.prompts(p)),
    "streams-8": Row("8 streams, an event every 10 ms", lambda b, p: b.load(
        p, "--connections", "8", "--requests", "40", "--events", "50", "--gap", "10000", per="events")),
    "streams-200": Row("200 streams, an event every 10 ms", lambda b, p: b.streams(p, 200, 10_000)),
    "streams-1000": Row("1000 streams, an event every 50 ms", lambda b, p: b.streams(p, 1000, 50_000)),
}


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
                if ROWS[key].of(peer) and peer.serves(key):
                    results.setdefault((key, peer.name), []).append(ROWS[key].measure(bench, peer))
                    peer.settle()
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
                    f"ip addr add {ENDPOINT}/32 dev lo", "sysctl -qw net.ipv4.ip_local_port_range=10000\\ 65500"):
        subprocess.run(command, shell=True, check=True)


def descriptors():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def raise_descriptors():
    """To what all streams need in one gateway, or as far as this machine lets us."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (max(most, 2 * HELD_MANY + SPARE_DESCRIPTORS), most):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return
        except ValueError:
            continue


def ai_gateway(build_dir):
    """Where it is; None, and a line that says why, where it cannot be had."""
    directory = os.path.join(build_dir, "test", "bench", "ai_gateway")
    try:
        npm_packages.install(os.path.join(HERE, "ai_gateway"), directory)
    except npm_packages.NotToBeHad as reason:
        print(f"without the AI gateway: {reason}", flush=True)
        return None
    return directory


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench router")
    parser.add_argument("--build-dir", default="build/release")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--row", choices=ROWS, action="append")
    parser.add_argument("--without", action="append", default=[], help="a peer that is not measured, by name")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ["PATH"] = "/usr/bin:/bin:/usr/sbin:/sbin"
    build_dir = os.path.abspath(options.build_dir)
    packages = None if AiGateway.name in options.without else ai_gateway(build_dir)
    enter_namespaces()
    raise_descriptors()
    certificate()
    bench = Bench(build_dir, packages)
    bench.peers = [peer for peer in bench.peers if peer.name not in options.without]
    rows = options.row or list(ROWS)
    results = measure(bench, rows, options.rounds)
    for key in rows:
        router_report.table_of(key, ROWS[key].title, results, [peer.name for peer in bench.peers])
    bars = router_report.bars(rows, results)
    return report_bars(bars)


if __name__ == "__main__":
    sys.exit(main())
