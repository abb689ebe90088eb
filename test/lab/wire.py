"""Speaks to the delay line."""

import json
import socket


class WireError(Exception):
    pass


class Wire:
    def __init__(self, path):
        self.path = path

    def ask(self, command):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
            control.settimeout(5)
            control.connect(self.path)
            control.send(command.encode())
            reply = control.recv(65536).decode()
        if reply.startswith("error "):
            raise WireError(reply[len("error "):])
        return reply

    def _change(self, command):
        """The CLOCK_MONOTONIC nanosecond from which it holds."""
        return int(self.ask(command).split()[1])

    def delay(self, link, milliseconds):
        return self._change(f"delay {link} {milliseconds}")

    def loss(self, link, percent):
        return self._change(f"loss {link} {percent}")

    def cut(self, link):
        return self._change(f"cut {link}")

    def restore(self, link):
        return self._change(f"restore {link}")

    def status(self):
        return json.loads(self.ask("status"))
