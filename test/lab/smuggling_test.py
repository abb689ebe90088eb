"""Every vector of test/vectors/http as raw octets to the gateway, to nginx and to a server of node, each a process of
its own: what the gateway refuses it forwards nothing of, and what it takes is one request, the same for all who take
it. The table at the end says where the three disagree."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import rundir

VECTORS = os.path.join(rundir.SOURCE_DIR, "test", "vectors", "http")
BUILD_DIR = os.environ.get("PERIGEE_BUILD_DIR", os.path.join(rundir.SOURCE_DIR, "build", "dev"))
SKIPPED = 77  # what CTest takes as "skipped"
INSIDE = "PERIGEE_SMUGGLING_INSIDE"
BACKEND = "10.9.0.1"  # on the loopback interface of our own network namespace
PATIENCE_S = 60.0     # for what must come
QUIET_S = 0.05        # nothing more comes
SILENT_S = 0.7        # nothing comes at all

# What the gateway answers itself.
ANSWERED_HERE = {"ok_get"}
# An answer only begins.
WITHOUT_END = {"response_ok_interim"}
# The disagreements that are known, of nginx 1.22 and node 20. Refused by the gateway, one request for...
BOTH_TAKE = """
    absolute_form chunk_extension_long chunk_extensions_many chunk_size_leading_zeros connection_not_token
    connection_upgrade_alone dot_dot dot_dot_last dot_segment double_slash double_slash_first empty_line_first
    encoded_backslash encoded_dot_dot encoded_slash_lower encoded_slash_upper host_with_user no_version
    percent_percent target_backslash target_fragment too_many_fields two_content_types two_spaces upgrade_h2c
    upgrade_websocket
""".split()
NGINX_TAKES = """
    bare_lf_at_end bare_lf_everywhere chunk_end_lf chunk_extension_lf chunk_last_lf chunk_size_lf
    chunk_size_space chunk_trailer_fold chunk_trailer_lf chunk_trailer_long chunk_trailer_name control_in_value
    delete_in_value expect_other head_without_end name_with_octet no_colon target_high_octet
    trailing_space_after_version version_1_2
""".split()
NODE_TAKES = """
    absolute_form_other_scheme asterisk_form host_empty host_list host_with_path percent_cut percent_not_hex
    percent_nul te_empty te_gzip te_on_1_0 te_twice_differ trace two_authorizations two_hosts two_hosts_same
""".split()
# Taken by the gateway, refused by...
REFUSED_BY = {"ok_chunked": {"node"}, "ok_white_space": {"nginx", "node"}}
FOLLOWER = b'POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 19\r\n\r\n{"model":"m","n":2}'


def unescaped(text):
    """The octets that a vector's text stands for; test/router/http_vectors.h says how it is written."""
    def one(match):
        escape = match.group(0)
        if escape[1:2] == b"(":
            return unescaped(match.group(2)) * int(match.group(1))
        if escape[1:2] == b"x":
            return bytes([int(escape[2:], 16)])
        return {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"\\": b"\\"}[escape[1:]]
    return re.sub(rb"\\(?:\((\d+):((?:\\.|[^)\\])*)\)|x[0-9a-f]{2}|.)", one, text, flags=re.S)


def vectors(kind):
    found = []
    for name in sorted(os.listdir(VECTORS)):
        with open(os.path.join(VECTORS, name), "rb") as file:
            text = re.sub(rb"\A(#[^\n]*\n)+", b"", file.read())
        what, _, octets = text.partition(b"\n")
        if what.startswith(kind.encode()):
            found.append((name.removesuffix(".txt"), what.split()[1].decode(), unescaped(octets)))
    return found


def take_request(buffer):
    """(method, target, body) and the rest, as the strictest reader has it; None: not whole."""
    head, found, rest = buffer.partition(b"\r\n\r\n")
    if not found:
        return None
    lines = head.split(b"\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
    method, target, _ = lines[0].split(b" ")
    if b"transfer-encoding" not in fields:
        length = int(fields.get(b"content-length", b"0"))
        return None if len(rest) < length else ((method, target, rest[:length]), rest[length:])
    body = b""
    while True:
        size, found, rest = rest.partition(b"\r\n")
        if not found or len(rest) < int(size, 16) + 2:
            return None
        body, rest = body + rest[:int(size, 16)], rest[int(size, 16) + 2:]
        if int(size, 16) == 0:
            return (method, target, body), rest


class Backend:
    """Keeps what it is asked, and answers it with `answer`, or well."""

    def __init__(self, address):
        self.seen = []
        self.answer = None  # octets, after which it closes
        self.listener = socket.create_server((address, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        buffer = b""
        with connection:
            while True:
                try:
                    more = connection.recv(65536)
                    buffer += more
                    while (taken := take_request(buffer)) is not None:
                        self.seen.append(taken[0])
                        buffer = taken[1]
                        connection.sendall(self.answer or b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                                          b"Content-Length: 2\r\n\r\n{}")
                        if self.answer:
                            return
                except (OSError, ValueError) as broken:
                    self.seen.append(("malformed", repr(broken), buffer))
                    return
                if not more:
                    return

    def taken(self, _answered=0):
        """What was seen since the last call."""
        seen, self.seen = self.seen, []
        return seen


class Node:
    """A server of node, which says on its standard output what it saw."""

    PROGRAM = """
        const server = require('http').createServer((request, response) => {
          let body = '';
          request.setEncoding('latin1').on('data', part => body += part).on('end', () => {
            process.stdout.write(JSON.stringify([request.method, request.url, body]) + '\\n');
            response.end('{}');
          });
        }).listen(0, '127.0.0.1', () => process.stdout.write(server.address().port + '\\n'));"""

    def __init__(self, program):
        self.process = subprocess.Popen([program, "-e", self.PROGRAM], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.seen = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.seen.append(tuple(part.encode("latin1") for part in json.loads(line)))

    def taken(self, answered=0):
        """What was seen since the last call; what it answered well it also says, though perhaps a little later."""
        deadline = time.monotonic() + PATIENCE_S
        while len(self.seen) < answered and time.monotonic() < deadline:
            time.sleep(0.002)
        seen, self.seen = self.seen, []
        return seen


def answers(octets):
    """The statuses of the whole answers in `octets`, without interim ones; each says its length."""
    statuses = []
    while (head := re.match(rb"HTTP/1.1 (\d+)[^\r\n]*((?:\r\n[^\r\n]+)*)\r\n\r\n", octets)) is not None:
        length = re.search(rb"(?i)content-length: (\d+)", head[2])
        end = head.end() + int(length[1] if length else 0)
        if len(octets) < end:
            break
        if not head[1].startswith(b"1"):
            statuses.append(head[1].decode())
        octets = octets[end:]
    return statuses


def talk(port, octets, until=None):
    """Sends them and gives what comes: (octets, whether the connection was closed). `until`: so many answers, or
    "closed", must come; otherwise it ends once nothing more does."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        try:
            connection.sendall(octets)
        except OSError:
            pass
        while until in (None, "closed") or len(answers(answer)) < until:
            connection.settimeout(PATIENCE_S if until else QUIET_S if answers(answer) else SILENT_S)
            try:
                more = connection.recv(65536)
            except TimeoutError:
                return answer, False
            except OSError:
                return answer, True
            if not more:
                return answer, True
            answer += more
    return answer, False


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def wait_listening(port, process):
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


class SmugglingTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="perigee-smuggling-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.backend = Backend(BACKEND)
        cls.nginx_backend = Backend("127.0.0.1")
        cls.node = Node(shutil.which("node"))
        cls.addClassCleanup(cls.end, cls.node.process)
        cls.nginx_port = cls.start_nginx()
        cls.port = cls.start_gateway()

    @classmethod
    def start_gateway(cls):
        port = free_port()
        with open(os.path.join(cls.folder, "policy.yaml"), "w", encoding="utf-8") as file:
            file.write(f"""
version: 1
pop: here
pops: {{here: {{prefixes: [10.0.0.0/8]}}}}
interfaces: {{local: {{port: local0, address: 10.0.0.2/8}}}}
endpoints: {{e1: {{pop: here, address: '{BACKEND}:{cls.backend.port}', health: {{type: none}}}}}}
listeners: {{public: {{address: '127.0.0.1:{port}'}}}}
services: {{ai: {{mode: route, listeners: [public], models: {{m: {{endpoints: [e1]}}}}}}}}
admin: {{listen: '127.0.0.1:{free_port()}', socket: {cls.folder}/admin.sock}}
""")
        tables, telemetry = (os.path.join(cls.folder, name) for name in ("tables", "telemetry"))
        os.mkdir(tables, 0o700)
        os.mkdir(telemetry, 0o700)
        cls.log = os.path.join(cls.folder, "gateway.log")
        with open(cls.log, "wb") as log:
            process = subprocess.Popen([os.path.join(BUILD_DIR, "bin", "perigee-gateway"), "--policy",
                                        os.path.join(cls.folder, "policy.yaml"), "--table-dir", tables,
                                        "--telemetry-dir", telemetry], stdout=log, stderr=log)
        cls.addClassCleanup(cls.end_gateway, process)
        wait_listening(port, process)
        return port

    @classmethod
    def end_gateway(cls, process):
        cls.end(process)
        with open(cls.log, encoding="utf-8", errors="replace") as file:
            said = file.read()
        if process.returncode != 0 or re.search("Sanitizer|runtime error:|terminate called", said):
            raise AssertionError(f"the gateway left with {process.returncode}:\n{said[-4000:]}")

    @classmethod
    def start_nginx(cls):
        port = free_port()
        temporary = "".join(f"{name}_temp_path {cls.folder}/{name};" for name in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(os.path.join(cls.folder, "nginx.conf"), "w", encoding="utf-8") as file:
            file.write(f"""
daemon off; master_process off; pid {cls.folder}/nginx.pid; error_log {cls.folder}/nginx.log; events {{}}
http {{ access_log off; {temporary}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{cls.nginx_backend.port}; proxy_http_version 1.1;
                  proxy_set_header Connection ""; }} }} }}
""")
        process = subprocess.Popen([shutil.which("nginx"), "-p", cls.folder, "-c", "nginx.conf"],
                                   stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.end, process)
        wait_listening(port, process)
        return port

    @staticmethod
    def end(process):
        process.terminate()
        process.wait()

    def others(self, octets, until):
        """What nginx and node make of it: what each let through, and what it answered."""
        made = {}

        def ask(name, port, peer):
            peer.taken()
            answer, closed = talk(port, octets, until)
            statuses = answers(answer)
            made[name] = (peer.taken(statuses.count("200")), (statuses or ["closed" if closed else "waits"])[0])

        threads = [threading.Thread(target=ask, args=each) for each in
                   (("nginx", self.nginx_port, self.nginx_backend), ("node", self.node.port, self.node))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return made

    def refused(self, octets, refusal):
        """One answer says so, the connection closes, nothing of it is forwarded, nor of what comes after it."""
        for sent in (octets, octets + FOLLOWER):
            answer, closed = talk(self.port, sent, until="closed")
            self.assertTrue(closed)
            self.assertEqual(len(answers(answer)), 1, answer)
            self.assertRegex(answers(answer)[0], "[45]..")
            self.assertIn(f'"{refusal}"'.encode(), answer)
        self.assertEqual(self.backend.taken(), [])

    def taken(self, name, octets, made):
        """It is one request, and the same for whoever takes it."""
        talk(self.port, octets, until=1)
        seen = self.backend.taken()
        self.assertEqual(len(seen), 0 if name in ANSWERED_HERE else 1)
        for other, (theirs, _) in made.items():
            self.assertLessEqual(len(theirs), 1, f"{other} made several of it")
            if theirs and seen:
                self.assertEqual(theirs, seen, f"{other} understood something else")
        closes = b"HTTP/1.0" in octets
        talk(self.port, octets + FOLLOWER, until="closed" if closes else 2)
        self.assertEqual(self.backend.taken(), seen if closes else seen + [take_request(FOLLOWER)[0]])

    def test_requests(self):
        rows = []
        for name, expected, octets in vectors("request"):
            with self.subTest(vector=name):
                made = self.others(octets, until=1 if expected == "ok" else None)
                takes = {other for other, (theirs, _) in made.items() if theirs}
                refuse = {"nginx", "node"} - takes
                if expected == "ok":
                    self.taken(name, octets, made)
                    rows.append((name, "takes it", made, refuse, refuse == REFUSED_BY.get(name, set())))
                else:
                    self.refused(octets, expected)
                    known = {other for other, names in (("nginx", NGINX_TAKES), ("node", NODE_TAKES))
                             if name in names or name in BOTH_TAKE}
                    rows.append((name, expected, made, takes, takes == known))
        self.show(rows)

    @staticmethod
    def show(rows):
        print(f"\n{len(rows)} requests; where the others take what the gateway refuses, or refuse what it takes:")
        for name, verdict, made, differ, known in rows:
            if differ or not known:
                said = [f"{other}: {status}, {len(theirs)} request{'s' * (len(theirs) != 1)}"
                        for other, (theirs, status) in sorted(made.items())]
                print(f"  {name:27} {verdict:29} {said[0]:25} {said[1]:24} {'known' if known else 'NEW'}")

    def test_responses(self):
        """What is no proper answer reaches no client."""
        self.addCleanup(setattr, self.backend, "answer", None)
        request = FOLLOWER.replace(b"Host: a\r\n", b"Host: a\r\nConnection: close\r\n")
        for name, expected, octets in vectors("response"):
            with self.subTest(vector=name):
                self.backend.answer = octets
                answer, _ = talk(self.port, request, until="closed")
                good = expected == "ok" and name not in WITHOUT_END
                self.assertRegex(answer, rb"\AHTTP/1.1 200 " if good else rb"\AHTTP/1.1 502 ")
                if not good:
                    self.assertIn(b'"code":"endpoint_broke_off"', answer)
                    self.assertEqual(len(answers(answer)), 1)
        self.backend.taken()


def main():
    missing = [program for program in ("nginx", "node", "unshare", "ip") if shutil.which(program) is None]
    if missing:
        print(f"SKIPPED: {', '.join(missing)} not installed; scripts/packages bench and scripts/packages sdk install the peers")
        return SKIPPED
    if INSIDE not in os.environ:  # a network of our own, so that an endpoint may have an address that is no loopback's
        enter = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
        if subprocess.run(enter + ["true"], capture_output=True, check=False).returncode != 0:
            print("SKIPPED: network namespaces cannot be made")
            return SKIPPED
        os.execvpe(enter[0], enter + ["--", sys.executable, "-B", *sys.argv], os.environ | {INSIDE: "1"})
    for command in ("link set lo up", f"address add {BACKEND}/32 dev lo"):
        subprocess.run(["ip", *command.split()], check=True)
    return 0 if unittest.main(exit=False, verbosity=2).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
