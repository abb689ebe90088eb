"""Calls of the routed service by an unmodified client in the client's namespace: curl, or the official OpenAI SDK."""

import json
import os
import subprocess
import sys
import threading

import observe
import rundir
import topology

sys.path.insert(0, os.path.join(rundir.SOURCE_DIR, "test", "sdk"))

import npm_packages  # noqa: E402

TIMEOUT_S = 60  # of one call; nothing may hang
INSTALL_S = 60  # of the SDK's installation
URL = f"https://{topology.ROUTED_NAME}/v1"
SERVED = "x-gateway-destination-endpoint-served"  # the header that names the endpoint
SDK_CALL = os.path.join(rundir.SOURCE_DIR, "test", "lab", "sdk_call.cjs")


def curl(lab, path, *more):
    """The command line of one call."""
    return ["curl", "--silent", "--show-error", "--no-buffer", "--max-time", str(TIMEOUT_S), "--cacert",
            lab.certificate, "--resolve", f"{topology.ROUTED_NAME}:443:{topology.ROUTED_VIP}", *more, URL + path]


class Call:
    """One streamed chat completion; its events arrive by a thread."""

    client = "curl"

    def __init__(self, lab, tokens):
        self._child = subprocess.Popen(lab.spaces.prefix("client") + self._command(lab, tokens), stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True, env=os.environ | self._environment(lab))
        self.status = None
        self.endpoint = None  # that the answer names
        self.tokens = []  # their texts, each a number, from "1"
        self.error = None  # of an error event, or of an answer that is one
        self.done = False  # it came to its end
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _command(self, lab, tokens):
        body = {"model": topology.ROUTED_MODEL, "stream": True, "max_tokens": tokens,
                "messages": [{"role": "user", "content": "How far?"}]}
        return curl(lab, "/chat/completions", "--include", "--header", "Content-Type: application/json",
                    "--data", json.dumps(body))

    def _environment(self, lab):
        return {}

    def _collect(self):
        for line in self._child.stdout:
            self._read(line.strip())
        self._child.wait()

    def _read(self, line):
        if line.startswith("HTTP/"):
            self.status = int(line.split()[1])
        elif line.lower().startswith(f"{SERVED}:"):
            self.endpoint = line.partition(":")[2].strip()
        elif line == "data: [DONE]":
            self.done = True
        elif line.startswith("data: "):
            self._take(json.loads(line[len("data: "):]))
        elif line.startswith("{"):
            self.error = json.loads(line)["error"]  # the whole answer is one

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


class SdkCall(Call):
    """The same by the official OpenAI SDK for Node, as npm installs it, on a host that finds the service by its name."""

    client = "the official OpenAI SDK for Node"
    packages = None  # where install() put them

    @classmethod
    def install(cls, directory):
        """Into `directory`, unless it is there; raises NotToBeHad."""
        npm_packages.install(os.path.join(rundir.SOURCE_DIR, "test", "sdk"), directory, INSTALL_S)
        cls.packages = os.path.join(directory, "node_modules")

    def _command(self, lab, tokens):
        hosts = os.path.join(lab.run, "hosts")
        with open(hosts, "w", encoding="utf-8") as file:
            file.write(f"127.0.0.1 localhost\n{topology.ROUTED_VIP} {topology.ROUTED_NAME}\n")
        return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts, "timeout",
                str(TIMEOUT_S), "node", SDK_CALL, URL, topology.ROUTED_MODEL, str(tokens), SERVED]

    def _environment(self, lab):
        return {"NODE_PATH": self.packages, "NODE_EXTRA_CA_CERTS": lab.certificate}

    def _read(self, line):
        for name, value in json.loads(line).items():
            if name == "token":
                self.tokens.append(value.strip())
            else:
                setattr(self, name, value)  # status, endpoint, done, error


def call_on(lab, endpoint, tokens, tries=20, kind=Call):
    """A call that this endpoint serves, and that runs: others that were made on the way are stopped."""
    for _ in range(tries):
        call = kind(lab, tokens)
        observe.wait_for("a token or the end", lambda: call.tokens or not call.running(), patience=TIMEOUT_S)
        if call.endpoint == endpoint and call.running():
            return call
        call.stop()
    raise observe.NotSeen(f"{tries} calls, and none was served by {endpoint}")


def records(lab):
    """The lines of the gateway's access log."""
    with open(lab.access_log, encoding="utf-8") as file:
        return [json.loads(line) for line in file]
