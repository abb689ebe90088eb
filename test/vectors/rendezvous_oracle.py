#!/usr/bin/env python3
"""The rendezvous choice once more, written from its definition in contract/rendezvous.h alone.

Prints rendezvous.txt, which rendezvous_test.cc compares with. Only integers: Python's have no limit, so the
masks below are all of the arithmetic that is modulo 2^64.

    python3 test/vectors/rendezvous_oracle.py > test/vectors/rendezvous.txt
"""

import ipaddress
import random

MASK = (1 << 64) - 1
SEED = int.from_bytes(b"Perigee1", "big")


def scramble(x):
    """Finalizer of SplitMix64."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def key_of(client, port, service):
    address = ipaddress.ip_address(client)
    octets = address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed
    key = scramble(SEED ^ int.from_bytes(octets[:8], "big"))
    key = scramble(key ^ int.from_bytes(octets[8:], "big"))
    return scramble(key ^ (service << 16 | port))


def log2_step(i):
    """log2(1 + i / 256) in units of 2^-32, by repeated squaring of a 31-bit fraction."""
    if i == 256:
        return 1 << 32
    mantissa, bits = (256 + i) << 23, 0
    for _ in range(32):
        mantissa = mantissa * mantissa >> 31
        bits <<= 1
        if mantissa >= 1 << 32:
            bits |= 1
            mantissa >>= 1
    return bits


STEPS = [log2_step(i) for i in range(257)]


def distance(value):
    x = min(value + 1, MASK)
    exponent = x.bit_length() - 1
    mantissa = x << (63 - exponent)
    step = (mantissa >> 55) - 256
    between = (mantissa >> 23) % (1 << 32)
    fraction = STEPS[step] + ((STEPS[step + 1] - STEPS[step]) * between >> 32)
    return (64 << 32) - (exponent << 32) - fraction


def winner(key, candidates):
    """The endpoint with the least distance / weight; fractions compared exactly."""
    best = None
    for endpoint, weight in candidates:
        if weight == 0:
            continue
        here = (distance(scramble(key ^ scramble(endpoint))), weight, endpoint)
        if best is None or (here[0] * best[1], here[2]) < (best[0] * here[1], best[2]):
            best = here
    return best[2] if best else 0


def main():
    draw = random.Random(20261130)
    print("# made by rendezvous_oracle.py; do not edit")
    print("# distance HASH VALUE")
    hashes = [0, 1, 2, 255, 256, MASK, MASK - 1, 1 << 63, (1 << 63) - 1, 0x00FF00FF00FF00FF]
    hashes += [draw.getrandbits(draw.randint(1, 64)) for _ in range(200)]
    for value in hashes:
        print(f"distance {value:016x} {distance(value)}")
    print("# choice CLIENT PORT SERVICE KEY WINNER ENDPOINT:WEIGHT...")
    for _ in range(500):
        bits = 32 if draw.random() < 0.7 else 128
        client = (ipaddress.IPv4Address if bits == 32 else ipaddress.IPv6Address)(draw.getrandbits(bits))
        port, service = draw.getrandbits(16), draw.getrandbits(32) or 1
        candidates = []
        for _ in range(draw.choice([1, 2, 3, 5, 16, 64])):
            weight = draw.choice([0, 1, 100, 100, 100, draw.getrandbits(32)])
            candidates.append((draw.getrandbits(32) or 1, weight))
        key = key_of(client, port, service)
        listed = " ".join(f"{endpoint:08x}:{weight}" for endpoint, weight in candidates)
        print(f"choice {client} {port} {service:08x} {key:016x} {winner(key, candidates):08x} {listed}")


main()
