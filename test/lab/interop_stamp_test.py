"""STAMP with a public implementation, both ways: twampy (RFC 5357 TWAMP Light, RFC 8762) against the real program.

    far (kernel, 172.31.9.2) --- veth --- near (the data plane, 172.31.9.1, port link0)

Needs a checkout of github.com/nokia/twampy in $TWAMPY, which is not part of this project; says so and skips otherwise.
"""

import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import lab_case  # noqa: E402
import namespaces  # noqa: E402
import telemetry  # noqa: E402
from process import Processes  # noqa: E402

TWAMPY = os.environ.get("TWAMPY", "")
POLICY = """version: 1
pop: near
pops: {near: {prefixes: [10.1.0.0/16]}, far: {prefixes: [10.9.0.0/16]}}
probe: {interval: 20ms}
steering: {window: 2s}
links: {a: {pop: far, port: link0, local: 172.31.9.1, next_hop: 172.31.9.2, peer: 172.31.9.2}}
"""


class Interop(unittest.TestCase):
    def setUp(self):
        self.run_dir = os.path.join(lab_case.RUN_DIR, "interop")
        os.makedirs(self.run_dir, mode=0o755, exist_ok=True)
        self.processes = Processes(self.run_dir)
        self.addCleanup(self.processes.stop_all)
        self.net = namespaces.Namespaces(self.run_dir, self.processes)
        self.net.create(["near", "far"])
        self.net.quiet("near")
        self.net.quiet("far")
        self.net.connect([("near", "link0", "far", "eth0")])
        for command in ("link set dev lo up", "link set dev eth0 up", "address add 172.31.9.2/24 dev eth0"):
            self.net.run("far", ["ip"] + command.split())
        self.net.run("near", ["ip", "link", "set", "dev", "link0", "up"])
        self.start_dataplane()

    def start_dataplane(self):
        directories = {}
        for name in ("table", "telemetry", "state"):
            directories[name] = os.path.join(self.run_dir, name)
            os.makedirs(directories[name], mode=0o755, exist_ok=True)
        self.telemetry = telemetry.Telemetry(directories["telemetry"])
        policy = os.path.join(self.run_dir, "near.yaml")
        with open(policy, "w", encoding="utf-8") as file:
            file.write(POLICY)
        programs = os.path.join(lab_case.BUILD_DIR, "bin")
        subprocess.run([f"{programs}/perigee", "compile", policy, "--pop", "near", "--table-dir",
                        directories["table"]], check=True, stdout=subprocess.DEVNULL)
        self.processes.start("dataplane", self.net.prefix("near") + [
            f"{programs}/perigee-dataplane", "--no-huge", "--memory", "128",
            "--port", "link0=link,net_af_packet0,iface=link0",
            "--table-dir", directories["table"], "--telemetry-dir", directories["telemetry"],
            "--state-dir", directories["state"]])

    def twampy(self, *arguments):
        return self.net.prefix("far") + ["env", f"PYTHONPATH={TWAMPY}/src", namespaces.PYTHON, "-m", "twampy",
                                         *arguments]

    def link(self):
        """None until the data plane serves its table."""
        snapshot = self.telemetry.read()
        return snapshot and snapshot.link("a")

    def test_their_sender_our_reflector(self):
        lab_case.wait_for("the data plane serves its table", self.link)
        done = subprocess.run(self.twampy("sender", "172.31.9.1:862", "172.31.9.2:20001", "--padding", "30",
                                          "--count", "30", "--interval", "100"),
                              capture_output=True, text=True, timeout=60, check=False)
        print(done.stdout)
        roundtrip = re.search(r"Roundtrip:.*?([\d.]+)%", done.stdout)
        self.assertTrue(roundtrip, done.stdout + done.stderr)
        self.assertEqual(float(roundtrip.group(1)), 0.0)
        self.assertGreaterEqual(self.link().reflected, 30)

    def test_our_sender_their_reflector(self):
        self.processes.start("twampy", self.twampy("responder", "172.31.9.2:862", "--padding", "0"))
        lab_case.wait_for("the link is up", lambda: self.link() and self.link().state == "up")
        lab_case.wait_for("100 replies", lambda: self.link().received >= 100)
        link = self.link()
        self.assertEqual(link.invalid, 0)
        lab_case.wait_for("a measured round trip", lambda: self.link().window)


if __name__ == "__main__":
    if not os.path.isdir(os.path.join(TWAMPY, "src", "twampy")):
        print("skipped: $TWAMPY names no checkout of github.com/nokia/twampy")
        sys.exit(lab_case.SKIPPED)
    lab_case.main()
