"""Sends raw frames out of an interface: frames.py INTERFACE, one frame in hexadecimal digits on each line of
standard input. And builds them, right by default, so that each can be wrong in one thing."""

import socket
import struct
import sys

import topology

CLIENT = topology.CLIENT_ADDRESS


def octets(address):
    return socket.inet_aton(address)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def ethernet(to, payload, kind=0x0800):
    return bytes.fromhex(to.replace(":", "")) + b"\x02\0\0\0\0\x77" + struct.pack("!H", kind) + payload


def ipv4(payload, protocol=6, source=CLIENT, destination=topology.VIP, first=0x45, ttl=64, fragment=0,
         length=None, wrong_checksum=0):
    total = 20 + len(payload) if length is None else length
    head = struct.pack("!BBHHHBBH4s4s", first, 0, total, 1, fragment, ttl, protocol, 0, octets(source),
                       octets(destination))
    return head[:10] + struct.pack("!H", checksum(head) ^ wrong_checksum) + head[12:] + payload


def tcp(flags=0x02, offset=5, source=CLIENT, destination=topology.VIP, source_port=40000,
        port=topology.VIP_PORT, wrong_checksum=0):
    head = struct.pack("!HHIIBBHHH", source_port, port, 1000, 0, offset << 4, flags, 64240, 0, 0)
    pseudo = octets(source) + octets(destination) + struct.pack("!BBH", 0, 6, len(head))
    return head[:16] + struct.pack("!H", checksum(pseudo + head) ^ wrong_checksum) + head[18:]


def udp(payload, port, source_port=40000, length=None):
    size = 8 + len(payload) if length is None else length
    return struct.pack("!HHHH", source_port, port, size, 0) + payload  # no checksum: RFC 768


def icmp(kind, code, rest, wrong_checksum=0):
    message = struct.pack("!BBH", kind, code, 0) + rest
    return message[:2] + struct.pack("!H", checksum(message) ^ wrong_checksum) + message[4:]


def arp(hardware_length=6, sender=CLIENT, target="198.51.100.1", operation=1):
    return struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, hardware_length, 4, operation, b"\x02\0\0\0\0\x77",
                       octets(sender), b"\0" * 6, octets(target))


def main():
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as port:
        port.bind((sys.argv[1], 0))
        for line in sys.stdin:
            port.send(bytes.fromhex(line))


if __name__ == "__main__":
    main()
