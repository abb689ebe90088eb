"""What the demo does to the lab, step by step. Each step says what moved, in how many ms, and how many requests
failed; what it finds wrong it adds to `problems`."""

import statistics

import drive
import observe
import routed
import topology

NEAR = ("mel-1", "mel-2")


class Demo:
    def __init__(self, lab, load, screen, kind):
        """`kind` of routed.Call: who asks for routed requests."""
        self.lab, self.load, self.screen, self.kind = lab, load, screen, kind
        self.problems = []
        self.cuts = []  # ms from each silent cut until the link was left
        self._title, self._since_ns = "", 0

    # The frame of a step.

    def step(self, title):
        self._title, self._since_ns = title, drive.now_ns()
        self.screen.say(f"\n== {title}")

    def result(self, text):
        self.screen.say(f"   {text}")

    def require(self, holds, problem):
        if not holds:
            self.problems.append(f"{self._title}: {problem}")
            self.screen.say(f"   NOT AS IT SHOULD BE: {problem}")

    def count_failures(self, allowed_from_ns=None, allowed_until_ns=None, why=""):
        """Says how many requests of this step failed. Failures of requests that were on their way in the time
        given are the outage itself; all others are problems."""
        failed = self.load.failed(self._since_ns)
        excused = [r for r in failed if allowed_from_ns is not None and r["end"] >= allowed_from_ns
                   and r["start"] <= allowed_until_ns]
        total = sum(r["start"] >= self._since_ns for r in self.load.records())
        self.result(f"{len(failed)} of {total} requests failed" + (f" ({why})" if failed and excused else ""))
        wrong = [r for r in failed if r not in excused]
        if wrong:
            self.require(False, f"{len(wrong)} requests failed that had no reason to, first: {wrong[0]['error']}")

    def moved(self, since_ns, links):
        """Waits until new connections use `links` only; ms from `since_ns` until the last that did not."""
        last = observe.wait_new_flows(self.lab, links)
        return max((last - since_ns) / 1e6, 0)

    # The steps, in their order.

    def nearest(self):
        self.step("traffic goes to the nearest endpoints, over the shortest link")
        # Links come up one after the other: the first answers may come from per.
        self.moved(self._since_ns, ["syd-mel-a"])
        calm_ns = drive.now_ns()
        observe.wait_for("answers of both endpoints in mel",
                         lambda: set(self.load.endpoints(calm_ns, "new")) == set(NEAR))
        window = observe.wait_for("a measured round trip", lambda: self.lab.telemetry().link("syd-mel-a").window)
        self.result(f"mel-1 and mel-2 over syd-mel-a, measured round trip {window.p50_ms:.2f} ms (5 ms each way)")
        self.count_failures()

    def by_request(self):
        self.step(f"an OpenAI client asks https://{topology.ROUTED_NAME}: TLS ends in the gateway, requests are routed")
        call = self.kind(self.lab, 25).wait()
        self.require(call.whole(), f"the call failed: {call.status} {call.error}")
        self.require(call.endpoint in NEAR, f"{call.endpoint} is not the nearest")
        self.result(f"{call.client} asked, streamed: {len(call.tokens)} tokens of {call.endpoint}, whole")
        self.count_failures()

    def longer(self):
        self.step("syd-mel-a becomes longer: 5 ms -> 12 ms each way")
        at_ns = self.lab.wire.delay("syd-mel-a", 12)
        self.result(f"new connections moved to syd-mel-b after {self.moved(at_ns, ['syd-mel-b']):.0f} ms "
                    "(window 2 s, three decisions in a row)")
        at_ns = self.lab.wire.restore("syd-mel-a")
        self.result(f"restored; they came back after {self.moved(at_ns, ['syd-mel-a']):.0f} ms "
                    "(hold 3 s after a switch)")
        self.count_failures()

    def cut(self, link, then):
        """One silent cut; new connections must go over `then`."""
        seen = observe.cut(self.lab, link)
        self.moved(seen.at_ns, [then])
        left_ms = max(seen.left_ms, seen.last_syn_ms)
        self.cuts.append(left_ms)
        self.result(f"cut {link} silently: new connections left it after {left_ms:.0f} ms, for {then}")
        self.require(left_ms <= 3 * observe.CUT_LIMIT_MS, f"{link} was left after {left_ms:.0f} ms")
        return seen

    def cut_with_stream(self):
        self.step("syd-mel-a and syd-mel-b are cut, one after the other, while a stream runs")
        stream = drive.Stream(self.lab, 12 * drive.TOKENS_PER_S)
        call = self.kind(self.lab, 8 * drive.TOKENS_PER_S)
        observe.wait_for("the streams run", lambda: len(stream.tokens()) > 10 and len(call.tokens) > 10)
        seen = self.cut("syd-mel-a", "syd-mel-b")
        self.requests_move(call, "syd-mel-a", "syd-mel-b")
        self.stream_survives(stream, seen.at_ns, "it moved to syd-mel-b")
        self.count_failures()
        self.cut("syd-mel-b", "syd-per")
        observe.wait_for("answers from per-1", lambda: "per-1" in self.load.endpoints(self._since_ns, "new"))
        self.result("the nearest endpoint by measured path is now per-1")
        for link in ("syd-mel-b", "syd-mel-a"):
            observe.restore(self.lab, link)
        self.moved(self._since_ns, ["syd-mel-a"])
        self.result("both restored; new connections use syd-mel-a again")
        self.count_failures()

    def requests_move(self, call, left, then):
        """The gateway's own segments, by link, while a routed answer of before goes on and another one is made."""
        before, seen = observe.carried(self.lab, topology.GATEWAY_ADDRESS), len(call.tokens)
        another = self.kind(self.lab, 5).wait()
        observe.wait_for("more tokens", lambda: len(call.tokens) >= seen + 50 or not call.running())
        after = observe.carried(self.lab, topology.GATEWAY_ADDRESS)
        moved = {name: after[name] - before[name] for name in (left, then)}
        self.require(another.whole(), f"a routed request failed: {another.status} {another.error}")
        self.require(moved[left] == 0 and moved[then] >= 50, f"the gateway sent {moved}")
        self.result(f"routed requests moved as well: since then {moved[then]} segments of the gateway on {then}, "
                    f"{moved[left]} on {left}")
        self.require(call.wait().whole(), f"the routed answer broke: {call.error}")
        self.result(f"the routed answer from {call.endpoint} went on: {len(call.tokens)} tokens, whole")

    def stream_survives(self, stream, since_ns, how):
        outcome = observe.wait_for("the end of the stream", stream.outcome, patience=90)
        gap = stream.longest_gap_ms(since_ns)
        self.require(outcome["error"] is None, f"the stream broke: {outcome['error']}")
        self.result(f"the stream from {outcome['endpoint']} went on without a token missing: {how}, longest "
                    f"silence {gap:.0f} ms")
        stream.stop()

    def kill_nearest(self):
        self.step("the process of mel-1 is killed")
        call = routed.call_on(self.lab, "mel-1", 60 * drive.TOKENS_PER_S, kind=self.kind)
        before_ns = drive.now_ns()
        table = self.lab.telemetry().in_force()
        self.lab.kill_endpoint("mel-1")
        self.answer_breaks_off(call)
        after = observe.wait_for("a table without mel-1", lambda: self._newer_table(table))
        self.result(f"taken out after {(after.at_ns - before_ns) / 1e6:.0f} ms (two checks, 500 ms apart)")
        # A connection opened just before the verdict may wait for its first answer.
        self.count_failures(before_ns, after.at_ns + 100_000_000, "on mel-1 before the verdict")
        alone_ns = drive.now_ns()
        observe.wait_for("answers of mel-2", lambda: self.load.endpoints(alone_ns, "new")["mel-2"] >= 20)
        self.require(not self.load.endpoints(alone_ns)["mel-1"], "mel-1 answered, dead")
        self.lab.start_endpoint("mel-1")
        observe.wait_for("answers of mel-1", lambda: self.load.endpoints(alone_ns, "new")["mel-1"] > 0)
        self.result("started again; it takes new connections again")

    def answer_breaks_off(self, call):
        killed_ns = drive.now_ns()
        observe.wait_for("the end of the answer", lambda: call.error or not call.running(), patience=routed.TIMEOUT_S)
        ended_ms = (drive.now_ns() - killed_ns) / 1e6
        another = self.kind(self.lab, 5).wait()
        told = call.error is not None and not call.done and call.in_order()
        self.require(told, f"the routed answer of mel-1 ended so: {call.error}")
        self.require(another.whole() and another.endpoint != "mel-1",
                     f"the next routed request: {another.status} {another.error}")
        self.result(f"the routed answer it was streaming ended with an error event after {ended_ms:.0f} ms, and the "
                    f"next one came from {another.endpoint}")

    def _newer_table(self, than):
        snapshot = self.lab.telemetry()
        table = snapshot.in_force() if snapshot else None
        return table if table and table.checksum != than.checksum else None

    def cut_without_gateway(self):
        self.step("the gateway is killed, and links are cut again")
        self.lab.kill_gateway()
        self.cut("syd-mel-a", "syd-mel-b")
        observe.restore(self.lab, "syd-mel-a")
        self.cut("syd-per", "syd-mel-a")
        observe.restore(self.lab, "syd-per")
        self.cut("syd-mel-a", "syd-mel-b")
        observe.restore(self.lab, "syd-mel-a")
        self.lab.start_gateway()
        self.moved(self._since_ns, ["syd-mel-a"])
        self.result("links restored, the gateway started again")
        self.count_failures()

    def restart_dataplane(self):
        self.step("the data plane of syd is killed (kill -9) and started again, while a stream runs")
        stream = drive.Stream(self.lab, 10 * drive.TOKENS_PER_S)
        observe.wait_for("the stream runs", lambda: len(stream.tokens()) > 10)
        killed_ns = drive.now_ns()
        self.lab.kill_dataplane(topology.GATEWAY_POP)
        self.lab.start_dataplane(topology.GATEWAY_POP)
        served = observe.wait_for("an answer to a request sent since", lambda: self.load.succeeded(killed_ns),
                                  patience=60)
        back_ns = min(r["end"] for r in served)
        recovered = self.lab.telemetry().counters()["flows_recovered"]
        self.result(f"requests are answered again {(back_ns - killed_ns) / 1e6:.0f} ms after the kill; "
                    f"{recovered} flows taken over")
        self.stream_survives(stream, killed_ns, "its flow was taken over")
        self.count_failures(killed_ns, back_ns, "sent into the outage")

    def restored(self):
        self.step("all is as it was")
        self.lab.wait_settled()
        self.moved(self._since_ns, ["syd-mel-a"])
        calm_ns = drive.now_ns()
        observe.wait_for("answers of both endpoints in mel",
                         lambda: set(self.load.endpoints(calm_ns, "new")) == set(NEAR))
        median = statistics.median(self.cuts)
        self.result(f"silent cuts: new connections left the link after {median:.0f} ms in the median of "
                    f"{len(self.cuts)}, {max(self.cuts):.0f} ms at most (limit {observe.CUT_LIMIT_MS:.0f} and "
                    f"{3 * observe.CUT_LIMIT_MS:.0f} ms: three probe intervals of 20 ms, and 20 ms)")
        self.require(median <= observe.CUT_LIMIT_MS, f"the median of the cuts is {median:.0f} ms")
        self.count_failures()

    def run(self):
        for step in (self.nearest, self.by_request, self.longer, self.cut_with_stream, self.kill_nearest,
                     self.cut_without_gateway, self.restart_dataplane, self.restored):
            try:
                step()
            except observe.NotSeen as missing:
                self.require(False, str(missing))
