"""An upgrade: a second process of the gateway takes the place of the first while 500 streams run and others connect.
No stream breaks, and nobody is refused."""

import asyncio
import json
import ssl
import subprocess
import unittest

import served

STREAMS = 500
TOKENS = 40  # over a minute at the pace of the beginning
AT_ONCE = 20  # handshakes
PATIENCE_S = 240


class Ended(Exception):
    """The answer is over before its time."""


class Client:
    """One connection with one request."""

    def __init__(self, case, trust):
        self.case, self.trust = case, trust
        self.tokens = []

    async def ask(self, **body):
        """Until the head of the answer; the status."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.case.port, ssl=self.trust,
                                                                 server_hostname=served.HOST)
        data = json.dumps({"model": "assistant", "messages": [{"role": "user", "content": "How far?"}], **body})
        self.writer.write((f"POST /v1/chat/completions HTTP/1.1\r\nHost: {served.HOST}\r\nConnection: close\r\n"
                           f"Authorization: Bearer {self.case.token()}\r\nContent-Type: application/json\r\n"
                           f"Content-Length: {len(data)}\r\n\r\n{data}").encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        return int(head.split(b" ")[1])

    async def next_token(self):
        """False at [DONE], after the last one."""
        while line := await self.reader.readline():
            if not line.startswith(b"data: "):
                continue  # a chunk's frame or an event's end
            if line == b"data: [DONE]\n":
                return False
            event = json.loads(line[len(b"data: "):])
            if "error" in event:
                raise Ended(f"{event['error']}, after {len(self.tokens)} tokens")
            content = event["choices"][0]["delta"].get("content")
            if content:
                self.tokens.append(content)
                return True
        raise Ended(f"without [DONE], after {len(self.tokens)} tokens")

    async def rest(self):
        while await self.next_token():
            pass
        await self.reader.read()
        self.writer.close()


class HandoverTest(served.ServedCase):
    def setUp(self):
        self.trust = ssl.create_default_context(cafile=self.certificate)

    def pace(self, **changes):
        """Of the engines, from now on."""
        for name in ("one", "two"):
            url = f"http://{self.address}:{self.endpoints[name]}/pace"
            subprocess.run(["curl", "-sSf", "-m", "10", "-X", "PUT", "-d", json.dumps(changes), url], check=True)

    def test_500_streams_and_those_who_connect_meanwhile(self):
        self.pace(slots=STREAMS, rate=0.5)
        asyncio.run(asyncio.wait_for(self.hand_over(), PATIENCE_S))
        self.assertEqual(self.processes.wait("gateway"), 0)

    async def hand_over(self):
        streams = [Client(self, self.trust) for _ in range(STREAMS)]
        places = asyncio.Semaphore(AT_ONCE)

        async def begin(stream):
            async with places:
                self.assertEqual(await stream.ask(stream=True, max_tokens=TOKENS), 200)
                await stream.next_token()

        await asyncio.gather(*map(begin, streams))
        self.served, over = 0, asyncio.Event()
        newcomers = asyncio.create_task(self.newcomers(over))
        await self.more_served(20, newcomers)
        await asyncio.to_thread(self.start_gateway, "successor")
        await self.more_served(20, newcomers)
        over.set()
        await newcomers
        self.assertIn("handover_done", self.processes.log_tail("gateway"))
        self.assertIsNotNone(self.processes.pid("gateway"), "the streams run in it")

        self.pace(rate=1000)
        await asyncio.gather(*(stream.rest() for stream in streams))
        self.assertEqual({tuple(stream.tokens) for stream in streams},
                         {tuple(f"{number} " for number in range(1, TOKENS + 1))})

    async def newcomers(self, over):
        """One after the other, each on a connection of its own: none may be refused or reset."""
        while not over.is_set():
            client = Client(self, self.trust)
            self.assertEqual(await client.ask(max_tokens=1), 200)
            self.assertIn(b'"content":"1 "', await client.reader.read())
            client.writer.close()
            self.served += 1

    async def more_served(self, count, newcomers):
        enough = self.served + count
        while self.served < enough and not newcomers.done():
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    served.main()
