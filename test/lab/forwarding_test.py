"""Traffic goes to the nearest endpoints over the shortest link, and leaves a link that is longer or cut."""

import drive
import lab_case
import observe
from lab_case import wait_for

NEAR = {"mel-1", "mel-2"}


class ForwardingTest(lab_case.LabCase):
    def setUp(self):
        self.load = self.driven(drive.Load(self.lab, new=20, keep=4, keep_rate=10))

    def test_1_new_connections_go_to_the_nearest_endpoints_over_the_shortest_link(self):
        observe.wait_new_flows(self.lab, ["syd-mel-a"])
        since_ns = drive.now_ns()
        wait_for("answers of both endpoints in mel", lambda: set(self.load.endpoints(since_ns, "new")) >= NEAR)
        self.assertEqual(self.load.failed(), [])
        window = wait_for("a measured round trip", lambda: self.lab.telemetry().link("syd-mel-a").window)
        self.assertGreaterEqual(window.min_ms, 9.9)  # 5 ms each way are in the wire
        for address in ("10.2.1.1", "10.3.1.1"):  # the gateway's own traffic crosses the same links
            answer = self.lab.execute("gateway", ["curl", "-s", "-m", "20", f"http://{address}:8000/v1/models"])
            self.assertIn("lab-model", answer.stdout)

    def test_2_a_longer_link_is_left_and_taken_again(self):
        observe.wait_new_flows(self.lab, ["syd-mel-a"])
        self.addCleanup(self.lab.restore, "syd-mel-a")
        self.lab.wire.delay("syd-mel-a", 60)
        observe.wait_new_flows(self.lab, ["syd-mel-b"], patience=60)
        self.lab.restore("syd-mel-a")
        observe.wait_new_flows(self.lab, ["syd-mel-a"], patience=60)
        self.assertEqual(self.load.failed(), [])

    def test_3_a_cut_moves_new_connections_and_an_established_stream(self):
        observe.wait_new_flows(self.lab, ["syd-mel-a"])
        stream = self.driven(drive.Stream(self.lab, 100_000))
        wait_for("tokens", lambda: len(stream.tokens()) > 10)
        self.addCleanup(self.lab.restore, "syd-mel-a")
        cut_ns = self.lab.cut("syd-mel-a")
        observe.wait_state(self.lab, "syd-mel-a", "down")
        left_ns = drive.now_ns()
        self.assert_served_since(self.load, left_ns)
        before = observe.carried(self.lab)
        seen = len(stream.tokens())
        wait_for("tokens after the cut", lambda: len(stream.tokens()) > seen + 50)
        self.assertIsNone(stream.outcome())
        after = observe.carried(self.lab)
        # Token and acknowledgement of 50 tokens: at least 50 segments, on links that are whole.
        self.assertGreater(sum(after[name] - before[name] for name in after if name != "syd-mel-a"), 50)
        self.assertEqual([r for r in self.load.failed() if r["end"] < cut_ns], [])
        self.lab.restore("syd-mel-a")
        observe.wait_state(self.lab, "syd-mel-a", "up", patience=60)
        observe.wait_new_flows(self.lab, ["syd-mel-a"], patience=60)
        self.assertIsNone(stream.outcome())

    def test_4_lost_carrier_is_a_cut_too(self):
        self.addCleanup(self.lab.restore, "syd-mel-a")
        self.lab.cut("syd-mel-a", carrier=True)
        for pop in ("syd", "mel"):
            observe.wait_state(self.lab, "syd-mel-a", "down", pop)
        self.assert_served_since(self.load, drive.now_ns(), requests=20)
        self.lab.restore("syd-mel-a")
        for pop in ("syd", "mel"):
            observe.wait_state(self.lab, "syd-mel-a", "up", pop, patience=60)


if __name__ == "__main__":
    lab_case.main()
