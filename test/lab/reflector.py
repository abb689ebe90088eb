"""A Session-Reflector (RFC 8762 section 4.3) of the lab's own, which keeps every test packet for a while before it
answers, and says so in T2 and T3:

    reflector.py ADDRESS RESIDENCE_MS
"""

import collections
import select
import socket
import struct
import sys
import time

STAMP_PORT = 862
SO_TIMESTAMPNS = 35  # Linux; the socket module does not name it
SECONDS_1900_TO_1970 = 2_208_988_800
ERROR_ESTIMATE = struct.pack("!H", 0x0001)  # NTP format, not synchronized, the smallest multiplier
TTL = 255


def ntp(ns):
    seconds, rest = divmod(ns, 1_000_000_000)
    return struct.pack("!II", (seconds + SECONDS_1900_TO_1970) & 0xFFFFFFFF, (rest << 32) // 1_000_000_000)


def receive_stamp(control):
    seconds, nanos = struct.unpack("qq", control[0][2])
    return seconds * 1_000_000_000 + nanos


def main():
    residence_ns = int(float(sys.argv[2]) * 1e6)
    reflector = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    reflector.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    reflector.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, TTL)
    reflector.bind((sys.argv[1], STAMP_PORT))
    print("ready", flush=True)
    held = collections.deque()  # all are kept equally long: they leave in the order in which they came
    while True:
        wait_ns = max(held[0][0] + residence_ns - time.time_ns(), 0) if held else None
        if select.select([reflector], [], [], None if wait_ns is None else wait_ns / 1e9)[0]:
            test, control, _, sender = reflector.recvmsg(2048, 64)
            held.append((receive_stamp(control), test, sender))
        while held and time.time_ns() >= held[0][0] + residence_ns:
            received, test, sender = held.popleft()
            rest = ERROR_ESTIMATE + bytes(2) + ntp(received) + test[:14] + bytes(2) + bytes((TTL, 0, 0, 0))
            reflector.sendto(test[:4] + ntp(time.time_ns()) + rest, sender)


if __name__ == "__main__":
    main()
