"""Is the measured round trip the wire's? The median that a data plane publishes beside the median of a packet capture at
its port: reply in - test out - (T3 - T2). For every link of the lab, from one end:

  sleeping, busy  the measuring data plane sleeps when idle, or never does (--busy, on the last CPU, while all else is
                  kept to the other CPUs and sleeps when idle); 0, 5 and 20 ms each way
  held            the far data plane gives way to test/lab/reflector.py, which keeps every test packet for 0, 1 and
                  10 ms: the published median must not move

Run it on a quiet machine, as root. Exit 1: a bar is missed, which is 1 % of the round trip or, where that is more,
100 us sleeping and 30 us busy."""

import argparse
import contextlib
import os
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

import namespaces
import observe
import rundir
import topology
from lab import Lab
from reflector import STAMP_PORT

DELAYS_MS = (0, 5, 20)
HELD_MS = (0, 1, 10)
SETTLE_S = 2.5  # the window of 2 s then holds nothing older
SECONDS = 4.0
LEAST_ERROR_MS = {"sleeping": 0.1, "busy": 0.03, "held": 0.1}


@dataclass(frozen=True)
class Row:
    raw_ms: float  # reply in - test out
    wire_ms: float  # the same less T3 - T2
    published_ms: float

    @property
    def error_ms(self):
        return self.published_ms - self.wire_ms


def packets(path):
    """(ns, frame) of a pcap file with nanosecond stamps, in this machine's byte order."""
    with open(path, "rb") as file:
        magic, = struct.unpack("<I", file.read(24)[:4])
        if magic != 0xA1B23C4D:
            raise ValueError(f"{path}: not a pcap file with nanoseconds")
        while header := file.read(16):
            seconds, nanos, kept, _ = struct.unpack("<IIII", header)
            yield seconds * 1_000_000_000 + nanos, file.read(kept)


def ntp_ns(octets):
    seconds, fraction = struct.unpack("!II", octets)
    return seconds * 1_000_000_000 + (fraction * 1_000_000_000 >> 32)


def wire_ms(path, own):
    """(reply in - test out, T3 - T2) of the tests that address `own` sent. RFC 8762 sections 4.2 and 4.3: sequence, T1 at
    4; of the reply T3 at 4, T2 at 16."""
    out, seen = {}, []
    for at, frame in packets(path):
        ports, payload = struct.unpack("!HH", frame[34:38]), frame[42:]
        if ports[1] == STAMP_PORT and frame[26:30] == own:
            out[ports[0], payload[:12]] = at
        elif ports[0] == STAMP_PORT and frame[30:34] == own and len(payload) >= 44:
            sent = out.pop((ports[1], payload[24:36]), None)  # the sender's sequence and T1, echoed
            if sent is not None:
                seen.append(((at - sent) / 1e6, (ntp_ns(payload[4:12]) - ntp_ns(payload[16:24])) / 1e6))
    return seen


def address(link, pop):
    """As config/lab has them."""
    return f"172.31.{topology.LINKS.index(link) + 1}.{1 if pop == link.a else 2}"


def published_ms(lab, link):
    """None while there is none, or while it is being written."""
    snapshot = lab.telemetry(link.a)
    seen = snapshot and snapshot.link(link.name)
    return seen and seen.window and seen.window.p50_ms


def measure_once(lab, link):
    time.sleep(SETTLE_S)
    path = os.path.join(lab.run, "truth.pcap")
    # At the other end of the port's cable: the driver sends past the taps of its own interface.
    child = subprocess.Popen(lab.spaces.prefix("wire") + [
        "tcpdump", "-i", link.wire_port(link.a), "-w", path, "--time-stamp-precision=nano", "-B", "4096", "-Z",
        "root", "udp", "port", str(STAMP_PORT)], stderr=subprocess.DEVNULL)
    published, until = [], time.monotonic() + SECONDS
    while time.monotonic() < until:
        time.sleep(0.5)
        published.append(observe.wait_for("a measured round trip", lambda: published_ms(lab, link)))
    child.send_signal(signal.SIGINT)
    child.wait()
    seen = wire_ms(path, bytes(map(int, address(link, link.a).split("."))))
    return Row(statistics.median(raw for raw, _ in seen), statistics.median(raw - kept for raw, kept in seen),
               statistics.median(published))


class Report:
    def __init__(self, lab, tries):
        self.lab, self.tries, self.missed = lab, tries, 0
        print(f"{'link':10} {'from':4} {'data plane':10} {'each way':>9} {'held':>6} {'out to in':>10} "
              f"{'wire p50':>10} {'published':>10} {'error':>8} {'allowed':>8}")

    def row(self, part, link, delay_ms, held_ms=None):
        """Of several tries the one with the median error; prints it."""
        rows = sorted((measure_once(self.lab, link) for _ in range(self.tries)), key=lambda row: row.error_ms)
        row = rows[len(rows) // 2]
        allowed_ms = max(LEAST_ERROR_MS[part], row.wire_ms / 100)
        met = abs(row.error_ms) <= allowed_ms and row.raw_ms - row.wire_ms >= (held_ms or 0)
        self.missed += not met
        held = "" if held_ms is None else f"{held_ms} ms"
        print(f"{link.name:10} {link.a:4} {'busy' if part == 'busy' else 'sleeping':10} {delay_ms:6g} ms {held:>6} "
              f"{row.raw_ms:7.3f} ms {row.wire_ms:7.3f} ms {row.published_ms:7.3f} ms {1000 * row.error_ms:5.0f} us "
              f"{1000 * allowed_ms:5.0f} us{'' if met else '  MISSED'}", flush=True)
        return row, allowed_ms

    def moved(self, link, rows):
        medians = [row.published_ms for row, _ in rows]
        moved_ms, allowed_ms = max(medians) - min(medians), rows[0][1]
        met = moved_ms <= allowed_ms
        self.missed += not met
        print(f"{link.name:10} moved by {1000 * moved_ms:.0f} us while held, {1000 * allowed_ms:.0f} us allowed"
              f"{'' if met else '  MISSED'}", flush=True)


def confine(lab, cpus):
    """All that runs and all that is started from now on."""
    for pid in (os.getpid(), *map(lab.processes.pid, lab.processes.names())):
        os.sched_setaffinity(pid, cpus)


def restart(lab, pop, *options):
    lab.kill_dataplane(pop)
    lab.start_dataplane(pop, *options)
    lab.wait_settled()


def delays(lab, report, part, links):
    for link in links:
        for delay_ms in DELAYS_MS:
            lab.wire.delay(link.name, delay_ms)
            report.row(part, link, delay_ms)
        lab.restore(link.name)


def sleeping(lab, report):
    delays(lab, report, "sleeping", topology.LINKS)


def busy(lab, report):
    cpus = sorted(os.sched_getaffinity(0))
    confine(lab, cpus[:-1])
    for pop in dict.fromkeys(link.a for link in topology.LINKS):
        restart(lab, pop, "--busy", "--lcore", str(cpus[-1]))
        delays(lab, report, "busy", [link for link in topology.LINKS if link.a == pop])
        restart(lab, pop)
    confine(lab, cpus)


@contextlib.contextmanager
def reflector(lab, link, held_ms):
    """In the place of the far data plane, on its port, by the kernel there."""
    own = address(link, link.b)
    lab.spaces.run(link.b, ["ip", "address", "add", f"{own}/24", "dev", link.b_port])
    lab.processes.start("reflector", lab.spaces.prefix(link.b) + [
        namespaces.PYTHON, "-B", os.path.join(os.path.dirname(__file__), "reflector.py"), own, str(held_ms)])
    try:
        lab.processes.wait_ready("reflector")
        observe.wait_state(lab, link.name, "up", link.a, patience=90)
        yield
    finally:
        lab.processes.stop("reflector")
        lab.spaces.run(link.b, ["ip", "address", "flush", "dev", link.b_port])


def held(lab, report):
    for link in topology.LINKS:
        lab.kill_dataplane(link.b)
        rows = []
        for held_ms in HELD_MS:
            with reflector(lab, link, held_ms):
                rows.append(report.row("held", link, link.delay_ms, held_ms))
        report.moved(link, rows)
        lab.start_dataplane(link.b)
        lab.wait_settled(patience=90)  # a link that went down three times is held off


PARTS = {"sleeping": sleeping, "busy": busy, "held": held}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build-dir", help="where the programs are (default build/release)")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one; may be repeated")
    parser.add_argument("--tries", type=int, default=1, help="of each row; the one with the median error counts")
    given = parser.parse_args()
    lab = Lab(tempfile.mkdtemp(prefix="perigee-truth-", dir=rundir.base()), given.build_dir, gentle=True)
    try:
        lab.up()
        report = Report(lab, given.tries)
        for part in given.part or PARTS:
            PARTS[part](lab, report)
        print(f"{report.missed} bars missed" if report.missed else "every bar is met")
    finally:
        lab.down()
    sys.exit(1 if report.missed else 0)


if __name__ == "__main__":
    main()
