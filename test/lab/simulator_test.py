"""The endpoint simulator by itself, over loopback: its HTTP, its streams, its queue, its metrics."""

import base64
import http.client
import json
import os
import re
import shutil
import socket
import struct
import time
import unittest

import lab_case
import process
import rundir


class SimulatorTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.run_dir = lab_case.RUN_DIR + "-simulator"
        cls.processes = process.Processes(cls.run_dir)
        cls.clean()
        rundir.create(cls.run_dir)
        cls.addClassCleanup(cls.clean)
        cls.port = cls.start("sim", ["--rate", "200"])
        cls.narrow = cls.start("narrow", ["--rate", "20", "--slots", "1", "--max-waiting", "1"])

    @classmethod
    def start(cls, name, options):
        program = os.path.join(lab_case.BUILD_DIR, "bin", "endpoint_simulator")
        cls.processes.start(name, [program, "--name", name, "--address", "127.0.0.1", "--port", "0", *options])
        cls.processes.wait_ready(name)
        return int(re.search(r"port (\d+)", cls.processes.log_tail(name)).group(1))

    @classmethod
    def clean(cls):
        cls.processes.stop_all()
        shutil.rmtree(cls.run_dir, ignore_errors=True)

    def connect(self, port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=20)
        self.addCleanup(connection.close)
        return connection

    def post(self, connection, body, path="/v1/chat/completions"):
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        return connection.getresponse()

    @staticmethod
    def chat(**more):
        return {"model": "lab-model", "messages": [{"role": "user", "content": "x" * 40}], **more}

    def metric(self, name, port=None):
        connection = self.connect(port)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        return float(re.search(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", text, re.M).group(1))

    def test_plain_answers_share_one_connection(self):
        connection = self.connect()
        for _ in range(3):
            response = self.post(connection, self.chat(max_tokens=3))
            answer = json.loads(response.read())
            self.assertEqual(response.status, 200)
            self.assertEqual(response.getheader("x-endpoint"), "sim")
            self.assertEqual(answer["choices"][0]["message"]["content"], "1 2 3 ")
            self.assertEqual(answer["usage"], {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13})
        response = self.post(connection, {"model": "lab-model", "prompt": "hey", "max_tokens": 2},
                             "/v1/completions")
        self.assertEqual(json.loads(response.read())["choices"][0]["text"], "1 2 ")
        connection.request("GET", "/v1/models")
        self.assertEqual(json.loads(connection.getresponse().read())["data"][0]["id"], "lab-model")
        connection.request("GET", "/health")
        self.assertEqual(connection.getresponse().read(), b"")

    def test_streams_events_usage_and_done(self):
        connection = self.connect()
        response = self.post(connection, self.chat(max_tokens=5, stream=True,
                                                   stream_options={"include_usage": True}))
        self.assertEqual(response.getheader("content-type").split(";")[0], "text/event-stream")
        events = response.read().decode().split("\n\n")
        self.assertEqual(events[-2:], ["data: [DONE]", ""])
        chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
        self.assertEqual(chunks[0]["choices"][0]["delta"]["role"], "assistant")
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"])
        self.assertEqual(text, "1 2 3 4 5 ")
        self.assertEqual(chunks[-2]["choices"][0]["finish_reason"], "length")
        self.assertEqual((chunks[-1]["choices"], chunks[-1]["usage"]["completion_tokens"]), ([], 5))
        self.assertEqual([chunk["usage"] for chunk in chunks[:-1]], [None] * (len(chunks) - 1))

    def test_responses_are_typed_events(self):
        asked = {"model": "lab-model", "max_output_tokens": 2,
                 "input": [{"role": "user", "content": [{"type": "input_text", "text": "x" * 8}]}]}
        answer = json.loads(self.post(self.connect(), asked, "/v1/responses").read())
        self.assertEqual((answer["status"], answer["output"][0]["content"][0]["text"]), ("completed", "1 2 "))
        self.assertEqual((answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]), (2, 2))
        connection = self.connect()
        for method, status in (("GET", 200), ("DELETE", 200), ("GET", 404)):
            connection.request(method, f"/v1/responses/{answer['id']}")
            response = connection.getresponse()
            self.assertEqual(response.status, status, response.read())
            response.read()
        gone = self.post(self.connect(), {**asked, "previous_response_id": answer["id"]}, "/v1/responses")
        self.assertEqual(gone.status, 404)
        text = self.post(self.connect(), {**asked, "stream": True}, "/v1/responses").read().decode()
        events = text.split("\n\n")
        self.assertEqual(events.pop(), "")
        data = [json.loads(event.partition("\ndata: ")[2]) for event in events]
        self.assertEqual([f"event: {one['type']}" for one in data], [event.partition("\n")[0] for event in events])
        self.assertEqual([one["sequence_number"] for one in data], list(range(len(data))))
        self.assertEqual("".join(one.get("delta", "") for one in data), "1 2 ")
        self.assertEqual((data[0]["type"], data[-1]["type"]), ("response.created", "response.completed"))
        self.assertEqual(data[-1]["response"]["usage"], answer["usage"])

    def test_embeddings_as_numbers_and_packed(self):
        def ask(**more):
            response = self.post(self.connect(), {"model": "lab-model", "input": ["one", "two"], **more},
                                 "/v1/embeddings")
            return [entry["embedding"] for entry in json.loads(response.read())["data"]]

        for dimensions in (3, 4):
            plain = ask(dimensions=dimensions)
            packed = [list(struct.unpack(f"<{dimensions}f", base64.b64decode(text)))
                      for text in ask(dimensions=dimensions, encoding_format="base64")]
            self.assertEqual(packed, plain)
        self.assertNotEqual(plain[0], plain[1])

    def test_says_what_is_wrong(self):
        cases = [(self.chat(model="other"), 404, "does not exist"), ({"messages": []}, 400, "model"),
                 (self.chat(messages=[]), 400, "messages"), (self.chat(max_tokens=0), 400, "max_tokens"),
                 (self.chat(stream_options={}), 400, "stream")]
        for body, status, word in cases:
            response = self.post(self.connect(), body)
            self.assertEqual(response.status, status, body)
            self.assertIn(word, json.loads(response.read())["error"]["message"])
        self.assertEqual(self.post(self.connect(), self.chat(), "/v1/nothing").status, 404)

    def test_a_client_that_goes_away_frees_the_slot_and_the_next_one_runs(self):
        first = self.connect(self.narrow)
        response = self.post(first, self.chat(max_tokens=100000, stream=True))
        response.readline()
        waiting = socket.create_connection(("127.0.0.1", self.narrow))
        self.addCleanup(waiting.close)
        body = json.dumps(self.chat(max_tokens=1)).encode()
        waiting.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                        b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        lab_case.wait_for("one waits", lambda: self.metric("vllm:num_requests_waiting", self.narrow) == 1)
        self.assertEqual(self.post(self.connect(self.narrow), self.chat()).status, 503)
        response.close()
        first.close()
        self.assertIn(b"200 OK", waiting.recv(4096))
        lab_case.wait_for("none runs", lambda: self.metric("vllm:num_requests_running", self.narrow) == 0)
        self.assertEqual(self.metric("vllm:kv_cache_usage_perc", self.narrow), 0)

    def test_a_waiting_client_that_goes_away_leaves_the_queue(self):
        first = self.connect(self.narrow)
        response = self.post(first, self.chat(max_tokens=100000, stream=True))
        response.readline()
        waiting = self.connect(self.narrow)
        waiting.request("POST", "/v1/chat/completions", json.dumps(self.chat()))
        lab_case.wait_for("one waits", lambda: self.metric("vllm:num_requests_waiting", self.narrow) == 1)
        waiting.close()
        lab_case.wait_for("none waits", lambda: self.metric("vllm:num_requests_waiting", self.narrow) == 0)
        self.assertEqual(self.metric("vllm:num_requests_running", self.narrow), 1)
        response.close()
        first.close()
        lab_case.wait_for("none runs", lambda: self.metric("vllm:num_requests_running", self.narrow) == 0)

    def pace(self, port, **more):
        connection = self.connect(port)
        connection.request("PUT", "/pace", json.dumps(more))
        return connection.getresponse().status

    def ask(self, port, **more):
        connection = self.connect(port)
        connection.request("POST", "/v1/chat/completions", json.dumps(self.chat(**more)))
        return connection

    def test_its_pace_can_be_changed_while_it_runs(self):
        port = self.start("paced", ["--rate", "0.001", "--slots", "1"])
        self.ask(port, max_tokens=2)  # its second token takes 1000 s
        lab_case.wait_for("it runs", lambda: self.metric("vllm:num_requests_running", port) == 1)
        waiting = self.ask(port, max_tokens=1)
        lab_case.wait_for("one waits", lambda: self.metric("vllm:num_requests_waiting", port) == 1)
        self.assertEqual(self.pace(port, slots=4), 200)
        self.assertEqual(waiting.getresponse().status, 200)
        for wrong in ({"slots": 0}, {"slots": -1}, {"rate": "fast"}, {"speed": 1}, {"prefill": 1e10}):
            self.assertEqual(self.pace(port, **wrong), 400, wrong)
        self.assertEqual(self.pace(port, prefill=0.001), 200)
        self.ask(port, max_tokens=1)  # a prompt of 10000 s
        lab_case.wait_for("it runs as well", lambda: self.metric("vllm:num_requests_running", port) == 2)
        self.assertEqual(self.pace(port, prefill=1e6, rate=1e6), 200)
        self.assertEqual(self.ask(port, max_tokens=1000).getresponse().status, 200)
        self.assertEqual(self.metric("vllm:num_requests_running", port), 2)

    def test_keeps_its_pace(self):
        before = time.monotonic()
        self.post(self.connect(), self.chat(max_tokens=41)).read()  # 40 steps of 5 ms after the first token
        self.assertGreaterEqual(time.monotonic() - before, 0.19)
        self.assertGreaterEqual(self.metric("vllm:time_to_first_token_seconds_count"), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
