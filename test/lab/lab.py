"""The lab: three PoPs, their links, a client, a gateway and endpoints, in network namespaces of this machine.
Bringing it up, taking it down, and breaking it."""

import json
import os
import shutil
import signal
import time

import certificate
import namespaces
import process
import rundir
import telemetry
import topology
import wire

DRIVERS = ("af_packet", "af_xdp")
FLOWS = 65536  # capacity of each data plane's flow table: 4 MB
MEMORY_MB = 128  # packet buffers of each data plane

# What gentle policies say instead: a starved process is not taken for a dead one.
GENTLE = (("detect: 3", "detect: 20"), ("interval: 500ms, timeout: 500ms", "interval: 2s, timeout: 2s"))


class LabError(Exception):
    pass


class Lab:
    def __init__(self, run=None, build_dir=None, driver="af_packet", gentle=False):
        """`gentle`: with bounds that a slow machine can keep, see GENTLE."""
        self.run = run or rundir.default()
        self.build_dir = os.path.abspath(build_dir or os.path.join(rundir.SOURCE_DIR, "build", "release"))
        self.driver = driver
        self.gentle = gentle
        self.processes = process.Processes(self.run)
        if self.is_up():
            self._recall()
        self.spaces = namespaces.Namespaces(self.run, self.processes)
        self.wire = wire.Wire(self._path("wire.sock"))

    def _recall(self):
        """A lab that is up knows its own build directory and driver."""
        with open(self._path("lab.json"), encoding="utf-8") as file:
            known = json.load(file)
        self.build_dir, self.driver = known["build_dir"], known["driver"]

    def _path(self, *parts):
        return os.path.join(self.run, *parts)

    def program(self, name):
        path = os.path.join(self.build_dir, "bin", name)
        if not os.access(path, os.X_OK):
            raise LabError(f"{path} is not built; scripts/build makes it, --build-dir names another place")
        return path

    def is_up(self):
        return self.processes.pid("holder") is not None

    # Up and down.

    def up(self):
        """Everything, until every link is up and the gateway's table is in force."""
        namespaces.check_support()
        if self.is_up():
            raise LabError(f"a lab is already up in {self.run}; scripts/lab down ends it")
        if self.driver == "af_xdp" and os.geteuid() != 0:
            raise LabError("--driver af_xdp loads BPF and needs root")
        for name in ("delay_line", "endpoint_simulator", "perigee", "perigee-dataplane", "perigee-gateway"):
            self.program(name)
        self.down()  # what a lab that died has left
        rundir.create(self.run)
        with open(self._path("lab.json"), "w", encoding="utf-8") as file:
            json.dump({"build_dir": self.build_dir, "driver": self.driver}, file)
        try:
            self._build_network()
            self._start_wire()
            for endpoint in topology.ENDPOINTS:
                self.start_endpoint(endpoint.name)
            self._write_policies()
            certificate.make(self.certificate, self._path("front.key"), topology.ROUTED_NAME)
            for pop in topology.POPS:
                self.start_dataplane(pop)
            self.start_gateway()
            self.wait_settled()
        except BaseException:
            self.down(keep_logs=True)
            raise

    def down(self, keep_logs=False):
        """Ends exactly the processes of this lab, whatever is left of it. Kept logs go to failed_logs."""
        was = self.processes.stop_all()
        if keep_logs and os.path.isdir(self.processes.logs):
            shutil.rmtree(self.failed_logs, ignore_errors=True)
            shutil.copytree(self.processes.logs, self.failed_logs)
        shutil.rmtree(self.run, ignore_errors=True)
        return was

    @property
    def failed_logs(self):
        return self.run + ".failed-logs"

    def _build_network(self):
        self.spaces.create(topology.NAMESPACES)
        for name in topology.NAMESPACES:
            self.spaces.quiet(name)
        self.spaces.connect(topology.veths())
        for name, lines in topology.ip_commands().items():
            self.spaces.run(name, ["ip", "-batch", "-"], "\n".join(lines) + "\n")

    def _start_wire(self):
        # What clients cause, and what the gateway sends itself: routed requests and health checks.
        command = [self.program("delay_line"), "--control", self.wire.path, "--watch", topology.SNAT_ADDRESS,
                   "--watch", topology.GATEWAY_ADDRESS]
        for link in topology.LINKS:
            command += ["--link", f"{link.name},{link.wire_port(link.a)},{link.wire_port(link.b)},{link.delay_ms}"]
        self.processes.start("wire", self.spaces.prefix("wire") + command)
        self.processes.wait_ready("wire")

    def policy_path(self, pop=topology.GATEWAY_POP):
        return self._path("policy", f"{pop}.yaml")

    def _write_policies(self):
        """Copies of config/lab, in which the run directory is the lab's."""
        os.makedirs(self._path("policy"), mode=0o700)
        for pop in topology.POPS:
            with open(os.path.join(rundir.SOURCE_DIR, "config", "lab", f"{pop}.yaml"), encoding="utf-8") as file:
                text = file.read().replace("/run/perigee/", self._path(""))
            for old, new in GENTLE if self.gentle else ():
                text = text.replace(old, new)
            with open(self.policy_path(pop), "w", encoding="utf-8") as file:
                file.write(text)

    @property
    def admin_socket(self):
        return self._path("admin.sock")

    @property
    def certificate(self):
        """Of the routed service; clients trust it as it is."""
        return self._path("front.pem")

    @property
    def access_log(self):
        return self._path("access.log")

    def wait_settled(self, patience=60.0):
        """Every data plane serves a table, every link is up at both ends, and the gateway, if it runs, finds
        every endpoint healthy."""
        deadline = time.monotonic() + patience
        while True:
            missing = self._unsettled()
            if not missing:
                return
            for name in self.processes.names():
                if not self.processes.pid(name):
                    raise LabError(f"{name} died; it said:\n{self.processes.log_tail(name)}")
            if time.monotonic() > deadline:
                raise LabError("the lab did not settle: " + "; ".join(missing))
            time.sleep(0.05)

    def _unsettled(self):
        missing = []
        for pop in topology.POPS:
            snapshot = self.telemetry(pop)
            if snapshot is None:
                missing.append(f"{pop}: no live data plane")
            elif snapshot.in_force() is None:
                missing.append(f"{pop}: no table in force")
            else:
                for link in topology.LINKS:
                    state = snapshot.link(link.name).state if snapshot.link(link.name) else "absent"
                    if pop in (link.a, link.b) and state != "up":
                        missing.append(f"{pop}: {link.name} is {state}")
        if not missing and self.processes.pid("gateway"):
            healthy = [name for name, value in self.metrics().items()
                       if name.startswith("perigee_endpoint_healthy{") and value == 1]
            if len(healthy) < len(topology.ENDPOINTS):
                missing.append(f"{len(healthy)} of {len(topology.ENDPOINTS)} endpoints are healthy")
        return missing

    # Looking at it.

    def telemetry(self, pop=topology.GATEWAY_POP):
        return telemetry.Telemetry(self._path(pop, "telemetry")).read()

    def execute(self, name, command):
        """Runs `command` in the namespace; its CompletedProcess, output as text."""
        return self.spaces.run(name, command, check=False)

    def perigee(self, *arguments):
        """The command line, beside the gateway."""
        return self.execute("gateway", [self.program("perigee"), *arguments])

    def metrics(self):
        """The gateway's, as {name and labels as they are written: value}; empty when it does not answer."""
        text = self.execute("gateway", ["curl", "-s", "-m", "10", "http://127.0.0.1:8620/metrics"]).stdout
        lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    # Links.

    def _pops_of(self, name):
        link = topology.link(name)
        return [link.wire_port(link.a), link.wire_port(link.b)]

    def cut(self, link, carrier=False):
        """Silently, or with the ports' carrier at both ends; when it was done, CLOCK_MONOTONIC ns."""
        ports = self._pops_of(link)
        when = self.wire.cut(link)
        if carrier:
            self._set_ports(ports, "down")
        return when

    def restore(self, link):
        """As it was at the start: whole, its first delay, no loss."""
        self._set_ports(self._pops_of(link), "up")
        return self.wire.restore(link)

    def _set_ports(self, ports, state):
        lines = "".join(f"link set dev {port} {state}\n" for port in ports)
        self.spaces.run("wire", ["ip", "-batch", "-"], lines)

    # Programs.

    def start_endpoint(self, name):
        endpoint = topology.endpoint(name)
        self._set_ports([endpoint.wire_port], "up")
        command = [self.program("endpoint_simulator"), "--name", name, "--address", endpoint.address, "--port",
                   str(topology.ENDPOINT_PORT)]
        self.processes.start(f"endpoint-{name}", self.spaces.prefix(name) + command)
        self.processes.wait_ready(f"endpoint-{name}")

    def pace(self, name, **changes):
        """Of the endpoint's engine, from now on: slots, prefill and rate (tokens a second)."""
        url = f"http://{topology.endpoint(name).address}:{topology.ENDPOINT_PORT}/pace"
        self.spaces.run(name, ["curl", "-sSf", "-m", "10", "-X", "PUT", "-d", json.dumps(changes), url])

    def kill_endpoint(self, name, silent=False):
        """Its process; silent: first its wire, so that no FIN, RST or ICMP gets out, as when a host dies."""
        endpoint = topology.endpoint(name)
        if silent:
            self._set_ports([endpoint.wire_port], "down")
        return self.processes.stop(f"endpoint-{name}", signal.SIGKILL)

    def dataplane_command(self, pop):
        command = [self.program("perigee-dataplane"), "--no-huge", "--memory", str(MEMORY_MB), "--flows",
                   str(FLOWS)]
        for index, (port, role) in enumerate(topology.PORTS[pop]):
            device = f"net_{self.driver}{index},iface={port}"
            if self.driver == "af_packet":
                device += ",framesz=2048,blocksz=65536,framecnt=2048"
            command += ["--port", f"{port}={role},{device}"]
        for kind in ("table", "telemetry", "state"):
            command += [f"--{kind}-dir", self._path(pop, kind)]
        return command

    def start_dataplane(self, pop, *options):
        """With more options of perigee-dataplane than the lab's own."""
        if pop not in topology.POPS:
            raise KeyError(f"no PoP is named '{pop}'; there are {', '.join(topology.POPS)}")
        for kind in ("table", "telemetry", "state"):
            os.makedirs(self._path(pop, kind), mode=0o700, exist_ok=True)
        if pop != topology.GATEWAY_POP:
            done = self.perigee("compile", self.policy_path(pop), "--pop", pop, "--table-dir",
                                self._path(pop, "table"))
            if done.returncode != 0:
                raise LabError(f"perigee compile for {pop}: {done.stderr.strip()}")
        self.processes.start(f"dataplane-{pop}", self.spaces.prefix(pop) +
                             self.dataplane_command(pop) + list(options))

    def kill_dataplane(self, pop):
        return self.processes.stop(f"dataplane-{pop}", signal.SIGKILL)

    def start_gateway(self):
        command = [self.program("perigee-gateway"), "--policy", self.policy_path(), "--table-dir",
                   self._path(topology.GATEWAY_POP, "table"), "--telemetry-dir",
                   self._path(topology.GATEWAY_POP, "telemetry")]
        self.processes.start("gateway", self.spaces.prefix("gateway") + command)

    def kill_gateway(self):
        return self.processes.stop("gateway", signal.SIGKILL)
