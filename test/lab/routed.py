"""Calls of the routed service by an unmodified client: curl in the client's namespace, as an OpenAI SDK would ask."""

import json
import subprocess
import threading

import observe
import topology

TIMEOUT_S = 60  # of one call; nothing may hang
URL = f"https://{topology.ROUTED_NAME}/v1"


def curl(lab, path, *more):
    """The command line of one call."""
    return ["curl", "--silent", "--show-error", "--no-buffer", "--max-time", str(TIMEOUT_S), "--cacert",
            lab.certificate, "--resolve", f"{topology.ROUTED_NAME}:443:{topology.ROUTED_VIP}", *more, URL + path]


class Call:
    """One streamed chat completion; its events arrive by a thread."""

    def __init__(self, lab, tokens):
        body = {"model": topology.ROUTED_MODEL, "stream": True, "max_tokens": tokens,
                "messages": [{"role": "user", "content": "How far?"}]}
        command = curl(lab, "/chat/completions", "--include", "--header", "Content-Type: application/json",
                       "--data", json.dumps(body))
        self._child = subprocess.Popen(lab.spaces.prefix("client") + command, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
        self.status = None
        self.endpoint = None  # that the answer names
        self.tokens = []  # their texts, each a number, from "1"
        self.error = None  # of an error event, or of an answer that is one
        self.done = False  # [DONE] came
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self):
        for line in self._child.stdout:
            line = line.strip()
            if line.startswith("HTTP/"):
                self.status = int(line.split()[1])
            elif line.lower().startswith("x-gateway-destination-endpoint-served:"):
                self.endpoint = line.partition(":")[2].strip()
            elif line == "data: [DONE]":
                self.done = True
            elif line.startswith("data: "):
                self._take(json.loads(line[len("data: "):]))
            elif line.startswith("{"):
                self.error = json.loads(line)["error"]  # the whole answer is one
        self._child.wait()

    def _take(self, event):
        if "error" in event:
            self.error = event["error"]
            return
        content = event["choices"][0]["delta"].get("content")
        if content:
            self.tokens.append(content.strip())

    def in_order(self):
        return self.tokens == [str(number) for number in range(1, len(self.tokens) + 1)]

    def running(self):
        return self._thread.is_alive()

    def wait(self):
        """Until the answer is over, which curl's own time limit bounds; itself."""
        self._thread.join()
        return self

    def whole(self):
        return self.status == 200 and self.done and self.error is None and self.in_order()

    def stop(self):
        if self.running():
            self._child.terminate()
        self._thread.join()
        self._child.stdout.close()
        self._child.stderr.close()


def call_on(lab, endpoint, tokens, tries=20):
    """A call that this endpoint serves, and that runs: others that were made on the way are stopped."""
    for _ in range(tries):
        call = Call(lab, tokens)
        observe.wait_for("a token or the end", lambda: call.tokens or not call.running(), patience=TIMEOUT_S)
        if call.endpoint == endpoint and call.running():
            return call
        call.stop()
    raise observe.NotSeen(f"{tries} calls, and none was served by {endpoint}")


def records(lab):
    """The lines of the gateway's access log."""
    with open(lab.access_log, encoding="utf-8") as file:
        return [json.loads(line) for line in file]
