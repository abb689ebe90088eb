"""Is the measured round trip the wire's? For each of syd's links at 0, 5 and 20 ms each way: the median the data plane
publishes beside the median of a packet capture at its port, reply in - test out - (T3 - T2). A report for
people, run on a quiet machine: truth.py [--build-dir DIR]."""

import argparse
import os
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import observe
import rundir
import topology
from lab import Lab

DELAYS_MS = (0, 5, 20)
SECONDS = 5.0
STAMP_PORT = 862


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


def wire_rtts_ms(path, own):
    """Of the tests that address `own` sent (RFC 8762 section 4.2 and 4.3: sequence, T1 at 4; T3 at 4, T2 at 16 of the reply)."""
    out, rtts = {}, []
    for at, frame in packets(path):
        ports, payload = struct.unpack("!HH", frame[34:38]), frame[42:]
        if ports[1] == STAMP_PORT and frame[26:30] == own:
            out[ports[0], payload[:12]] = at
        elif ports[0] == STAMP_PORT and frame[30:34] == own and len(payload) >= 44:
            sent = out.pop((ports[1], payload[24:36]), None)  # the sender's sequence and T1, echoed
            if sent is not None:
                rtts.append((at - sent - (ntp_ns(payload[4:12]) - ntp_ns(payload[16:24]))) / 1e6)
    return rtts


def capture(lab, interface, path):
    """At the other end of the port's cable: the driver sends past the taps of its own interface."""
    return subprocess.Popen(lab.spaces.prefix("wire") + [
        "tcpdump", "-i", interface, "-w", path, "--time-stamp-precision=nano", "-B", "4096", "-Z", "root", "udp",
        "port", str(STAMP_PORT)], stderr=subprocess.DEVNULL)


def measure(lab, link, delay_ms):
    lab.wire.delay(link.name, delay_ms)
    time.sleep(2.5)  # the window of 2 s holds nothing older
    path = os.path.join(lab.run, "truth.pcap")
    child = capture(lab, link.wire_port(topology.GATEWAY_POP), path)
    medians, until = [], time.monotonic() + SECONDS
    while time.monotonic() < until:
        time.sleep(0.5)
        medians.append(lab.telemetry().link(link.name).window.p50_ms)
    child.send_signal(signal.SIGINT)
    child.wait()
    own = bytes((172, 31, topology.LINKS.index(link) + 1, 1))  # config/lab/syd.yaml
    wire = statistics.median(wire_rtts_ms(path, own))
    return wire, statistics.median(medians)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build-dir")
    run = tempfile.mkdtemp(prefix="perigee-truth-", dir=rundir.base())
    lab, wrong = Lab(run, parser.parse_args().build_dir), 0
    try:
        lab.up()
        print(f"{'link':12} {'each way':>9} {'wire p50':>10} {'measured':>10} {'error':>9} {'allowed':>9}")
        for link in (link for link in topology.LINKS if link.name in observe.EDGE_LINKS):
            for delay_ms in DELAYS_MS:
                wire, measured = measure(lab, link, delay_ms)
                allowed = max(0.1, wire / 100)
                wrong += abs(measured - wire) > allowed
                print(f"{link.name:12} {delay_ms:6} ms {wire:7.3f} ms {measured:7.3f} ms "
                      f"{1000 * (measured - wire):6.0f} us {1000 * allowed:6.0f} us")
            lab.restore(link.name)
    finally:
        lab.down()
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
