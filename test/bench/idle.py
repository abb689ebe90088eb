"""What an idle data plane costs, and what its sleep costs the first packet.

A data plane with three links (4 ports each, a test packet every 20 ms) reflects the same from its peer. Its share of a
core is read over 4 s, and a client sends UDP packets through the VIP, one after each second of quiet. Then the same
packets go through a data plane that never sleeps (--busy). The two take turns, as what it costs to wake a virtual CPU
changes with the machine.
"""

import os
import subprocess
import sys
import time

from report import at_most, median, table
from topology import SCRATCH, VIP, Topology, sh, write

LINKS = 3
TURNS = 5
SAMPLES = 12  # of each turn

ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 9000))
while True:
    data, sender = s.recvfrom(2048); s.sendto(data, sender)
"""

ASK = f"""
import socket, time
for _ in range({SAMPLES}):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.9)
    time.sleep(1); start = time.perf_counter_ns(); s.sendto(b'x' * 64, ('{VIP}', 9000))
    try:
        s.recv(2048); print((time.perf_counter_ns() - start) / 1000, flush=True)
    except TimeoutError:
        pass
"""


def policy(side):
    other = 3 - side
    links = "\n".join(f"  l{i}: {{pop: far, port: link{i}, local: 172.30.{i}.{side}, next_hop: 172.30.{i}.{other}, "
                      f"peer: 172.30.{i}.{other}}}" for i in range(LINKS))
    here, far = ("10.2.0.0/16", "10.7.0.0/16") if side == 1 else ("10.7.0.0/16", "10.2.0.0/16")
    text = f"""version: 1
pop: here
pops: {{here: {{prefixes: [{here}]}}, far: {{prefixes: [{far}]}}}}
probe: {{interval: 20ms, ports: 4}}
links:
{links}
"""
    if side == 1:
        text += f"""interfaces:
  edge: {{port: edge0, address: 198.51.100.1/24}}
  local1: {{port: local1, address: 10.2.1.2/30}}
snat: {{addresses: [10.2.255.1], client_share: 100%}}
health: {{type: none}}
endpoints: {{ep1: {{pop: here, address: 10.2.1.1:9000}}}}
services: {{echo: {{vip: {VIP}:9000, protocol: udp, mode: forward, endpoints: [ep1]}}}}
"""
    return text


class Pair:
    """The data plane in the box and its peer, joined by three links."""

    def __init__(self, topology, build_dir, driver):
        self.topology, self.driver = topology, driver
        self.bin = os.path.join(build_dir, "bin")
        far = topology.ns("far")
        sh(f"ip netns add {far}")
        for i in range(LINKS):
            sh(f"ip -n {far} link add link{i} type veth peer name link{i} netns {topology.ns('box')}")
            for where in (far, topology.ns("box")):
                sh(f"ip netns exec {where} ethtool -K link{i} tx off tso off gso off gro off")
                sh(f"ip -n {where} link set dev link{i} up")

    def start(self, side, busy=False):
        run_dir = os.path.join(SCRATCH, f"idle-{side}")
        for name in ("table", "telemetry", "state"):
            os.makedirs(os.path.join(run_dir, name), mode=0o755, exist_ok=True)
        path = write(f"idle-{side}.yaml", policy(side))
        subprocess.run([f"{self.bin}/perigee", "compile", path, "--pop", "here", "--table-dir",
                        f"{run_dir}/table"], check=True, stdout=subprocess.DEVNULL)
        command = [f"{self.bin}/perigee-dataplane", "--no-huge", "--lcore", str(side % 2), "--memory", "384",
                   "--table-dir", f"{run_dir}/table", "--telemetry-dir", f"{run_dir}/telemetry",
                   "--state-dir", f"{run_dir}/state"] + (["--busy"] if busy else [])
        ports = [(f"link{i}", "link") for i in range(LINKS)]
        if side == 1:
            ports += [("edge0", "edge"), ("local1", "edge")]
        for index, (name, role) in enumerate(ports):
            command += ["--port", f"{name}={role},net_{self.driver}{index},iface={name}"]
        process = self.topology.start("box" if side == 1 else "far", command)
        time.sleep(3)
        if process.poll() is not None:
            raise RuntimeError(f"data plane {side} ended with {process.returncode}")
        return process


def cpu_share(process, seconds=4):
    def ran_ns():
        # `ip netns exec` replaces itself by the program, so the pid is the data plane's; all its threads count.
        total = 0
        for task in os.listdir(f"/proc/{process.pid}/task"):
            with open(f"/proc/{process.pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total

    before, start = ran_ns(), time.monotonic_ns()
    time.sleep(seconds)
    return (ran_ns() - before) / (time.monotonic_ns() - start)


def first_packets(topology):
    """The round trips in us of packets sent a second after the last one's answer."""
    done = topology.run("client", [sys.executable, "-c", ASK], timeout=SAMPLES * 3)
    values = [float(line) for line in done.stdout.split()]
    if len(values) < SAMPLES - 2:
        raise RuntimeError(f"only {len(values)} of {SAMPLES} packets came back")
    return values


def run(build_dir, _rounds):
    rows, bars = [], []
    for driver in ("af_packet", "af_xdp"):
        topology = Topology("i", kernel=False)
        try:
            topology.up()
            pair = Pair(topology, build_dir, driver)
            topology.start("ep1", [sys.executable, "-c", ECHO])
            far = pair.start(2)
            shares, times = [], {False: [], True: []}
            for turn in range(2 * TURNS):
                never_sleeps = turn % 2 == 1
                near = pair.start(1, busy=never_sleeps)
                if not never_sleeps:
                    shares.append(100 * cpu_share(near))
                times[never_sleeps] += first_packets(topology)
                topology.stop(near)
            topology.stop(far)
            share, asleep, busy = median(shares), median(times[False]), median(times[True])
            rows.append([driver, f"{share:.1f} % ({min(shares):.1f}-{max(shares):.1f})", f"{asleep:.0f}", f"{busy:.0f}",
                         f"{asleep - busy:+.0f}"])
            bars += [at_most(f"idle share of a core in %, {driver}", share, 5),
                     at_most(f"first packet after a quiet second, us above --busy, {driver}", asleep - busy, 100)]
        finally:
            topology.down()
            subprocess.run(["ip", "netns", "del", topology.ns("far")], check=False)
    table(["driver", "idle", "first packet us", "same, --busy", "difference"], rows)
    return bars


