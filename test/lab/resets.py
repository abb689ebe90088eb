"""How soon do the clients of a dead endpoint learn it? An endpoint's host falls silent (no FIN, RST or ICMP); for each of its
clients the time from the gateway's verdict (its log line `endpoint_health`) to the client's ECONNRESET. Clients are of
three kinds: they receive a stream, send a request without an end, or keep an idle connection.

Exit 1: a client has no reset within a second of the verdict."""

import argparse
import asyncio
import collections
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import load
import namespaces
import observe
import rundir
import topology
from lab import Lab

KINDS = ("receiving", "sending", "idle")
CLIENTS = 16  # of each kind; the client's port decides which endpoint it gets
LIMIT_MS = 1000.0
PATIENCE_S = 8.0  # from the death; the verdict takes up to 2 s, resets are repeated for 5 s after it


async def client(kind, ready):
    """One connection until it is reset; its record, times of CLOCK_REALTIME as in logs."""
    reader, writer = await asyncio.open_connection(topology.VIP, topology.VIP_PORT)
    endpoint = await load.ask(reader, writer)
    ready.release()
    if kind == "receiving":
        writer.write(load.request_bytes(max_tokens=100_000, stream=True))
    elif kind == "sending":
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: lab\r\nContent-Length: 10000\r\n\r\n")
    read = asyncio.create_task(read_until_reset(reader))
    while not read.done():
        await asyncio.wait({read}, timeout=0.05)
        if kind == "sending" and not read.done():
            writer.write(b"x")
    return {"kind": kind, "endpoint": endpoint, "ended": read.result()}


async def read_until_reset(reader):
    """When, in ns; None when the connection ended otherwise."""
    try:
        while await reader.read(65536):
            pass
    except ConnectionResetError:
        return time.time_ns()
    return None


async def run_clients():
    """Until standard input ends."""
    ready = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(client(kind, ready)) for kind in KINDS for _ in range(CLIENTS)]
    for _ in tasks:
        await ready.acquire()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps([task.result() for task in tasks if task.done()]))
    await asyncio.to_thread(sys.stdout.flush)
    os._exit(0)  # the others live on, at endpoints that do


def verdict_ns(lab, endpoint):
    """When the gateway's log says that it is dead: that connecting itself failed, so that nothing can come any more."""
    with open(lab.processes.log_path("gateway"), encoding="utf-8") as file:
        for line in file:
            event = json.loads(line)
            if event["event"] == "endpoint_health" and (event["endpoint"], event["to"]) == (endpoint, "dead"):
                return int(datetime.datetime.fromisoformat(event["time"]).timestamp() * 1e9)
    return None


def measure(lab, endpoint):
    """{kind: [ms from the verdict to the reset, None for a client without one]}"""
    child = subprocess.Popen(lab.spaces.prefix("client") + [namespaces.PYTHON, "-B", __file__, "--clients"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    time.sleep(1)
    lab.kill_endpoint(endpoint, silent=True)
    time.sleep(PATIENCE_S)
    records = json.loads(child.communicate("")[0])
    at = observe.wait_for(f"the verdict on {endpoint}", lambda: verdict_ns(lab, endpoint))
    seen = collections.defaultdict(list)
    for record in records:
        if record["endpoint"] == endpoint:
            seen[record["kind"]].append((record["ended"] - at) / 1e6 if record["ended"] else None)
    return seen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build-dir", help="where the programs are (default build/release)")
    parser.add_argument("--clients", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.clients:
        asyncio.run(run_clients())
    lab, missed = Lab(tempfile.mkdtemp(prefix="perigee-resets-", dir=rundir.base()), given.build_dir), 0
    try:
        lab.up()
        print("from the verdict on an endpoint to the reset at its clients")
        print(f"{'endpoint':10} {'clients':10} {'number':>6} {'first':>8} {'median':>8} {'last':>8}")
        for endpoint in ("mel-1", "mel-2"):
            for kind, times in measure(lab, endpoint).items():
                met = [ms for ms in times if ms is not None and ms <= LIMIT_MS]
                missed += len(times) - len(met)
                figures = [f"{value:5.0f} ms" for value in (min(met), statistics.median(met), max(met))] if met else []
                print(f"{endpoint:10} {kind:10} {len(times):6} {' '.join(figures)}"
                      + (f"  MISSED by {len(times) - len(met)}" if len(met) < len(times) else ""), flush=True)
            lab.start_endpoint(endpoint)
            lab.wait_settled()
        print(f"every client within {LIMIT_MS:.0f} ms" if not missed else f"{missed} clients were not reset in time")
    finally:
        lab.down()
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
