"""Short versions of the simulator's scenarios, with real data planes, a real gateway and real requests: they must agree
with it in direction. What is injected is many times what the machine's own noise is."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import drive
import lab_case
import observe
import routed
import topology
from lab_case import wait_for

NEAR = ("mel-1", "mel-2")
PROMPT = 4000  # octets: 1000 tokens
PREFILL = 50_000  # tokens a second: 20 ms of such a prompt
FAR_MS = 80  # that a round trip becomes longer
UNKNOWN_MS = 175  # what is expected of such a prompt before anything is learned
SLOW_MS = 180  # that a prefill becomes longer
SLOW_PREFILL = 5_000
JITTER_MS = 5  # of a round trip
STALL_MS = 2000
FILLERS = 20  # of 40 such prompts each
SECOND_NS = 1_000_000_000

# Nor is an endpoint whose machine is starved taken for one that does not answer.
lab_case.lab_module.GENTLE += (("connect: 1s", "connect: 10s"),)


@dataclass(frozen=True)
class Terms:
    network: float
    service: float
    wait: float
    in_flight: int


class SteeringTest(lab_case.LabCase):
    def setUp(self):
        for endpoint in topology.ENDPOINTS:
            self.lab.pace(endpoint.name, prefill=PREFILL, slots=64)
        self.lab.kill_gateway()  # with what it has learned
        self.lab.start_gateway()
        self.lab.wait_settled()
        wait_for("requests go to mel over syd-mel-a", self.calm, patience=90, every=0.2)

    def get(self, path):
        said = self.lab.execute("gateway", ["curl", "-sS", "-m", "10", f"http://127.0.0.1:8620/api/v1/{path}"]).stdout
        return json.loads(said)

    def model(self):
        return self.get("services")["routed"][0]["models"][0]

    def active(self):
        return {(one["endpoint"], one["link"]) for one in self.model()["active"]}

    def calm(self):
        return self.active() == {(name, "syd-mel-a") for name in NEAR}

    def terms(self):
        """What a request would meet in mel now, in ms, over its endpoints: the mean of each term, the least wait."""
        found = wait_for("a known way to mel", self.explained)
        mean = {term: sum(one["expected_ms"][term] for one in found) / len(found) for term in ("network", "service")}
        return Terms(**mean, wait=min(one["expected_ms"]["wait"] for one in found),
                     in_flight=sum(one["in_flight"] for one in found))

    def explained(self):
        """Of the endpoints in mel; none while their way is unknown, as when a machine was late with the probes."""
        said = self.get(f"services/ai/explain?client={topology.CLIENT_ADDRESS}&octets={PROMPT}")
        found = [one["request"] for one in said["candidates"] if one["endpoint"] in NEAR]
        return [] if any(one["expected_ms"]["network"] is None for one in found) else found

    def asked(self, clients=2, prompt=PROMPT, gap=0.0):
        return self.driven(drive.Asked(self.lab, clients, prompt, gap))

    def settled(self, what, holds):
        """The terms once requests have made `holds` of them true, and none is under way any more."""
        load = self.asked()
        wait_for(what, lambda: holds(self.terms()), patience=60)
        load.stop()
        self.assertEqual(load.failed(), [])
        wait_for("nothing in flight", lambda: self.terms().in_flight == 0)
        now = self.terms()
        self.assertEqual(now.wait, 0)
        return now

    def fill(self, name):
        """The queue of this endpoint, with long prompts of somebody else, one worked off after the other."""
        self.lab.pace(name, slots=1)
        body = os.path.join(self.lab.run, f"long-{name}.json")
        with open(body, "w", encoding="utf-8") as file:
            json.dump({"model": "lab-model", "prompt": "x" * 40 * PROMPT, "max_tokens": 1}, file)
        url = f"http://{topology.endpoint(name).address}:{topology.ENDPOINT_PORT}/v1/completions?[1-{FILLERS}]"
        command = ["curl", "-s", "-Z", "--parallel-immediate", "--parallel-max", str(FILLERS), "-d", "@" + body, url]
        child = subprocess.Popen(self.lab.spaces.prefix(name) + command, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        self.addCleanup(self.empty, name, child)
        return child

    def empty(self, name, child):
        if child.poll() is None:
            child.terminate()
            child.wait()
        self.lab.pace(name, slots=64)

    def delay_all(self, more_ms):
        for link in observe.EDGE_LINKS:
            self.lab.wire.delay(link, topology.link(link).delay_ms + more_ms / 2)

    def jitter(self, link, around_ms, until):
        """Each way another delay every 20 ms, until `until()`."""
        chance = random.Random(1)
        while not until():
            self.lab.wire.delay(link, around_ms + chance.uniform(-JITTER_MS, JITTER_MS) / 2)
            time.sleep(0.02)

    def links_since(self, count):
        """Of the requests whose lines in the log are not among the first `count`."""
        return {line["link"] for line in routed.records(self.lab)[count:]}

    def test_1_a_longer_link_loses_its_share_and_a_trembling_one_does_not(self):
        self.addCleanup(self.lab.restore, "syd-mel-a")
        self.addCleanup(self.lab.restore, "syd-mel-b")
        self.lab.wire.delay("syd-mel-b", 5.5)  # 11 ms: many a round trip over syd-mel-a is longer
        load = self.asked(clients=1, gap=0.02)
        wait_for("answers", lambda: len(load.answers()) >= 10)
        switches, before = self.model()["switches"], len(routed.records(self.lab))
        began_ns = drive.now_ns()
        # Three windows, and some requests.
        self.jitter("syd-mel-a", topology.link("syd-mel-a").delay_ms,
                    lambda: drive.now_ns() > began_ns + 6 * SECOND_NS and len(load.answers(began_ns)) >= 50)
        self.assertEqual(self.model()["switches"], switches)
        self.assertEqual(self.links_since(before), {"syd-mel-a"})

        self.lab.wire.delay("syd-mel-a", topology.link("syd-mel-a").delay_ms + FAR_MS / 2)
        wait_for("requests go to mel over syd-mel-b", lambda: self.active() == {(name, "syd-mel-b") for name in NEAR})
        moved_ns, before = drive.now_ns(), len(routed.records(self.lab)) + 1  # one may be under way
        self.jitter("syd-mel-a", topology.link("syd-mel-a").delay_ms + FAR_MS / 2,
                    lambda: len(load.answers(moved_ns)) >= 50)
        self.assertEqual(self.links_since(before), {"syd-mel-b"})
        self.assertEqual(self.model()["switches"]["rtt"], switches["rtt"] + 1)
        self.assertEqual(load.failed(), [])

    def test_2_a_stalled_engine_does_not_look_far(self):
        load = self.asked(clients=4)
        wait_for("answers of both", lambda: {r["endpoint"] for r in load.answers()} >= set(NEAR))
        before = self.witnesses()
        pids = [self.lab.processes.pid(f"endpoint-{name}") for name in NEAR]
        stalled_ns = drive.now_ns()
        for pid in pids:
            self.addCleanup(os.kill, pid, signal.SIGCONT)
            os.kill(pid, signal.SIGSTOP)  # its kernel goes on
        seen = []
        while drive.now_ns() < stalled_ns + STALL_MS * 1e6:
            seen.append(self.witnesses())
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        going_ns = drive.now_ns()
        wait_for("answers since", lambda: len(load.answers(going_ns)) >= 20, patience=60)
        seen.append(self.witnesses())
        waited = [r["first"] - r["start"] for r in load.answers() if r["start"] < stalled_ns < r["first"]]
        self.assertGreater(max(waited) / 1e6, STALL_MS / 2)
        for network, connections in seen:
            self.assertLess(network, before[0] + STALL_MS / 2)
            self.assertLess(connections, before[1] + STALL_MS / 2)
        self.assertEqual(load.failed(), [])

    def witnesses(self):
        """The round trip to mel in ms, as it is priced, and as connections to its endpoints tell it."""
        told = [value for name, value in self.lab.metrics().items()
                if name.startswith("perigee_endpoint_connection_rtt_seconds") and 'pop="mel"' in name]
        return self.terms().network, 1000 * max(told)

    def test_3_a_known_queue_sends_requests_to_the_next_pop(self):
        load = self.asked(clients=8, gap=0.1)
        wait_for("answers of both", lambda: {r["endpoint"] for r in load.answers()} >= set(NEAR))
        fillers = {name: self.fill(name) for name in NEAR}
        filled_ns = drive.now_ns()
        wait_for("full queues", lambda: all(self.known_queue(name) >= FILLERS / 2 for name in NEAR), every=0.05)
        known_ns = drive.now_ns()
        wait_for("answers of per-1", lambda: self.count(load, known_ns, "per-1") >= 20)
        emptied_ns = drive.now_ns()
        for name, filler in fillers.items():
            self.assertIsNone(filler.poll())  # it was full until now
            self.empty(name, filler)
        wait_for("the end of what waited", lambda: len(load.answers(emptied_ns)) >= 50)
        near = [r["start"] for r in load.answers() if r["endpoint"] in NEAR and r["start"] < emptied_ns]
        print(f"queues known {(known_ns - filled_ns) / 1e6:.0f} ms after they began to fill, the last request went "
              f"there {(max(near) - filled_ns) / 1e6:.0f} ms after it", file=sys.stderr)
        self.assertEqual([start for start in near if start > known_ns], [])
        self.assertEqual(load.failed(), [])

    def known_queue(self, name):
        """Requests that wait there, as the gateway has it from its engine."""
        return sum(value for series, value in self.lab.metrics().items()
                   if series.startswith("perigee_endpoint_engine_waiting_requests") and f'endpoint="{name}"' in series)

    def count(self, load, since_ns, endpoint):
        return sum(r["endpoint"] == endpoint for r in load.answers(since_ns))

    def test_4_each_estimator_moves_alone(self):
        first = self.settled("a learned service", lambda now: now.service < UNKNOWN_MS / 2)
        self.addCleanup(self.delay_all, 0)
        self.delay_all(FAR_MS)
        self.settled("a longer way", lambda now: now.network > first.network + 0.8 * FAR_MS
                     and now.service < first.service + FAR_MS / 2)
        self.delay_all(0)
        near = self.settled("the old way", lambda now: now.network < first.network + 0.2 * FAR_MS)

        for endpoint in topology.ENDPOINTS:  # all of them, or those in mel would not be asked any more
            self.lab.pace(endpoint.name, prefill=SLOW_PREFILL)
        slow = self.settled("a slower engine", lambda now: now.service > near.service + SLOW_MS / 2
                            and now.network < near.network + SLOW_MS / 4)
        for name in NEAR:
            self.fill(name)
        wait_for("queues", lambda: self.terms().wait > slow.service)
        queued = self.terms()
        self.assertLess(queued.network, near.network + SLOW_MS / 4)
        self.assertLess(abs(queued.service - slow.service), SLOW_MS / 4)


if __name__ == "__main__":
    lab_case.main()
