"""What scripts/bench router measures: the endpoint alone and every proxy before it, each with one thread on one core.

All of them run in one network namespace, on its loopback; the proxies on CPU 0, load and endpoint on CPU 1.
"""

import hashlib
import os
import subprocess
import time
import urllib.request

SCRATCH = "/run/bench"
ENDPOINT = "10.9.0.1"  # on the loopback device; no policy takes 127.0.0.1 for an endpoint
ENDPOINT_PORT = 9000
PROXY_CPU, LOAD_CPU = 0, 1
SOCKETS = 50_000  # open at once, on either side of a proxy
KEY = "bench.0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
MODEL_LIMIT = 1_000_000_000  # a minute: never reached


def write(name, text):
    path = os.path.join(SCRATCH, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o600)
    return path


def start(command, cpu, **more):
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(cpu)] + command,
                            stdout=more.get("stdout", subprocess.DEVNULL), stderr=more.get("stderr", subprocess.DEVNULL),
                            stdin=more.get("stdin", subprocess.DEVNULL), text=True, env=os.environ | {"BENCH_KEY": KEY})


def cpu_us(pid):
    """CPU time of all threads of a running program, to the nanosecond."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e3


def memory_kb(pid):
    """Resident memory of its own, shared pages by their share."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def certificate():
    """ECDSA P-256, which all of them get."""
    key, chain = os.path.join(SCRATCH, "key.pem"), os.path.join(SCRATCH, "chain.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", "/CN=api.local", "-addext", "subjectAltName=DNS:api.local", "-days", "30", "-keyout", key,
                    "-out", chain], check=True, capture_output=True)
    with open(chain, encoding="ascii") as a, open(key, encoding="ascii") as b:
        write("both.pem", a.read() + b.read())


class Direct:
    name, address, port, tls_port, headers = "direct", ENDPOINT, ENDPOINT_PORT, None, {}

    def start(self):
        pass

    def stop(self):
        pass

    def serves(self, _row):
        return True

    def settle(self):
        pass

    @property
    def pid(self):
        return None


class Proxy:
    address, headers = "127.0.0.1", {}  # headers: what it must be told with each request

    def __init__(self, port):
        self.port, self.tls_port = port, port + 1
        self.process, self.log = None, None

    def start(self):
        os.makedirs(self.directory, exist_ok=True)
        self.log = open(os.path.join(self.directory, "out"), "w", encoding="utf-8")
        self.process = start(self.command(), PROXY_CPU, stdout=self.log, stderr=self.log)
        for _ in range(300):
            if self.answers():
                return
            time.sleep(0.1)
        with open(os.path.join(self.directory, "out"), encoding="utf-8") as file:
            raise RuntimeError(f"{self.name} does not answer: {file.read()[-2000:]}")

    def answers(self):
        request = urllib.request.Request(f"http://{self.address}:{self.port}/v1/chat/completions", b'{"model":"m"}',
                                         {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"} |
                                         self.headers)
        try:
            with urllib.request.urlopen(request, timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def serves(self, _row):
        return True

    def settle(self):
        """Until nothing is left to do of what its clients have given up: none of these goes on."""

    @property
    def directory(self):
        return os.path.join(SCRATCH, str(self.port))

    @property
    def pid(self):
        return self.process.pid


class Nginx(Proxy):
    name = "nginx"

    def command(self):
        temp = " ".join(f"{kind}_temp_path {self.directory};" for kind in
                        ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        path = write("nginx.conf", f"""daemon off; master_process off; pid {SCRATCH}/nginx.pid; error_log /dev/null;
worker_rlimit_nofile 20000; events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 75s; tcp_nodelay on; {temp}
  client_max_body_size 32m; client_body_buffer_size 1m;
  upstream e {{ server {ENDPOINT}:{ENDPOINT_PORT}; keepalive 1024; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{self.port} backlog=4096; listen 127.0.0.1:{self.tls_port} ssl backlog=4096;
    ssl_certificate {SCRATCH}/chain.pem; ssl_certificate_key {SCRATCH}/key.pem; ssl_protocols TLSv1.2 TLSv1.3;
    location / {{ proxy_pass http://e; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; proxy_buffering off; proxy_read_timeout 300s; }} }} }}
""")
        return ["nginx", "-p", SCRATCH, "-e", "/dev/null", "-c", path]


class Haproxy(Proxy):
    def __init__(self, port, logs):
        super().__init__(port)
        self.name, self.logs = "haproxy, log" if logs else "haproxy", logs

    def serves(self, row):
        return not self.logs or row == "json"  # a log makes a difference to requests alone

    def command(self):
        # One line a request, to a file, as ours.
        log = ("log stdout format raw local0", "log global\n  option httplog") if self.logs else ("", "no log")
        path = write(f"haproxy-{self.port}.cfg", f"""global
  maxconn 8000
  nbthread 1
  {log[0]}
defaults
  mode http
  {log[1]}
  timeout connect 2s
  timeout client 300s
  timeout server 300s
  option http-keep-alive
  option http-no-delay
  http-reuse safe
frontend f
  bind 127.0.0.1:{self.port} backlog 4096
  bind 127.0.0.1:{self.tls_port} ssl crt {SCRATCH}/both.pem alpn http/1.1 backlog 4096
  default_backend b
backend b
  server e {ENDPOINT}:{ENDPOINT_PORT} maxconn 4000 pool-max-conn 1024
""")
        return ["haproxy", "-db", "-f", path]


class Perigee(Proxy):
    def __init__(self, port, build_dir, everything, endpoint_port=ENDPOINT_PORT):
        super().__init__(port)
        self.endpoint_port = endpoint_port
        self.name = "Perigee, all on" if everything else "Perigee"
        self.program, self.everything = os.path.join(build_dir, "bin", "perigee-gateway"), everything

    def metrics(self):
        """The value of each series."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port + 2}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}

    def in_flight(self):
        return sum(value for name, value in self.metrics().items() if name.startswith("perigee_router_in_flight"))

    def command(self):
        for name in ("table", "telemetry"):
            os.makedirs(os.path.join(self.directory, name), mode=0o755, exist_ok=True)
        secret = hashlib.sha256(KEY.split(".")[1].encode()).hexdigest()
        keys = write(f"keys-{self.port}.yaml", f"""keys:
  bench: {{sha256: {secret}, tenant: bench, rpm: {MODEL_LIMIT}, tpm: {MODEL_LIMIT}, concurrency: 100000}}
""")
        policy = write(f"policy-{self.port}.yaml", f"""version: 1
pop: here
pops: {{here: {{prefixes: [10.9.0.0/24]}}}}
interfaces: {{local: {{port: local0, address: 10.9.0.2/24}}}}
health: {{type: none}}
endpoints:
  e: {{pop: here, address: {ENDPOINT}:{self.endpoint_port}}}
listeners:
  plain: {{address: 127.0.0.1:{self.port}, limits: {{connections: {SOCKETS}, connections_per_source: {SOCKETS}}}}}
  secure:
    address: 127.0.0.1:{self.tls_port}
    limits: {{connections: {SOCKETS}, connections_per_source: {SOCKETS}}}
    tls: {{certificates: [{{chain: {SCRATCH}/chain.pem, key: {SCRATCH}/key.pem}}]}}
services:
  ai:
    mode: route
    listeners: [plain, secure]
    require_key: {str(self.everything).lower()}
    models: {{m: {{endpoints: [e], timeouts: {{idle: 10m}}}}}}
router: {{threads: 1, access_log: {self.directory + "/access.log" if self.everything else "none"}}}
{f"keys: {{file: {keys}}}" if self.everything else ""}
admin: {{listen: "127.0.0.1:{self.port + 2}", socket: {self.directory}/admin.sock}}
""")
        return [self.program, "--policy", policy, "--table-dir", f"{self.directory}/table", "--telemetry-dir",
                f"{self.directory}/telemetry", "--log-level", "warning"]


class AiGateway(Proxy):
    """The AI gateway of npm that is pinned in ai_gateway/: one process of node."""
    name = "AI gateway"
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"http://{ENDPOINT}:{ENDPOINT_PORT}/v1"}

    def __init__(self, port, packages):
        super().__init__(port)
        self.program = os.path.join(packages, "node_modules", "@portkey-ai", "gateway", "build", "start-server.js")

    def serves(self, row):
        return row not in ("json-tls", "full", "resumed", "memory-tls")  # it has no TLS

    def start(self):
        super().start()
        for _ in range(300):  # its compiler needs to have seen some
            self.answers()

    def settle(self):
        """It goes on with what clients have given up, on the CPU of the others."""
        for _ in range(100):
            before = cpu_us(self.pid)
            time.sleep(0.2)
            if cpu_us(self.pid) - before < 20_000:
                return

    def command(self):
        return ["env", "NODE_ENV=production", f"TRUSTED_CUSTOM_HOSTS={ENDPOINT}", "node", self.program,
                f"--port={self.port}", "--headless"]
