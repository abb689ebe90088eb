"""One PoP between a client and three endpoints, in namespaces of its own:

    client 198.51.100.10 --- box --- ep1 10.2.1.1/30, ep2 10.2.2.1/30, ep3 10.2.3.1/30

The box is either this host's kernel (addresses on its devices) or a Perigee data plane (none). All offloads are off
everywhere, so that all of them see the same frames.
"""

import ctypes
import os
import subprocess
import time

VIP = "203.0.113.10"
ENDPOINTS = 3
SCRATCH = "/run/bench"


def sh(command):
    done = subprocess.run(command, shell=True, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stderr}{done.stdout}")


def leave_nothing_behind():
    """From here on /run is this process's own: the namespaces named there and our files go when it ends, however it
    ends; what start() starts dies with it."""
    if ctypes.CDLL(None, use_errno=True).unshare(0x20000) != 0:  # CLONE_NEWNS
        raise OSError(ctypes.get_errno(), "no mount namespace; are you root?")
    sh(f"mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir /run/netns {SCRATCH}")


class Topology:
    def __init__(self, tag, kernel):
        self.tag = tag
        self.kernel = kernel
        self.processes = []

    def ns(self, name):
        return f"{self.tag}-{name}"

    def up(self):
        names = ["client", "box"] + [f"ep{i}" for i in range(1, ENDPOINTS + 1)]
        for name in names:
            sh(f"ip netns add {self.ns(name)}")
            sh(f"ip netns exec {self.ns(name)} sysctl -qw net.ipv6.conf.all.disable_ipv6=1 "
               "net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 "
               "net.ipv4.ip_local_port_range='1024 65000'")
            sh(f"ip -n {self.ns(name)} link set dev lo up")
        self.join("client", "198.51.100.10/24", "edge0", "198.51.100.1/24")
        for i in range(1, ENDPOINTS + 1):
            self.join(f"ep{i}", f"10.2.{i}.1/30", f"local{i}", f"10.2.{i}.2/30")
            self.start(f"ep{i}", nginx_endpoint(self, i))
        if self.kernel:
            sh(f"ip netns exec {self.ns('box')} sysctl -qw net.ipv4.ip_forward=1")
            sh(f"ip -n {self.ns('box')} addr add {VIP}/32 dev lo")
        time.sleep(0.5)

    def join(self, name, address, device, box_address):
        sh(f"ip -n {self.ns(name)} link add eth0 type veth peer name {device} netns {self.ns('box')}")
        sh(f"ip -n {self.ns(name)} addr add {address} dev eth0")
        for where, dev in ((name, "eth0"), ("box", device)):
            sh(f"ip netns exec {self.ns(where)} ethtool -K {dev} tx off tso off gso off gro off")
            sh(f"ip -n {self.ns(where)} link set dev {dev} up")
        if self.kernel:
            sh(f"ip -n {self.ns('box')} addr add {box_address} dev {device}")
        sh(f"ip -n {self.ns(name)} route add default via {box_address.split('/')[0]}")

    def start(self, name, command, cpu=None):
        pin = ["taskset", "-c", str(cpu)] if cpu is not None else []
        process = subprocess.Popen(["ip", "netns", "exec", self.ns(name), "setpriv", "--pdeathsig", "KILL"] + pin + command,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def run(self, name, command, timeout=60):
        return subprocess.run(["ip", "netns", "exec", self.ns(name)] + command, capture_output=True, text=True,
                              timeout=timeout, check=False)

    def stop(self, process):
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.processes.remove(process)

    def down(self):
        for process in list(self.processes):
            self.stop(process)
        for name in ["client", "box"] + [f"ep{i}" for i in range(1, ENDPOINTS + 1)]:
            subprocess.run(["ip", "netns", "del", self.ns(name)], check=False)


def write(name, text):
    path = os.path.join(SCRATCH, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def nginx(name, text):
    path = write(name + ".conf", f"""daemon off; master_process off; pid {SCRATCH}/{name}.pid; error_log /dev/null;
worker_rlimit_nofile 20000; {text}""")
    return ["nginx", "-p", SCRATCH, "-e", "/dev/null", "-c", path]


def nginx_endpoint(topology, i):
    temp = " ".join(f"{kind}_temp_path {SCRATCH};" for kind in
                    ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return nginx(f"{topology.tag}-ep{i}", f"""events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; tcp_nodelay on; {temp}
  server {{ listen 8000 backlog=4096; location / {{ default_type application/json;
    return 200 '{{"id":"x","object":"chat.completion","choices":[]}}'; }} }} }}""")


class Dataplane:
    """A data plane in a topology's box, serving a table compiled from a policy without a gateway."""

    def __init__(self, topology, build_dir, driver, busy=False, cpu=1):
        self.topology, self.driver = topology, driver
        self.bin = os.path.join(build_dir, "bin")
        self.run_dir = os.path.join(SCRATCH, f"{topology.tag}-{driver}")
        for name in ("table", "telemetry", "state"):
            os.makedirs(os.path.join(self.run_dir, name), mode=0o755, exist_ok=True)
        self.busy, self.cpu = busy, cpu

    def start(self):
        policy = write(f"{self.topology.tag}.yaml", POLICY)
        done = subprocess.run([f"{self.bin}/perigee", "compile", policy, "--pop", "here", "--table-dir",
                               f"{self.run_dir}/table"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr + done.stdout)
        command = [f"{self.bin}/perigee-dataplane", "--no-huge", "--lcore", str(self.cpu), "--memory", "512",
                   "--table-dir", f"{self.run_dir}/table", "--telemetry-dir", f"{self.run_dir}/telemetry",
                   "--state-dir", f"{self.run_dir}/state"] + (["--busy"] if self.busy else [])
        for index, (name, role) in enumerate([("edge0", "edge")] +
                                             [(f"local{i}", "edge") for i in range(1, ENDPOINTS + 1)]):
            command += ["--port", f"{name}={role},net_{self.driver}{index},iface={name}"]
        process = self.topology.start("box", command)
        for _ in range(100):
            answer = self.topology.run("client", ["curl", "-s", "-m", "1", "-o", "/dev/null", "-w", "%{http_code}",
                                                  f"http://{VIP}:8000/"])
            if answer.stdout == "200":
                return process
            time.sleep(0.1)
        raise RuntimeError(f"the data plane over {self.driver} does not forward")

POLICY = f"""version: 1
pop: here
pops: {{here: {{prefixes: [10.2.0.0/16]}}}}
interfaces:
  edge: {{port: edge0, address: 198.51.100.1/24}}
  local1: {{port: local1, address: 10.2.1.2/30}}
  local2: {{port: local2, address: 10.2.2.2/30}}
  local3: {{port: local3, address: 10.2.3.2/30}}
snat: {{addresses: [10.2.255.1, 10.2.255.2], client_share: 100%}}
health: {{type: none}}
endpoints:
  ep1: {{pop: here, address: 10.2.1.1:8000}}
  ep2: {{pop: here, address: 10.2.2.1:8000}}
  ep3: {{pop: here, address: 10.2.3.1:8000}}
services:
  chat: {{vip: {VIP}:8000, protocol: tcp, mode: forward, endpoints: [ep1, ep2, ep3]}}
"""
