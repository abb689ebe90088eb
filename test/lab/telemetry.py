"""Reads a data plane's telemetry mapping, gateway or none: contract/telemetry.h says the layout, and the size
in the file's header must agree with what is computed here."""

import mmap
import os
import re
import struct
import time
from dataclasses import dataclass

import rundir

STATES = ("unknown", "up", "degraded", "down")
VERDICTS = ("local", "nat", "transit", "host", "dropped")
HEADER, WORKER, PORT, LINK, ENDPOINT = 448, 448, 128, 448, 24  # octets of each record, with its padding
PATHS_HEAD, PATH, TIMES = 64, 576, 272
WORKERS, PORTS, LINKS, ENDPOINTS, PATHS = 16, 16, 64, 4096, 4096
PORTS_AT = HEADER + WORKERS * WORKER
LINKS_AT = PORTS_AT + PORTS * PORT
ENDPOINTS_AT = LINKS_AT + LINKS * LINK
PATHS_AT = ENDPOINTS_AT + ENDPOINTS * ENDPOINT
SIZE = PATHS_AT + PATHS_HEAD + PATHS * PATH
HEARTBEAT_NS = 1_000_000_000  # older: no data plane


def drop_reasons():
    path = os.path.join(rundir.SOURCE_DIR, "contract", "drop_reason.h")
    with open(path, encoding="utf-8") as file:
        names = file.read().partition("kDropReasonNames = {")[2]
    return re.findall(r'"(\w+)"', names)


def stable_id(name):
    """As contract/units.cc makes it from a name."""
    value = 0xCBF29CE484222325
    for octet in name.encode():
        value = ((value ^ octet) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    folded = (value ^ (value >> 32)) & 0xFFFFFFFF
    return folded or 1


@dataclass(frozen=True)
class Window:
    min_ms: float
    p50_ms: float
    p99_ms: float
    samples: int
    lost: int
    settled: int


@dataclass(frozen=True)
class Link:
    state: str
    state_since_ns: int
    last_sample_ns: int
    sent: int
    received: int
    lost: int
    reflected: int  # test packets of the peer that were answered
    transitions: int
    invalid: int  # replies that did not count, for any reason
    tx_packets: int
    rx_packets: int
    window: Window | None


@dataclass(frozen=True)
class Times:
    """Of forwarded connections since the start."""
    count: int = 0
    sum_ms: float = 0.0

    def __sub__(self, before):
        return Times(self.count - before.count, self.sum_ms - before.sum_ms)

    def __add__(self, other):
        return Times(self.count + other.count, self.sum_ms + other.sum_ms)

    def mean_ms(self):
        return self.sum_ms / self.count


@dataclass(frozen=True)
class Table:
    instance: int
    generation: int
    checksum: int
    at_ns: int  # when it came into force, or was refused; CLOCK_MONOTONIC
    reason: str = ""


class Telemetry:
    """One data plane's; each read opens the file anew, as each start of the data plane makes another."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "telemetry.bin")

    def read(self):
        """A Snapshot, or None where there is no live data plane."""
        try:
            with open(self.path, "rb") as file:
                mapping = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        except (FileNotFoundError, ValueError):
            return None
        with mapping:
            snapshot = Snapshot(bytes(mapping[:LINKS_AT]), mapping)
        return snapshot if snapshot.alive() else None


class Snapshot:
    def __init__(self, head, mapping):
        magic, _, size, self.incarnation, self.started_ns, self.pid, self.flow_capacity, self._workers, \
            self._ports, self.heartbeat_ns = struct.unpack_from("<8sIIQqIIIIq", head, 0)
        if magic != b"PRGTELEM" or size != SIZE or len(mapping) != SIZE:
            raise ValueError(f"telemetry of {size} octets, not {SIZE}: contract/telemetry.h has changed, "
                             "test/lab/telemetry.py has not")
        self._head = head
        self._links = bytes(mapping[LINKS_AT:ENDPOINTS_AT])
        self._endpoints = bytes(mapping[ENDPOINTS_AT:PATHS_AT])
        used, = struct.unpack_from("<I", mapping, PATHS_AT)
        first = PATHS_AT + PATHS_HEAD
        self._paths = bytes(mapping[first:first + used * PATH])

    def alive(self):
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC) - self.heartbeat_ns < HEARTBEAT_NS

    def link(self, name):
        """None until the table in force has the link."""
        wanted = stable_id(name)
        for offset in range(0, LINKS * LINK, LINK):
            (identity, state, _, since, last, sent, received, lost) = struct.unpack_from("<IIQqqQQQ",
                                                                                         self._links, offset)
            if identity != wanted:
                continue
            reflected, transitions, *invalid = struct.unpack_from("<9Q", self._links, offset + 80)
            tx_packets, _, rx_packets, _ = struct.unpack_from("<4Q", self._links, offset + 328)
            return Link(STATES[state], since, last, sent, received, lost, reflected, transitions, sum(invalid),
                        tx_packets, rx_packets, self._window(offset + 360))
        return None

    def _window(self, offset):
        sequence, _, least, p50, p99, samples, lost, settled = struct.unpack_from("<8Q", self._links, offset)
        if sequence == 0 or sequence % 2 or not samples:
            return None  # none yet, caught while it was written, or no reply in it
        return Window(least / 1e6, p50 / 1e6, p99 / 1e6, samples, lost, settled)

    def endpoint_flows(self, name):
        """(flows created, flows now) through this data plane."""
        wanted = stable_id(name)
        for offset in range(0, ENDPOINTS * ENDPOINT, ENDPOINT):
            identity, _, created, now = struct.unpack_from("<IIQQ", self._endpoints, offset)
            if identity == wanted:
                return created, now
        return 0, 0

    def flow_times(self, link=None, endpoints=()):
        """(handshakes, first bytes) of connections as Times: over this link or any, to these endpoints or all."""
        wanted = [stable_id(name) for name in endpoints]
        sums = [Times(), Times()]
        for offset in range(0, len(self._paths), PATH):
            to, over = struct.unpack_from("<II", self._paths, offset)
            if to == 0 or (link and over != stable_id(link)) or (wanted and to not in wanted):
                continue
            for i in range(2):
                count, sum_ns = struct.unpack_from("<2Q", self._paths, offset + 16 + i * TIMES)
                sums[i] += Times(count, sum_ns / 1e6)
        return tuple(sums)

    def _worker_sum(self, offset, count):
        sums = [0] * count
        for worker in range(self._workers):
            values = struct.unpack_from(f"<{count}Q", self._head, HEADER + worker * WORKER + offset)
            sums = [total + value for total, value in zip(sums, values)]
        return sums

    def packets(self):
        return dict(zip(VERDICTS, self._worker_sum(0, len(VERDICTS))))

    def drops(self):
        names = drop_reasons()
        return dict(zip(names, self._worker_sum(8 * len(VERDICTS), len(names))))

    def counters(self):
        names = ("poll_gap_max_ns", "poll_gap_last_ns", "sleeps", "flows", "flows_created", "snat_reused_early",
                 "snat_ports_used", "snat_ports_total", "resets_sent", "flows_recovered",
                 "half_open_given_up")
        offset = 8 * (len(VERDICTS) + len(drop_reasons()))
        return dict(zip(names, self._worker_sum(offset, len(names))))

    def in_force(self):
        return self._table(56, 4)

    def refused(self):
        return self._table(96, 36)

    def _table(self, offset, words):
        sequence, instance, generation, checksum, at_ns = struct.unpack_from("<5Q", self._head, offset)
        if sequence % 2 or (generation == 0 and checksum == 0):
            return None
        reason = self._head[offset + 40:offset + 8 + 8 * words].rstrip(b"\0").decode(errors="replace") \
            if words > 4 else ""
        return Table(instance, generation, checksum, at_ns, reason)
