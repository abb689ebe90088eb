"""One streamed answer outlives, one after the other, a policy reload, a swap of first and second choice, the death of
the gateway, and the death of the data plane. It has no end, unless PERIGEE_STREAM_SECONDS says how long it is; then it
must arrive to its last token, all in their order."""

import os

import drive
import lab_case
import observe
from lab_case import wait_for

SECONDS = int(os.environ.get("PERIGEE_STREAM_SECONDS", 0))
TOKENS = drive.TOKENS_PER_S * (SECONDS or 3600)

class StreamTest(lab_case.LabCase):
    def setUp(self):
        self.load = self.driven(drive.Load(self.lab, new=20, keep=0))
        observe.wait_new_flows(self.lab, ["syd-mel-a"])
        self.stream = self.driven(drive.Stream(self.lab, TOKENS))

    def assert_goes_on(self):
        seen = len(self.stream.tokens())
        wait_for("more tokens", lambda: len(self.stream.tokens()) > seen + 20, patience=60)
        self.assertIsNone(self.stream.outcome())

    def test_it_outlives_them_all(self):
        self.assert_goes_on()
        with self.subTest("policy reload"):
            path = f"{self.lab.run}/other.yaml"
            with open(self.lab.policy_path(), encoding="utf-8") as file, \
                    open(path, "w", encoding="utf-8") as other:
                other.write(file.read().replace("max_rtt: 150ms", "max_rtt: 140ms"))
            done = self.lab.perigee("apply", path, "--socket", self.lab.admin_socket)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assert_goes_on()
        with self.subTest("swap of first and second choice"):
            self.addCleanup(self.lab.restore, "syd-mel-a")
            self.lab.wire.delay("syd-mel-a", 12)
            observe.wait_new_flows(self.lab, ["syd-mel-b"], patience=60)
            self.assert_goes_on()
        with self.subTest("death of the gateway"):
            self.lab.kill_gateway()
            self.assert_goes_on()
            self.lab.start_gateway()
            self.assert_goes_on()
        with self.subTest("death of the data plane"):
            self.lab.kill_dataplane("syd")
            self.lab.start_dataplane("syd")
            self.lab.wait_settled()
            self.assert_goes_on()
        if SECONDS:
            with self.subTest("its end"):
                outcome = wait_for("the end of the stream", self.stream.outcome, patience=SECONDS + 60)
                self.assertIsNone(outcome["error"])
                self.assertEqual(len(self.stream.tokens()), TOKENS)


if __name__ == "__main__":
    lab_case.main()
