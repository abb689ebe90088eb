"""A real gateway asks a real engine (the simulator) for its load: what it says is a metric, and gone with it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

import observe
import rundir

BUILD_DIR = os.environ.get("PERIGEE_BUILD_DIR", os.path.join(rundir.SOURCE_DIR, "build", "dev"))
SKIPPED = 77  # what CTest takes as "skipped"
INSIDE = "PERIGEE_ENGINE_LOAD_INSIDE"
ENGINE = "10.9.0.1"  # on the loopback interface of our own network namespace
ENGINE_PORT, ROUTER_PORT, ADMIN_PORT = 8000, 8001, 8620

POLICY = f"""
version: 1
pop: here
pops: {{here: {{prefixes: [10.0.0.0/8]}}}}
interfaces: {{local: {{port: local0, address: 10.0.0.2/8}}}}
health: {{type: none}}
load: {{metrics: /metrics}}
endpoints: {{e1: {{pop: here, address: '{ENGINE}:{ENGINE_PORT}'}}}}
listeners: {{public: {{address: '127.0.0.1:{ROUTER_PORT}'}}}}
services: {{ai: {{mode: route, listeners: [public], models: {{m: {{endpoints: [e1], served_name: lab-model}}}}}}}}
"""


def get(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{ADMIN_PORT}{path}", timeout=20) as answer:
        return answer.read().decode()


def metric(name, more=""):
    """Of e1, or None while it is absent."""
    begin = f'perigee_endpoint_engine_{name}{{endpoint="e1",pop="here"{more}}} '
    return next((float(line[len(begin):]) for line in get("/metrics").splitlines() if line.startswith(begin)), None)


def answers():
    try:
        return get("/healthz")
    except (urllib.error.URLError, ConnectionError):
        return None


class EngineLoadTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="perigee-engine-load-")
        self.addCleanup(shutil.rmtree, self.folder)
        with open(self.path("policy.yaml"), "w", encoding="utf-8") as file:
            file.write(POLICY + f"admin: {{listen: '127.0.0.1:{ADMIN_PORT}', socket: {self.path('admin.sock')}}}\n")
        for name in ("tables", "telemetry"):
            os.mkdir(self.path(name), 0o700)
        self.start("perigee-gateway", "--policy", self.path("policy.yaml"), "--table-dir", self.path("tables"),
                   "--telemetry-dir", self.path("telemetry"))
        observe.wait_for("the gateway's metrics", answers)

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, program, *options):
        with open(self.path(program + ".log"), "ab") as log:
            process = subprocess.Popen([os.path.join(BUILD_DIR, "bin", program), *options], stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        return process

    def start_engine(self):
        return self.start("endpoint_simulator", "--name", "e1", "--address", ENGINE, "--port", str(ENGINE_PORT),
                          "--slots", "1", "--rate", "20")

    def stream(self):
        """A request through the router that occupies the engine for long."""
        body = {"model": "m", "stream": True, "max_tokens": 4000, "messages": [{"role": "user", "content": "x" * 400}]}
        request = urllib.request.Request(f"http://127.0.0.1:{ROUTER_PORT}/v1/chat/completions",
                                         json.dumps(body).encode(), {"Content-Type": "application/json"})
        answer = urllib.request.urlopen(request, timeout=60)
        self.addCleanup(answer.close)
        return answer

    def test_the_load_is_seen_while_the_engine_lives(self):
        self.assertIsNone(metric("waiting_requests"), "nobody answers")
        observe.wait_for("polls that are refused", lambda: metric("polls_total", ',result="refused"') >= 2)
        engine = self.start_engine()
        observe.wait_for("an idle engine", lambda: metric("waiting_requests") == 0)
        self.assertEqual(metric("running_requests"), 0)
        self.stream()
        observe.wait_for("a request in a slot", lambda: metric("running_requests") == 1)
        self.assertGreater(metric("kv_usage_ratio"), 0)
        self.assertLess(metric("load_age_seconds"), 0.751)
        load = json.loads(get("/api/v1/endpoints"))["endpoints"][0]["load"]
        self.assertEqual((load["engine"], load["waiting"], load["running"]), ("vllm", 0, 1))
        shown = subprocess.run([os.path.join(BUILD_DIR, "bin", "perigee"), "endpoints", "--admin",
                                f"http://127.0.0.1:{ADMIN_PORT}"], capture_output=True, text=True, check=False)
        self.assertIn("0 waiting, 1 running, KV ", shown.stdout + shown.stderr)
        engine.kill()
        names = ("waiting_requests", "running_requests", "kv_usage_ratio", "load_age_seconds")
        observe.wait_for("no load of a dead engine", lambda: all(metric(name) is None for name in names))
        self.assertIsNone(json.loads(get("/api/v1/endpoints"))["endpoints"][0]["load"])
        self.start_engine()
        observe.wait_for("the load of the new one", lambda: metric("running_requests") == 0)


def main():
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        print("SKIPPED: unshare or ip is not installed")
        return SKIPPED
    if INSIDE not in os.environ:  # a network of our own, so that an endpoint may have an address that is no loopback's
        enter = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
        if subprocess.run(enter + ["true"], capture_output=True, check=False).returncode != 0:
            print("SKIPPED: network namespaces cannot be made")
            return SKIPPED
        os.execvpe(enter[0], enter + ["--", sys.executable, "-B", *sys.argv], os.environ | {INSIDE: "1"})
    for command in ("link set lo up", f"address add {ENGINE}/32 dev lo"):
        subprocess.run(["ip", *command.split()], check=True)
    return 0 if unittest.main(exit=False, verbosity=2).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
