"""Real requests from the client's namespace to the VIP; one JSON line for each on standard output.

    load.py [--new RATE] [--keep CONNECTIONS --keep-rate RATE]     chat completions until it is terminated
    load.py --stream TOKENS                                        one streamed completion
    load.py --ask CLIENTS --certificate FILE [--prompt OCTETS] [--gap S]    of the routed service, until terminated:
        streamed, from each client one after the other on one connection

A record has kind (new: a connection of its own; keep: on a kept one; stream; ask), start and end in CLOCK_MONOTONIC
nanoseconds as the data planes use, endpoint, error (null when all is well). A stream also writes a record for
each token, with its number; ask has the time of the first. It ends when its standard input does.
"""

import argparse
import asyncio
import json
import os
import ssl
import sys
import threading
import time

import topology

TIMEOUT_S = 15  # of one request
MAX_TOKENS = 4


def emit(**record):
    try:
        sys.stdout.write(json.dumps(record) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)  # whoever asked is gone


def request_bytes(**more):
    body = json.dumps({"model": "lab-model", "messages": [{"role": "user", "content": "How far?"}],
                       **more}).encode()
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: {topology.VIP}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


PLAIN = request_bytes(max_tokens=MAX_TOKENS)


class HttpError(Exception):
    pass


async def read_head(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    if head[0].split(" ")[1] != "200":
        raise HttpError(head[0])
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}


async def ask(reader, writer):
    """One plain request; the endpoint that answered."""
    writer.write(PLAIN)
    head = await read_head(reader)
    await reader.readexactly(int(head["content-length"]))
    return head["x-endpoint"]


def end_with_parent():
    """Standard input is a pipe of the process that started us; its end is theirs."""
    sys.stdin.buffer.read()
    os._exit(0)


def describe(error):
    return f"{type(error).__name__}: {error}".rstrip(": ")


FAILURES = (OSError, HttpError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError)


async def new_request():
    start, endpoint, error, writer = time.monotonic_ns(), None, None, None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(topology.VIP, topology.VIP_PORT)
            endpoint = await ask(reader, writer)
    except FAILURES as failure:
        error = describe(failure)
    finally:
        if writer:
            writer.close()
    emit(kind="new", start=start, end=time.monotonic_ns(), endpoint=endpoint, error=error)


async def new_requests(rate):
    """Open loop: a slow answer does not slow the next request down."""
    running, due = set(), time.monotonic()
    while True:
        task = asyncio.create_task(new_request())
        running.add(task)
        task.add_done_callback(running.discard)
        due = max(due + 1 / rate, time.monotonic() - 0.1)  # after a pause of ours, no burst
        await asyncio.sleep(max(due - time.monotonic(), 0))


async def kept_connection(period, offset):
    await asyncio.sleep(offset)
    reader = writer = None
    while True:
        start, endpoint, error = time.monotonic_ns(), None, None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if writer is None:
                    reader, writer = await asyncio.open_connection(topology.VIP, topology.VIP_PORT)
                endpoint = await ask(reader, writer)
        except FAILURES as failure:
            error = describe(failure)
            if writer:
                writer.close()
            writer = None
        end = time.monotonic_ns()
        emit(kind="keep", start=start, end=end, endpoint=endpoint, error=error)
        await asyncio.sleep(max(period - (end - start) / 1e9, 0))


async def stream(tokens):
    start, endpoint, error, expected, writer = time.monotonic_ns(), None, None, 1, None
    try:
        reader, writer = await asyncio.open_connection(topology.VIP, topology.VIP_PORT)
        writer.write(request_bytes(max_tokens=tokens, stream=True))
        endpoint = (await read_head(reader))["x-endpoint"]
        while True:
            line = await reader.readline()
            if not line:
                raise HttpError("the stream ended without [DONE]")
            if not line.startswith(b"data: "):
                continue  # a chunk's frame or an event's end
            data = line[len(b"data: "):].strip()
            if data == b"[DONE]":
                break
            content = json.loads(data)["choices"][0]["delta"].get("content")
            if not content:
                continue
            if int(content) != expected:
                raise HttpError(f"token {content} where {expected} was due")
            emit(kind="token", number=expected, at=time.monotonic_ns(), endpoint=endpoint)
            expected += 1
        if expected != tokens + 1:
            raise HttpError(f"{expected - 1} tokens of {tokens}")
    except FAILURES as failure:
        error = describe(failure)
    finally:
        if writer:
            writer.close()
    emit(kind="stream", start=start, end=time.monotonic_ns(), endpoint=endpoint, error=error)


def ask_bytes(octets):
    body = json.dumps({"model": topology.ROUTED_MODEL, "stream": True, "max_tokens": 1,
                       "messages": [{"role": "user", "content": "x" * octets}]}).encode()
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: {topology.ROUTED_NAME}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


async def ask_streamed(reader, writer, request, record):
    writer.write(request)
    record["endpoint"] = (await read_head(reader))["x-gateway-destination-endpoint-served"]
    while (line := await reader.readline()) != b"0\r\n":  # the last chunk
        if not line:
            raise HttpError("the stream ended early")
        if b'"content"' in line and not record["first"]:
            record["first"] = time.monotonic_ns()
        if b'"error"' in line:
            raise HttpError(line.decode())
    await reader.readline()


async def asking(given):
    trust = ssl.create_default_context(cafile=given.certificate)
    request, writer = ask_bytes(given.prompt), None
    while True:
        record = {"kind": "ask", "start": time.monotonic_ns(), "first": None, "endpoint": None, "error": None}
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if writer is None:
                    reader, writer = await asyncio.open_connection(topology.ROUTED_VIP, 443, ssl=trust,
                                                                   server_hostname=topology.ROUTED_NAME)
                await ask_streamed(reader, writer, request, record)
        except FAILURES as failure:
            record["error"] = describe(failure)
            if writer:
                writer.close()
            writer = None
        emit(**record, end=time.monotonic_ns())
        await asyncio.sleep(given.gap)


async def run(given):
    if given.stream:
        await stream(given.stream)
        return
    if given.ask:
        await asyncio.gather(*(asking(given) for _ in range(given.ask)))
        return
    tasks = [new_requests(given.new)] if given.new else []
    period = given.keep / given.keep_rate
    tasks += [kept_connection(period, period * i / given.keep) for i in range(given.keep)]
    await asyncio.gather(*tasks)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--new", type=float, default=0, help="requests a second, each on a new connection")
    parser.add_argument("--keep", type=int, default=0, help="kept connections")
    parser.add_argument("--keep-rate", type=float, default=20, help="requests a second on all of them together")
    parser.add_argument("--stream", type=int, default=0, help="tokens of the one stream")
    parser.add_argument("--ask", type=int, default=0, help="clients of the routed service")
    parser.add_argument("--certificate", help="of the routed service")
    parser.add_argument("--prompt", type=int, default=10, help="octets of what they ask")
    parser.add_argument("--gap", type=float, default=0, help="seconds between an answer and the next question")
    given = parser.parse_args()
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        asyncio.run(run(given))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
