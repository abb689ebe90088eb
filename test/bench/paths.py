"""Requests through one PoP, beside kernel routing, nft DNAT, nginx stream and haproxy TCP, interleaved by round."""

import os
import re
import resource
from dataclasses import dataclass

from report import at_least, at_most, median, spread, table
from topology import ENDPOINTS, VIP, Dataplane, Topology, nginx, sh, write

SECONDS = 3
MIDDLE_CPU = 1


@dataclass
class Sample:
    rate: float  # requests/s
    p50: float  # us
    p99: float  # us
    middle: float  # CPU us per request of the program in the middle; the kernel's paths have none
    everything: float  # the same with client, endpoints and what the kernel does for them


def measure(peer, close):
    header = ["-H", "Connection: close"] if close else []
    middle = peer.process.pid if peer.process else None
    others = [process.pid for process in peer.topology.processes if process.pid != middle]
    before = cpu_us(middle), sum(map(cpu_us, others)), children_us()
    done = peer.topology.run("client", ["wrk", "-t1", "-c16", f"-d{SECONDS}s", "--latency"] + header + [peer.url])
    count = int(re.search(r"(\d+) requests in", done.stdout).group(1))
    errors = re.search(r"Socket errors.*|Non-2xx.*", done.stdout)
    if errors:
        print(f"{peer.name}, {'Connection: close' if close else 'keep-alive'}: {errors.group(0)}", flush=True)
    middle_us = cpu_us(middle) - before[0]
    all_us = middle_us + sum(map(cpu_us, others)) - before[1] + children_us() - before[2]
    return Sample(float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout).group(1)), percentile(done.stdout, "50%"),
                  percentile(done.stdout, "99%"), middle_us / count, all_us / count)


def cpu_us(pid):
    """CPU time of a running program; what the kernel did in its context (its packets' way) is in it."""
    if pid is None:
        return 0
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK")


def children_us():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * 1e6


def percentile(text, name):
    found = re.search(rf"^\s+{name}\s+([\d.]+)(us|ms|s)\s*$", text, re.M)
    if not found:
        raise RuntimeError(f"no {name} in what wrk says: {text}")
    return float(found.group(1)) * {"us": 1, "ms": 1e3, "s": 1e6}[found.group(2)]


class Routing:
    name, url, process = "kernel routing, one endpoint", "http://10.2.1.1:8000/", None

    def __init__(self, kernel):
        self.topology = kernel

    def start(self):
        pass

    def stop(self):
        pass


class Dnat(Routing):
    name, url = "nft DNAT", f"http://{VIP}:8000/"

    def start(self):
        targets = ", ".join(f"{i - 1} : 10.2.{i}.1" for i in range(1, ENDPOINTS + 1))
        # Replies come back through the box by routing, so that the source may stay the client's: the cheapest way.
        rules = write("nft", f"""table ip bench {{
  chain pre {{
    type nat hook prerouting priority dstnat
    ip daddr {VIP} tcp dport 8000 dnat to numgen inc mod {ENDPOINTS} map {{ {targets} }}
  }}
}}
""")
        sh(f"ip netns exec {self.topology.ns('box')} nft -f {rules}")

    def stop(self):
        sh(f"ip netns exec {self.topology.ns('box')} nft delete table ip bench")


class Proxy(Routing):
    url = f"http://{VIP}:8000/"

    def start(self):
        self.process = self.topology.start("box", self.command(), cpu=MIDDLE_CPU)
        for _ in range(50):
            if self.topology.run("client", ["curl", "-s", "-m", "1", "-o", "/dev/null", self.url]).returncode == 0:
                return
        raise RuntimeError(f"{self.name} does not answer")

    def stop(self):
        self.topology.stop(self.process)
        self.process = None


class NginxStream(Proxy):
    name = "nginx stream"

    def command(self):
        servers = " ".join(f"server 10.2.{i}.1:8000;" for i in range(1, ENDPOINTS + 1))
        module = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;"
        return nginx("stream", f"""{module} events {{ worker_connections 4096; }}
stream {{ upstream e {{ {servers} }} server {{ listen {VIP}:8000 backlog=4096; proxy_pass e; }} }}""")


class Haproxy(Proxy):
    name = "haproxy TCP"

    def command(self):
        servers = "\n".join(f"  server e{i} 10.2.{i}.1:8000" for i in range(1, ENDPOINTS + 1))
        path = write("haproxy.cfg", f"""global
  maxconn 8000
  nbthread 1
defaults
  mode tcp
  timeout connect 2s
  timeout client 60s
  timeout server 60s
listen t
  bind {VIP}:8000 backlog 4096
{servers}
""")
        return ["haproxy", "-db", "-f", path]


class Perigee(Routing):
    url = f"http://{VIP}:8000/"

    def __init__(self, topology, build_dir, driver):
        super().__init__(topology)
        self.name = f"Perigee {driver}"
        self.dataplane = Dataplane(topology, build_dir, driver, cpu=MIDDLE_CPU)

    def start(self):
        self.process = self.dataplane.start()

    def stop(self):
        self.topology.stop(self.process)
        self.process = None


def run(build_dir, rounds):
    kernel, ours = Topology("k", kernel=True), Topology("d", kernel=False)
    try:
        kernel.up()
        ours.up()
        peers = [Routing(kernel), Dnat(kernel), NginxStream(kernel), Haproxy(kernel),
                 Perigee(ours, build_dir, "af_packet"), Perigee(ours, build_dir, "af_xdp")]
        results = {(peer.name, close): [] for peer in peers for close in (False, True)}
        for number in range(rounds):
            for peer in peers[number % len(peers):] + peers[:number % len(peers)]:
                peer.start()
                for close in (False, True):
                    results[peer.name, close].append(measure(peer, close))
                peer.stop()
        return report(results, peers)
    finally:
        ours.down()
        kernel.down()


def report(results, peers):
    for close in (False, True):
        print(f"\n{'Connection: close' if close else 'Keep-alive'}, 16 connections, medians (range)\n")
        rows = []
        for peer in peers:
            def of(field, samples=results[peer.name, close]):
                return [getattr(sample, field) for sample in samples]
            rows.append([peer.name, f"{median(of('rate')):.0f} ({spread(of('rate'))})", f"{median(of('p50')):.0f}",
                         f"{median(of('p99')):.0f}", f"{median(of('middle')):.1f}", f"{median(of('everything')):.1f}"])
        table(["path", "requests/s", "p50 us", "p99 us", "CPU us/request, middle", "all"], rows)

    def ratio(ours, other, field="rate"):
        return median([getattr(a, field) / getattr(b, field)
                       for a, b in zip(results[ours, False], results[other, False])])

    xdp, packet = "Perigee af_xdp", "Perigee af_packet"
    return [at_least("keep-alive requests/s, af_xdp / haproxy", ratio(xdp, "haproxy TCP"), 1.3),
            at_least("keep-alive requests/s, af_xdp / nft DNAT", ratio(xdp, "nft DNAT"), 0.95),
            at_most("keep-alive p99, af_xdp / haproxy", ratio(xdp, "haproxy TCP", "p99"), 1.0),
            at_least("keep-alive requests/s, af_packet / haproxy", ratio(packet, "haproxy TCP"), 1.1)]
