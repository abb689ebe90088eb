"""Either program may die: the data plane goes on without the gateway, and flows outlive the data plane."""

import drive
import lab_case
import observe
from lab_case import wait_for


class SurvivalTest(lab_case.LabCase):
    def setUp(self):
        self.load = self.driven(drive.Load(self.lab, new=20, keep=4, keep_rate=10))
        self.stream = self.driven(drive.Stream(self.lab, 100_000))
        wait_for("tokens", lambda: len(self.stream.tokens()) > 10)

    def assert_stream_goes_on(self):
        seen = len(self.stream.tokens())
        wait_for("more tokens", lambda: len(self.stream.tokens()) > seen + 20, patience=60)
        self.assertIsNone(self.stream.outcome())

    def test_the_gateway_dies_and_a_link_is_cut(self):
        observe.wait_new_flows(self.lab, ["syd-mel-a"])
        table = self.lab.telemetry().in_force()
        self.lab.kill_gateway()
        self.addCleanup(self.lab.restore, "syd-mel-a")
        self.lab.cut("syd-mel-a")
        observe.wait_state(self.lab, "syd-mel-a", "down")
        self.assert_served_since(self.load, drive.now_ns())
        self.assert_stream_goes_on()
        self.assertEqual(self.lab.telemetry().in_force(), table)
        self.lab.restore("syd-mel-a")
        observe.wait_state(self.lab, "syd-mel-a", "up", patience=60)
        self.lab.start_gateway()
        wait_for("a table of the new gateway",
                 lambda: self.lab.telemetry().in_force().instance != table.instance)
        self.assert_served_since(self.load, drive.now_ns())
        self.assert_stream_goes_on()

    def test_the_data_plane_is_killed_and_started_again(self):
        before = self.lab.telemetry()
        self.lab.kill_dataplane("syd")
        self.lab.start_dataplane("syd")
        after = wait_for("another data plane that serves a table", lambda: self.serving(before.incarnation))
        self.assertGreaterEqual(after.counters()["flows_recovered"], 1)
        self.lab.wait_settled()
        self.assert_served_since(self.load, drive.now_ns())
        self.assert_stream_goes_on()

    def serving(self, not_incarnation):
        snapshot = self.lab.telemetry()
        fresh = snapshot and snapshot.incarnation != not_incarnation and snapshot.in_force()
        return snapshot if fresh else None


if __name__ == "__main__":
    lab_case.main()
