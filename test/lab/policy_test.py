"""A new policy is accepted, found invalid, refused by the data plane, or finds no data plane: each says so by its
exit status, and none of them disturbs an established stream."""

import os
import signal

import drive
import lab_case
from lab_case import wait_for

ACCEPTED, INVALID, REFUSED, NO_DATAPLANE = 0, 2, 3, 4


class PolicyTest(lab_case.LabCase):
    def setUp(self):
        self.stream = self.driven(drive.Stream(self.lab, 100_000))
        wait_for("tokens", lambda: len(self.stream.tokens()) > 5)
        with open(self.lab.policy_path(), encoding="utf-8") as file:
            self.good = file.read()

    def apply(self, text):
        path = os.path.join(self.lab.run, "new.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return self.lab.perigee("apply", path, "--socket", self.lab.admin_socket)

    def assert_stream_goes_on(self):
        seen = len(self.stream.tokens())
        wait_for("more tokens", lambda: len(self.stream.tokens()) > seen + 10, patience=60)
        self.assertIsNone(self.stream.outcome())

    def configured(self):
        with open(self.lab.policy_path(), encoding="utf-8") as file:
            return file.read()

    def test_1_accepted(self):
        before = self.lab.telemetry().in_force()
        changed = self.good.replace("path_gone: 5s", "path_gone: 6s")
        done = self.apply(changed)
        self.assertEqual(done.returncode, ACCEPTED, done.stderr)
        self.assertNotEqual(self.lab.telemetry().in_force(), before)  # apply waits for the acknowledgement
        self.assertEqual(self.configured(), changed)
        with open(self.lab.policy_path() + ".previous", encoding="utf-8") as file:
            self.assertEqual(file.read(), self.good)
        self.assertEqual(self.lab.metrics()["perigee_policy_last_reload_successful"], 1)
        self.assert_stream_goes_on()

    def test_2_invalid(self):
        before = self.lab.telemetry().in_force()
        done = self.apply(self.good.replace("interval: 20ms", "interval: 20"))
        self.assertEqual(done.returncode, INVALID, done.stderr)
        self.assertRegex(done.stdout + done.stderr, r"\.yaml:\d+:\d+: probe\.interval: ")
        self.assertEqual(self.configured(), self.good)
        self.assertEqual(self.lab.telemetry().in_force().instance, before.instance)
        self.assertEqual(self.apply(self.good).returncode, ACCEPTED)
        self.assert_stream_goes_on()

    def test_3_refused_by_the_data_plane(self):
        before = self.lab.telemetry().in_force()
        done = self.apply(self.good.replace("port: link2", "port: link9"))  # this data plane has no link9
        self.assertEqual(done.returncode, REFUSED, done.stdout + done.stderr)
        self.assertIn("link9", done.stdout + done.stderr)
        self.assertEqual(self.configured(), self.good)
        self.assertIn("link9", self.lab.telemetry().refused().reason)
        self.assertEqual(self.lab.telemetry().in_force().instance, before.instance)
        self.assertEqual(self.apply(self.good).returncode, ACCEPTED)
        self.assert_stream_goes_on()

    def test_4_reload_by_signal(self):
        with open(self.lab.policy_path(), "w", encoding="utf-8") as file:
            file.write("version: 1\n")
        os.kill(self.lab.processes.pid("gateway"), signal.SIGHUP)
        wait_for("a failed reload", lambda: self.lab.metrics()["perigee_policy_last_reload_successful"] == 0)
        with open(self.lab.policy_path(), "w", encoding="utf-8") as file:
            file.write(self.good)
        os.kill(self.lab.processes.pid("gateway"), signal.SIGHUP)
        wait_for("a good reload", lambda: self.lab.metrics()["perigee_policy_last_reload_successful"] == 1)
        self.assert_stream_goes_on()

    def test_5_no_data_plane(self):
        self.lab.kill_dataplane("syd")
        self.addCleanup(self.lab.start_dataplane, "syd")
        wait_for("it is known to be gone", lambda: self.lab.telemetry() is None)
        done = self.apply(self.good.replace("path_gone: 5s", "path_gone: 7s"))
        self.assertEqual(done.returncode, NO_DATAPLANE, done.stdout + done.stderr)


if __name__ == "__main__":
    lab_case.main()
