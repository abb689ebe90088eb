"""The demo's live table: on a terminal it is drawn in place below what was said; elsewhere once in a while."""

import statistics
import sys
import threading
import time

import observe
import topology

REDRAW_S = 1.0
PLAIN_EVERY_S = 15.0
RECENT_NS = 2_000_000_000


def link_rows(lab, opened_before, opened_now, seconds):
    snapshot = lab.telemetry()
    status = lab.wire.status()
    yield f"  {'link':12} {'wire, each way':>15} {'state':>9} {'RTT p50':>9} {'p99':>9} {'loss':>6} {'new conns/s':>12}"
    for name in observe.EDGE_LINKS:
        wire = status[name]
        seen = snapshot.link(name) if snapshot else None
        window = seen.window if seen else None
        figures = f"{window.p50_ms:6.2f} ms {window.p99_ms:6.2f} ms" if window else f"{'-':>9} {'-':>9}"
        loss = f"{100 * window.lost / window.settled:.0f} %" if window and window.settled else "-"
        rate = (opened_now[name][0] - opened_before[name][0]) / seconds if opened_before else 0
        text = "cut" if wire["cut"] else f"{wire['delay_ms']:g} ms"
        yield (f"  {name:12} {text:>15} {seen.state if seen else 'unknown':>9} {figures} {loss:>6} "
               f"{rate:12.0f}" + ("  <- in use" if rate > 0 else ""))


def request_rows(lab, load):
    now = time.monotonic_ns()
    records = load.records()
    recent = [r for r in records if r["end"] > now - RECENT_NS]
    yield f"  {'endpoint':12} {'process':>15} {'requests/s':>12} {'requests':>9}"
    for endpoint in topology.ENDPOINTS:
        rate = sum(r["endpoint"] == endpoint.name for r in recent) / (RECENT_NS / 1e9)
        total = sum(r["endpoint"] == endpoint.name for r in records)
        runs = "running" if lab.processes.pid(f"endpoint-{endpoint.name}") else "dead"
        yield f"  {endpoint.name:12} {runs:>15} {rate:12.0f} {total:9}" + ("  <- in use" if rate else "")
    failed = sum(bool(r["error"]) for r in records)
    times = [(r["end"] - r["start"]) / 1e6 for r in recent if not r["error"]]
    median = f", median {statistics.median(times):.0f} ms (four tokens at 50 a second)" if times else ""
    gateway = "running" if lab.processes.pid("gateway") else "dead"
    yield f"  {len(records)} requests, {failed} failed{median}; gateway {gateway}"


class Screen:
    def __init__(self, out=sys.stdout):
        self.out = out
        self.live = out.isatty()
        self._lines = 0  # of the table now on the terminal
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = None

    def say(self, text=""):
        """A line that stays."""
        with self._lock:
            self._erase()
            print(text, file=self.out, flush=True)

    def watch(self, lab, load):
        """Draws the table from now on, in a thread of its own."""
        self._thread = threading.Thread(target=self._draw_until_stopped, args=(lab, load), daemon=True)
        self._thread.start()

    def stop(self):
        self._stop.set()
        if self._thread:
            self._thread.join()

    def _erase(self):
        if self._lines:
            print(f"\x1b[{self._lines}A\x1b[J", end="", file=self.out)
            self._lines = 0

    def _draw_until_stopped(self, lab, load):
        before, since = None, time.monotonic()
        while not self._stop.wait(REDRAW_S if self.live else PLAIN_EVERY_S):
            try:
                now, at = observe.opened(lab), time.monotonic()
                rows = list(link_rows(lab, before, now, at - since)) + list(request_rows(lab, load))
            except (OSError, ValueError):
                continue  # the wire or a data plane is just being restarted
            before, since = now, at
            with self._lock:
                self._erase()
                print("\n".join(["", *rows, ""]), file=self.out, flush=True)
                self._lines = len(rows) + 2 if self.live else 0
