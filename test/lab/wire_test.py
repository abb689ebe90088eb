"""The delay line alone, between two kernels: delay, order, loss, cut, carrier, refusals."""

import json
import os
import shutil
import unittest

import lab_case
import namespaces
import process
import rundir
import wire

# Sends `count` numbered datagrams and prints what came back as [number, round trip in ms].
PING = """
import json, socket, sys, time
count, wait = int(sys.argv[1]), float(sys.argv[2])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.9.0.1", 0)); s.settimeout(wait)
sent = {}
for n in range(count):
    sent[n] = time.monotonic(); s.sendto(str(n).encode(), ("10.9.0.2", 7))
got = []
try:
    while len(got) < count:
        n = int(s.recv(100)); got.append([n, (time.monotonic() - sent[n]) * 1000])
except TimeoutError:
    pass
print(json.dumps(got))
"""
ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.9.0.2", 7)); print("ready", flush=True)
while True:
    data, peer = s.recvfrom(2000); s.sendto(data, peer)
"""


class WireTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.run_dir = lab_case.RUN_DIR + "-wire"
        cls.processes = process.Processes(cls.run_dir)
        cls.clean()
        rundir.create(cls.run_dir)
        cls.addClassCleanup(cls.clean)
        cls.spaces = namespaces.Namespaces(cls.run_dir, cls.processes)
        cls.spaces.create(["left", "right", "wire"])
        for name in ("left", "right", "wire"):
            cls.spaces.quiet(name)
        cls.spaces.connect([("left", "eth0", "wire", "l"), ("right", "eth0", "wire", "r")])
        for name, address in (("left", "10.9.0.1/24"), ("right", "10.9.0.2/24")):
            cls.spaces.run(name, ["ip", "-batch", "-"],
                           f"link set dev eth0 up\naddress add {address} dev eth0\n")
        cls.spaces.run("wire", ["ip", "-batch", "-"], "link set dev l up\nlink set dev r up\n")
        socket_path = os.path.join(cls.run_dir, "wire.sock")
        cls.processes.start("wire", cls.spaces.prefix("wire") + [
            os.path.join(lab_case.BUILD_DIR, "bin", "delay_line"), "--control", socket_path,
            "--link", "road,l,r,2"])
        cls.processes.start("echo", cls.spaces.prefix("right") + [namespaces.PYTHON, "-c", ECHO])
        for name in ("wire", "echo"):
            cls.processes.wait_ready(name)
        cls.wire = wire.Wire(socket_path)

    @classmethod
    def clean(cls):
        cls.processes.stop_all()
        shutil.rmtree(cls.run_dir, ignore_errors=True)

    def setUp(self):
        self.wire.restore("road")

    def ping(self, count, wait=2.0):
        command = [namespaces.PYTHON, "-c", PING, str(count), str(wait)]
        return json.loads(self.spaces.run("left", command).stdout)

    def test_delays_each_way_and_keeps_the_order(self):
        for delay in (2, 30):
            self.wire.delay("road", delay)
            replies = self.ping(50)
            self.assertEqual([number for number, _ in replies], list(range(50)))
            self.assertGreaterEqual(min(ms for _, ms in replies), 2 * delay - 0.2)

    def test_a_shorter_delay_does_not_overtake(self):
        self.assertEqual(len(self.ping(1)), 1)  # addresses are resolved: the kernel queues few without
        self.wire.delay("road", 200)
        sender = process.Processes(self.run_dir)
        command = self.spaces.prefix("left") + [namespaces.PYTHON, "-c", PING, "150", "3"]
        sender.start("ping", command)
        lab_case.wait_for("frames queued", lambda: self.wire.status()["road"]["a_to_b"]["queued"] >= 50)
        self.wire.delay("road", 1)
        lab_case.wait_for("the pinger ended", lambda: not sender.pid("ping"))
        replies = json.loads(sender.log_tail("ping"))
        sender.stop("ping")
        self.assertEqual([number for number, _ in replies], list(range(150)))

    def test_loses_its_share(self):
        self.wire.loss("road", 100)
        self.assertEqual(self.ping(10, wait=0.3), [])
        self.assertGreaterEqual(self.wire.status()["road"]["a_to_b"]["lost"], 10)
        self.wire.loss("road", 20)  # each way: 64 % come back; 400 give 256, deviation 10
        self.assertTrue(180 < len(self.ping(400, wait=1.0)) < 330)

    def test_a_cut_is_silent_and_takes_what_is_in_flight(self):
        self.wire.cut("road")
        self.assertEqual(self.ping(10, wait=0.3), [])
        status = self.wire.status()["road"]
        self.assertTrue(status["cut"])
        self.assertEqual(status["a_to_b"]["queued"], 0)
        port = self.spaces.run("left", ["ip", "-json", "link", "show", "dev", "eth0"]).stdout
        self.assertIn("LOWER_UP", json.loads(port)[0]["flags"])
        self.wire.restore("road")
        self.assertEqual(len(self.ping(10)), 10)

    def test_survives_its_interface_going_down(self):
        self.spaces.run("wire", ["ip", "link", "set", "dev", "r", "down"])
        self.assertEqual(self.ping(5, wait=0.3), [])
        self.spaces.run("wire", ["ip", "link", "set", "dev", "r", "up"])
        lab_case.wait_for("frames cross again", lambda: len(self.ping(3, wait=0.3)) == 3)

    def test_refuses_what_it_cannot_do(self):
        for command, reason in (("delay road -1", "0 to 10000"), ("delay road 5x", "0 to 10000"),
                                ("loss road 101", "0 to 100"), ("cut nowhere", "no link is named 'nowhere'"),
                                ("jump road", "commands are"), ("cut road now please", "too many words")):
            with self.assertRaisesRegex(wire.WireError, reason, msg=command):
                self.wire.ask(command)


if __name__ == "__main__":
    lab_case.main()
