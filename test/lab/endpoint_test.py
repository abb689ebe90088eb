"""Endpoints die: their clients learn it by a reset, and new connections go to others."""

import drive
import lab_case
from lab_case import wait_for


class EndpointTest(lab_case.LabCase):
    def setUp(self):
        self.load = self.driven(drive.Load(self.lab, new=20, keep=0))

    def stream_on(self, endpoint):
        """A stream that this endpoint serves: the client's port decides, so a few are tried."""
        for _ in range(30):
            stream = self.driven(drive.Stream(self.lab, 100_000))
            if wait_for("a first token", stream.endpoint) == endpoint:
                return stream
            stream.stop()
        raise AssertionError(f"30 connections, none to {endpoint}")

    def healthy(self, name):
        return next((value for key, value in self.lab.metrics().items()
                     if key.startswith("perigee_endpoint_healthy{") and f'"{name}"' in key), None)

    def die_and_return(self, name, silent):
        wait_for(f"answers of {name}", lambda: self.load.endpoints(kind="new")[name] > 0)
        stream = self.stream_on(name)
        self.addCleanup(lambda: self.lab.processes.pid(f"endpoint-{name}") or self.lab.start_endpoint(name))
        self.lab.kill_endpoint(name, silent)
        wait_for(f"{name} is known to be dead", lambda: self.healthy(name) == 0)
        wait_for("the data plane has that table", self.table_settled)
        verdict_ns = drive.now_ns()
        outcome = wait_for("the end of the stream", stream.outcome)
        self.assert_served_since(self.load, verdict_ns)
        self.assertEqual(self.load.endpoints(verdict_ns)[name], 0)
        self.lab.start_endpoint(name)
        wait_for(f"answers of {name} again", lambda: self.load.endpoints(verdict_ns)[name] > 0, patience=60)
        return outcome

    def table_settled(self):
        """The gateway's newest table is the one in force."""
        table = self.lab.telemetry().in_force()
        return table and self.lab.metrics().get("perigee_table_generation") == table.generation

    def test_a_killed_process(self):
        outcome = self.die_and_return("mel-1", silent=False)
        self.assertIsNotNone(outcome["error"])

    def test_a_host_that_falls_silent(self):
        # The client only receives: it would wait for ever if nobody reset its connection.
        outcome = self.die_and_return("mel-2", silent=True)
        self.assertIn("ConnectionResetError", outcome["error"])


if __name__ == "__main__":
    lab_case.main()
