"""curl and Python's standard client ask the gateway as they would ask any server."""

import http.client
import json
import ssl
import subprocess
import unittest

import served


class ClientsTest(served.ServedCase):
    def setUp(self):
        self.trust = ssl.create_default_context(cafile=self.certificate)
        self.connection = http.client.HTTPSConnection(served.HOST, self.port, timeout=30, context=self.trust)
        self.addCleanup(self.connection.close)

    @staticmethod
    def chat(**more):
        return json.dumps({"model": "assistant", "messages": [{"role": "user", "content": "How far?"}], **more})

    def ask(self, body, headers=(), **more):
        """The answer, still to be read."""
        self.connection.request("POST", "/v1/chat/completions", body, {
            "Authorization": f"Bearer {self.token()}", "Content-Type": "application/json", **dict(headers)}, **more)
        return self.connection.getresponse()

    def curl(self, *more, path="/chat/completions"):
        return subprocess.run(["curl", "-sS", "-m", "60", "--cacert", self.certificate, "-H",
                               f"Authorization: Bearer {self.token()}", "-H", "Content-Type: application/json", *more,
                               self.base_url + path], capture_output=True, text=True, check=False)

    # Python's http.client.

    def test_requests_share_a_connection(self):
        sockets = set()
        for _ in range(3):
            answer = self.ask(self.chat(max_tokens=3))
            self.assertEqual(json.loads(answer.read())["choices"][0]["message"]["content"], "1 2 3 ")
            self.assertTrue(answer.getheader("x-request-id"))
            sockets.add(self.connection.sock)
        self.assertEqual(len(sockets), 1)

    def test_an_event_is_read_before_the_next_one_exists(self):
        answer = self.ask(self.chat(max_tokens=100_000, stream=True))
        self.assertEqual(answer.getheader("content-type").split(";")[0], "text/event-stream")
        while b'"content":"3 "' not in (line := answer.readline()):
            self.assertTrue(line)

    def test_a_chunked_body(self):
        pieces = [self.chat(max_tokens=2)[:20].encode(), self.chat(max_tokens=2)[20:].encode()]
        answer = self.ask(iter(pieces), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
        self.assertEqual(json.loads(answer.read())["choices"][0]["message"]["content"], "1 2 ")

    def test_an_error_leaves_the_connection_usable(self):
        answer = self.ask(self.chat(model="nobody"))
        self.assertEqual((answer.status, json.loads(answer.read())["error"]["code"]), (404, "model_not_found"))
        self.assertEqual(self.ask(self.chat(max_tokens=1)).status, 200)

    def test_a_client_that_goes_is_seen_at_the_endpoint(self):
        before = self.aborted()
        answer = self.ask(self.chat(max_tokens=100_000, stream=True))
        answer.readline()
        answer.close()
        self.connection.close()
        self.wait_for("the endpoint gave it up", lambda: self.aborted() == before + 1)

    # curl.

    def test_curl_streams(self):
        done = self.curl("-N", "-d", self.chat(max_tokens=3, stream=True))
        events = done.stdout.strip().split("\n\n")
        self.assertEqual((done.returncode, events[-1]), (0, "data: [DONE]"))
        self.assertIn('"content":"3 "', done.stdout)

    def test_curl_lists_models(self):
        listed = json.loads(self.curl(path="/models").stdout)
        self.assertEqual([model["id"] for model in listed["data"]], ["assistant", "fragile"])

    def test_curl_waits_for_100_continue(self):
        text = self.path("large.json")
        with open(text, "w", encoding="utf-8") as file:
            file.write(self.chat(max_tokens=1, user="x" * 2_000_000))
        done = self.curl("-v", "-H", "Expect: 100-continue", "--expect100-timeout", "50", "--data-binary", f"@{text}")
        self.assertIn("< HTTP/1.1 100", done.stderr)
        self.assertEqual(json.loads(done.stdout)["choices"][0]["message"]["content"], "1 ")

    def test_curl_that_gives_up_is_seen_at_the_endpoint(self):
        before = self.aborted()
        done = self.curl("-m", "1", "-d", self.chat(max_tokens=100_000))
        self.assertEqual(done.returncode, 28)  # its own time-out
        self.wait_for("the endpoint gave it up", lambda: self.aborted() == before + 1)

    def test_curl_resumes_its_tls_session(self):
        done = self.curl("-v", "-H", "Connection: close", self.base_url + "/models", path="/models")  # two requests
        self.assertEqual(done.stdout.count('"assistant"'), 2)
        self.assertEqual(done.stderr.count("TLS handshake, Certificate ("), 1)


if __name__ == "__main__":
    served.main()
