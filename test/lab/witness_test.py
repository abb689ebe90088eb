"""What forwarded connections meet is timed beside the probes: a longer link shows in both, a stalled engine only in the
time to the first byte."""

import os
import signal
import time

import drive
import lab_case
from lab_case import wait_for

LINK = "syd-mel-a"


class WitnessTest(lab_case.LabCase):
    def setUp(self):
        self.load = self.driven(drive.Load(self.lab, new=20, keep=1, keep_rate=1))

    def since(self, before, enough, **which):
        """(handshakes, first bytes) since then, so many of each."""
        def more():
            met = [after - was for after, was in zip(self.lab.telemetry().flow_times(**which), before)]
            return met if min(times.count for times in met) >= enough else None
        return wait_for("forwarded connections", more, patience=60)

    def test_1_the_gateway_tells_both(self):
        label = f'src_pop="syd",dst_pop="mel",link="{LINK}"'
        names = [f'perigee_link_flow_rtt_window_seconds{{{label},stat="{stat}"}}' for stat in ("min", "p50")]
        names.append(f"perigee_link_rtt_disagreement{{{label}}}")  # needs some connections

        def told():
            metrics = self.lab.metrics()
            return all(name in metrics for name in names) and metrics

        metrics = wait_for("both witnesses", told, patience=60)
        least, middle, _ = (metrics[name] for name in names)
        self.assertGreaterEqual(least, 0.0099)
        self.assertGreaterEqual(middle, least)
        counted = [value for name, value in metrics.items() if name.startswith("perigee_flow_handshakes_total")]
        self.assertGreaterEqual(sum(counted), 3)
        shown = self.lab.perigee("links").stdout
        self.assertIn("FLOWS ms", shown)

    def test_2_both_witnesses_see_a_longer_link(self):
        handshakes, first_bytes = self.since(self.lab.telemetry().flow_times(LINK), 10, link=LINK)
        self.assertGreaterEqual(handshakes.mean_ms(), 9.9)  # 5 ms each way are in the wire
        self.assertGreater(first_bytes.mean_ms(), handshakes.mean_ms())
        self.addCleanup(self.lab.restore, LINK)
        self.lab.wire.delay(LINK, 7.5)

        def seen():
            window = self.lab.telemetry().link(LINK).window
            return window and window.min_ms >= 14.9

        wait_for("probes of the longer link", seen, patience=60)
        handshakes, _ = self.since(self.lab.telemetry().flow_times(LINK), 10, link=LINK)
        self.assertGreaterEqual(handshakes.mean_ms(), 14.9)

    def test_3_stalled_engines_show_in_the_first_byte_only(self):
        names = ("mel-1", "mel-2")
        pids = [self.lab.processes.pid(f"endpoint-{name}") for name in names]
        before = self.lab.telemetry().flow_times(endpoints=names)
        for pid in pids:
            self.addCleanup(os.kill, pid, signal.SIGCONT)
            os.kill(pid, signal.SIGSTOP)  # its kernel goes on
        wait_for("connections to them", lambda: self.lab.telemetry().flow_times(endpoints=names)[0].count >=
                 before[0].count + 5, patience=60)
        time.sleep(0.5)  # each of them waits at least so long
        answered = self.lab.telemetry().flow_times(endpoints=names)[0] - before[0]
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        _, first_bytes = self.since(before, 5, endpoints=names)
        self.assertGreater(first_bytes.mean_ms(), 250)
        self.assertLess(answered.mean_ms(), first_bytes.mean_ms() / 2)


if __name__ == "__main__":
    lab_case.main()
