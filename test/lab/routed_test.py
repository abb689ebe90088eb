"""Requests of OpenAI clients through the gateway: over the link that won, away from what fails, and never hanging."""

import json

import lab_case
import observe
import routed
import topology
from lab_case import wait_for

NEAR = ("mel-1", "mel-2")
LONG = 3000  # tokens: a minute


class RoutedTest(lab_case.LabCase):
    def setUp(self):
        # Links come up one after the other, and what switched holds for a while.
        wait_for("requests go to mel over syd-mel-a", self.calm, patience=90, every=0.2)

    def calm(self):
        said = self.lab.perigee("services", "--json")
        active = json.loads(said.stdout)["routed"][0]["models"][0]["active"] if said.returncode == 0 else []
        return {(one["endpoint"], one["link"]) for one in active} == {(name, "syd-mel-a") for name in NEAR}

    def called(self, tokens=10):
        """A call that must be answered whole."""
        call = routed.Call(self.lab, tokens).wait()
        self.addCleanup(call.stop)
        self.assertTrue(call.whole(), f"{call.status} {call.error} {call.tokens}")
        return call

    def segments(self, during):
        """How many segments of the gateway entered each link while `during` ran."""
        before = observe.carried(self.lab, topology.GATEWAY_ADDRESS)
        during()
        after = observe.carried(self.lab, topology.GATEWAY_ADDRESS)
        return {name: after[name] - before[name] for name in after}

    def test_1_the_nearest_endpoints_answer_over_the_best_link(self):
        seen = self.segments(lambda: self.assertIn(self.called(50).endpoint, NEAR))
        self.assertGreater(seen["syd-mel-a"], 50)
        self.assertEqual(seen["syd-mel-b"], 0)
        line = wait_for("its line in the log", lambda: routed.records(self.lab))[0]
        self.assertEqual((line["model"], line["model_served"], line["link"]), ("assistant", "lab-model", "syd-mel-a"))

    def test_2_only_who_trusts_the_certificate_is_served(self):
        listed = self.lab.execute("client", routed.curl(self.lab, "/models"))
        self.assertIn('"assistant"', listed.stdout)
        command = [word for word in routed.curl(self.lab, "/models") if word not in ("--cacert", self.lab.certificate)]
        self.assertEqual(self.lab.execute("client", command).returncode, 60)  # curl: not verified

    def test_3_a_cut_link_is_left_by_running_and_new_requests(self):
        call = routed.Call(self.lab, LONG)
        self.addCleanup(call.stop)
        wait_for("tokens", lambda: len(call.tokens) > 10)
        self.addCleanup(observe.restore, self.lab, "syd-mel-a")
        self.lab.cut("syd-mel-a")
        for pop in ("syd", "mel"):
            observe.wait_state(self.lab, "syd-mel-a", "down", pop)
        wait_for("a token after the cut", self.more(call, 1))
        seen = self.segments(lambda: (self.called(), wait_for("tokens after the cut", self.more(call, 50))))
        self.assertEqual(seen["syd-mel-a"], 0)
        self.assertGreater(seen["syd-mel-b"], 50)
        self.assertTrue(call.running() and call.in_order())
        wait_for("a line of the other link", lambda: (self.called(1), routed.records(self.lab))[1][-1]["link"]
                 == "syd-mel-b")

    def more(self, call, count):
        seen = len(call.tokens)
        return lambda: len(call.tokens) >= seen + count

    def test_4_both_links_cut_another_pop_answers(self):
        for link in ("syd-mel-a", "syd-mel-b"):
            self.addCleanup(observe.restore, self.lab, link)
            self.lab.cut(link)
        for link in ("syd-mel-a", "syd-mel-b"):
            observe.wait_state(self.lab, link, "down")
        # Mel stays reachable around over per, farther than per itself.
        wait_for("an answer of per-1", lambda: self.called(2).endpoint == "per-1")

    def dies_while_it_streams(self, endpoint, silent):
        """The call that it served, over; the next one must be answered by another at once."""
        call = routed.call_on(self.lab, endpoint, LONG)
        self.addCleanup(call.stop)
        self.addCleanup(lambda: self.lab.processes.pid(f"endpoint-{endpoint}") or self.lab.start_endpoint(endpoint))
        self.lab.kill_endpoint(endpoint, silent)
        if not silent:
            self.assertNotEqual(self.called().endpoint, endpoint)
        call.wait()
        self.assertEqual((call.status, call.done, call.in_order()), (200, False, True))
        self.assertGreater(len(call.tokens), 0)
        self.assertEqual(call.error["code"], "endpoint_broke_off")
        self.assertNotEqual(self.called().endpoint, endpoint)

    def test_5_an_endpoint_killed_while_it_streams_ends_in_an_error_event(self):
        self.dies_while_it_streams("mel-1", silent=False)

    def test_6_so_does_one_that_falls_silent(self):
        self.dies_while_it_streams("mel-2", silent=True)

    def test_7_a_running_answer_outlives_the_data_plane(self):
        call = routed.Call(self.lab, LONG)
        self.addCleanup(call.stop)
        wait_for("tokens", lambda: len(call.tokens) > 10)
        self.lab.kill_dataplane("syd")
        self.lab.start_dataplane("syd")
        self.lab.wait_settled()
        wait_for("tokens again", self.more(call, 20), patience=60)
        self.assertTrue(call.running() and call.in_order())


if __name__ == "__main__":
    lab_case.main()
