"""A gateway on loopback with TLS and API keys, before endpoint simulators on this machine's own address; no data plane,
so that requests are routed over kernel sockets."""

import hashlib
import ipaddress
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import unittest
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lab"))

import certificate  # noqa: E402
import observe  # noqa: E402
import process  # noqa: E402
import rundir  # noqa: E402

SKIPPED = 77  # what CTest takes as "skipped"
BUILD_DIR = os.environ.get("PERIGEE_BUILD_DIR", os.path.join(rundir.SOURCE_DIR, "build", "dev"))
HOST = "localhost"
SECRET = "AbCdEfGhIjKlMnOpQrStUv"

# What each key may, besides asking for everything.
KEYS = {"team": "", "single": ", concurrency: 1", "slow": ", rpm: 1", "small": ", tpm: 5",
        "elsewhere": ", residency: [nz]", "metered": ", tpm: 1000000"}

POLICY = """version: 1
pop: here
pops: {{here: {{prefixes: [{network}], region: au}}, there: {{prefixes: [100.64.0.0/16], region: nz}}}}
interfaces: {{local: {{port: local0, address: {neighbor}/24}}}}
health: {{interval: 2s, timeout: 2s}}
endpoints:
  one: {{pop: here, address: "{address}:{one}"}}
  two: {{pop: here, address: "{address}:{two}"}}
  fragile: {{pop: here, address: "{address}:{fragile}", health: {{type: none}}}}
listeners:
  public:
    address: 127.0.0.1:{public}
    tls: {{certificates: [{{chain: {chain}, key: {key}}}]}}
services:
  ai:
    mode: route
    listeners: [public]
    require_key: true
    models:
      assistant: {{endpoints: [one, two], served_name: lab-model, aliases: [gpt-4o-mini], timeouts: {{connect: 30s}}}}
      fragile: {{endpoints: [fragile], served_name: lab-model}}
keys: {{file: {keys}}}
router: {{access_log: {log}}}
admin: {{listen: "127.0.0.1:{admin}", socket: {socket}}}
"""


def own_address():
    """The address that this machine is known by to others: endpoints of a policy are never on 127.0.0.0/8."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        return ipaddress.ip_address(probe.getsockname()[0])


def free_ports(count):
    """Ports that nobody listens on, each once."""
    sockets = [socket.create_server(("", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class ServedCase(unittest.TestCase):
    """The gateway and its endpoints, for all tests of a class."""

    @classmethod
    def setUpClass(cls):
        address = own_address()
        if address is None or address.is_loopback:
            raise unittest.SkipTest("this machine has no address but loopback")
        cls.run_dir = tempfile.mkdtemp(prefix="perigee-sdk-", dir=rundir.base())
        cls.addClassCleanup(shutil.rmtree, cls.run_dir)
        cls.processes = process.Processes(cls.run_dir)
        cls.addClassCleanup(cls.processes.stop_all)
        cls.address = str(address)
        cls.endpoints = {name: cls.start_endpoint(name) for name in ("one", "two", "fragile")}
        cls.port, cls.admin_port = free_ports(2)
        cls.base_url = f"https://{HOST}:{cls.port}/v1"
        cls.certificate = cls.path("front.pem")
        cls.write_policy(address)
        cls.start_gateway("gateway")

    @classmethod
    def path(cls, name):
        return os.path.join(cls.run_dir, name)

    @classmethod
    def start_endpoint(cls, name):
        """Its port."""
        cls.processes.start(name, [os.path.join(BUILD_DIR, "bin", "endpoint_simulator"), "--name", name, "--address",
                                   cls.address, "--port", "0", "--prefill", "1000000"])  # a long prompt costs little
        cls.processes.wait_ready(name)
        return int(re.search(r"port (\d+)", cls.processes.log_tail(name)).group(1))

    @classmethod
    def write_policy(cls, address):
        certificate.make(cls.certificate, cls.path("front.key"), HOST)
        digest = hashlib.sha256(SECRET.encode()).hexdigest()
        def private(name, flags):
            return os.open(name, flags, 0o600)

        with open(cls.path("keys.yaml"), "w", encoding="utf-8", opener=private) as file:
            file.write("keys:\n" + "".join(f"  {name}: {{sha256: {digest}, tenant: acme{may}}}\n"
                                           for name, may in KEYS.items()))
        network = ipaddress.ip_network(f"{address}/24", strict=False)
        neighbor = next(host for host in network.hosts() if host != address)
        with open(cls.path("policy.yaml"), "w", encoding="utf-8") as file:
            file.write(POLICY.format(network=network, neighbor=neighbor, address=address, public=cls.port,
                                     chain=cls.certificate, key=cls.path("front.key"), keys=cls.path("keys.yaml"),
                                     log=cls.path("access.log"), admin=cls.admin_port,
                                     socket=cls.path("admin.sock"), **cls.endpoints))
        for name in ("table", "telemetry"):
            os.mkdir(cls.path(name), 0o700)

    @classmethod
    def start_gateway(cls, name):
        """Under this name among the processes; it takes the place of one that runs."""
        cls.processes.start(name, [os.path.join(BUILD_DIR, "bin", "perigee-gateway"), "--policy",
                                   cls.path("policy.yaml"), "--table-dir", cls.path("table"), "--telemetry-dir",
                                   cls.path("telemetry"), "--handover", cls.path("handover.sock")])
        cls.processes.wait_ready(name, "admin_listening")

    @staticmethod
    def token(key="team"):
        return f"{key}.{SECRET}"

    def metric(self, endpoint, name):
        """Of the engine, summed over its labels."""
        url = f"http://{self.address}:{self.endpoints[endpoint]}/metrics"
        with urllib.request.urlopen(url, timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def aborted(self):
        """How many requests clients of the endpoints have given up."""
        name = 'vllm:request_success_total{model_name="lab-model",finished_reason="abort"}'
        return sum(self.metric(endpoint, name) for endpoint in ("one", "two"))

    def lines(self):
        """Of the access log."""
        with open(self.path("access.log"), encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    wait_for = staticmethod(observe.wait_for)


def main():
    """Runs the tests of the program that was started; skipped as a whole, it says why in scripts/test's words."""
    result = unittest.main(module="__main__", verbosity=2, exit=False).result
    for _, reason in result.skipped:
        print(f"SKIPPED: {reason}")
    only_skipped = bool(result.skipped) and result.testsRun <= len(result.skipped)
    sys.exit(SKIPPED if result.wasSuccessful() and only_skipped else not result.wasSuccessful())
