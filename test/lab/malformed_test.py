"""Malformed and misplaced frames: every one is dropped under its reason, and the data plane goes on."""

import json
import os

import drive
import frames
import lab_case
import namespaces
from frames import arp, ethernet, icmp, ipv4, tcp, udp
from lab_case import wait_for

TIMES = 3  # each frame is sent so often


def from_client(mac):
    """(drop reason, frame) as a client could send it to the edge port. No fragments and no cut VLAN tags: the
    kernel under net_af_packet reassembles the ones and drops the others."""
    def ip(payload, **wrong):
        return ethernet(mac, ipv4(payload, **wrong))

    yield "too_short", ethernet(mac, b"\x45\0\0\x14")
    yield "too_short", ip(tcp(), length=400)
    yield "not_ipv4", ethernet(mac, b"\x60" + b"\0" * 60, kind=0x86DD)
    yield "not_ipv4", ethernet(mac, b"\0" * 60, kind=0x88B5)
    yield "unknown_vlan", ethernet(mac, b"\0\x4d\x08\0" + ipv4(tcp()), kind=0x8100)
    yield "arp_malformed", ethernet(mac, arp(hardware_length=8), kind=0x0806)
    yield "arp_malformed", ethernet(mac, arp()[:20], kind=0x0806)
    yield "arp_not_ours", ethernet(mac, arp(target="198.51.100.77"), kind=0x0806)
    yield "bad_ip_header", ip(tcp(), first=0x65)
    yield "bad_ip_header", ip(tcp(), first=0x44)
    yield "bad_ip_header", ip(tcp(), length=19)
    yield "bad_ip_checksum", ip(tcp(), wrong_checksum=1)
    yield "bad_l4_checksum", ip(tcp(wrong_checksum=0x10))
    yield "bad_l4_header", ip(tcp(offset=4))
    yield "bad_l4_header", ip(tcp(offset=15))
    yield "bad_l4_header", ip(tcp()[:12])
    yield "bad_l4_header", ip(udp(b"x", 8000, length=7), protocol=17)
    yield "martian_source", ip(tcp(), source="127.0.0.1")
    yield "martian_source", ip(tcp(), source="224.0.0.1")
    yield "martian_source", ip(tcp(source="10.1.255.1"), source="10.1.255.1")
    yield "ttl_exceeded", ip(tcp(), ttl=1, destination="10.2.1.1")
    yield "no_flow", ip(tcp(flags=0x10, source_port=40001))
    yield "no_route", ip(tcp(), destination="192.0.2.1")
    yield "protocol_unsupported", ip(b"\0" * 20, protocol=47)
    yield "icmp_malformed", ip(icmp(8, 0, b"\0" * 4, wrong_checksum=1), protocol=1)
    yield "icmp_no_flow", ip(icmp(0, 0, b"\0" * 4), protocol=1)
    yield "port_unsupported", ip(udp(b"x", 53), protocol=17, destination="198.51.100.1")
    yield "stamp_not_configured", ip(udp(b"\0" * 44, 862), protocol=17, destination="172.31.1.1")


class MalformedTest(lab_case.LabCase):
    def send(self, namespace, interface, wrong):
        text = "".join(frame.hex() + "\n" for frame in wrong)
        self.lab.spaces.run(namespace, [namespaces.PYTHON, "-B", frames.__file__, interface], text)

    def mac(self, pop, port):
        shown = self.lab.spaces.run(pop, ["ip", "-json", "link", "show", "dev", port]).stdout
        return json.loads(shown)[0]["address"]

    def test_each_is_dropped_under_its_reason(self):
        for reason, frame in from_client(self.mac("syd", "edge0")):
            with self.subTest(reason=reason, frame=frame.hex()):
                before = self.lab.telemetry().drops()[reason]
                self.send("client", "eth0", [frame] * TIMES)
                wait_for(f"{TIMES} drops counted as {reason}",
                         lambda r=reason, b=before: self.lab.telemetry().drops()[r] >= b + TIMES, patience=10)
        load = self.driven(drive.Load(self.lab, new=20, keep=0))
        self.assert_served_since(load, drive.now_ns(), requests=20)

    def test_noise_on_a_link_disturbs_nothing(self):
        mac = self.mac("syd", "link0")
        load = self.driven(drive.Load(self.lab, new=20, keep=0))
        noise = [ethernet(mac, os.urandom(size)) for size in range(1, 400, 7)]
        noise += [ethernet(mac, ipv4(udp(os.urandom(size), port=862, source_port=862), protocol=17,
                                     source="172.31.1.2", destination="172.31.1.1")) for size in range(0, 60)]
        noise += [ethernet(mac, ipv4(os.urandom(40), protocol=protocol, source="10.2.1.1",
                                     destination="10.1.255.1")) for protocol in range(0, 40)]
        before = sum(self.lab.telemetry().drops().values())
        for _ in range(5):
            self.send("wire", "syd-mel-a.syd", noise)
        wait_for("drops are counted", lambda: sum(self.lab.telemetry().drops().values()) > before + 100)
        self.assert_served_since(load, drive.now_ns(), requests=20)


if __name__ == "__main__":
    lab_case.main()
