"""What the lab consists of: names, wires and addresses. Data only."""

from dataclasses import dataclass

POPS = ("syd", "mel", "per")
GATEWAY_POP = "syd"  # only this PoP has a gateway; the others run from `perigee compile`

# One network namespace each. `wire` holds the delay line and the PoPs' local switches.
NAMESPACES = POPS + ("mel-1", "mel-2", "per-1", "client", "gateway", "wire")

VIP = "203.0.113.10"  # of the forwarded service
VIP_PORT = 8000
ROUTED_VIP = "203.0.113.11"  # of the routed service: the gateway's
ROUTED_NAME = "ai.perigee.example"
ROUTED_MODEL = "assistant"
CLIENT_ADDRESS = "198.51.100.10"
GATEWAY_ADDRESS = "10.1.0.2"
SNAT_ADDRESS = "10.1.255.1"

PROBE_INTERVAL_S = 0.020  # the lab's constants, as config/lab/*.yaml has them
DETECT = 3


@dataclass(frozen=True)
class Link:
    name: str
    a: str  # PoP with the lower address
    a_port: str
    b: str
    b_port: str
    delay_ms: float  # each way

    def wire_port(self, pop):
        """The delay line's interface toward `pop`."""
        return f"{self.name}.{pop}"


LINKS = (
    Link("syd-mel-a", "syd", "link0", "mel", "link0", 5),
    Link("syd-mel-b", "syd", "link1", "mel", "link1", 8),
    Link("syd-per", "syd", "link2", "per", "link0", 20),
    Link("mel-per", "mel", "link2", "per", "link1", 18),
)


@dataclass(frozen=True)
class Endpoint:
    name: str
    pop: str
    address: str
    router: str

    @property
    def wire_port(self):
        """The port of its PoP's switch that it is plugged into."""
        return f"lan.{self.name}"


ENDPOINTS = (
    Endpoint("mel-1", "mel", "10.2.1.1", "10.2.1.254"),
    Endpoint("mel-2", "mel", "10.2.1.2", "10.2.1.254"),
    Endpoint("per-1", "per", "10.3.1.1", "10.3.1.254"),
)
ENDPOINT_PORT = 8000

# The ports of each PoP's data plane and their roles.
PORTS = {
    "syd": (("link0", "link"), ("link1", "link"), ("link2", "link"), ("edge0", "edge"), ("host0", "host")),
    "mel": (("link0", "link"), ("link1", "link"), ("link2", "link"), ("local0", "edge")),
    "per": (("link0", "link"), ("link1", "link"), ("local0", "edge")),
}


def veths():
    """Every veth pair as (namespace, interface, namespace, interface)."""
    pairs = [
        ("syd", "edge0", "client", "eth0"),
        ("syd", "host0", "gateway", "eth0"),
        ("mel", "local0", "wire", "lan.mel"),
        ("per", "local0", "wire", "lan.per"),
    ]
    pairs += [(endpoint.name, "eth0", "wire", endpoint.wire_port) for endpoint in ENDPOINTS]
    for link in LINKS:
        pairs.append((link.a, link.a_port, "wire", link.wire_port(link.a)))
        pairs.append((link.b, link.b_port, "wire", link.wire_port(link.b)))
    return pairs


def ip_commands():
    """`ip -batch` lines for each namespace, once the veths are there. Data planes' ports get no address:
    the kernel there must stay out of it."""
    commands = {name: ["link set dev lo up"] for name in NAMESPACES}
    for a, a_port, b, b_port in veths():
        commands[a].append(f"link set dev {a_port} up")
        commands[b].append(f"link set dev {b_port} up")
    for pop in sorted({endpoint.pop for endpoint in ENDPOINTS}):
        commands["wire"] += [f"link add switch.{pop} type bridge stp_state 0 forward_delay 0",
                             f"link set dev switch.{pop} up", f"link set dev lan.{pop} master switch.{pop}"]
    for endpoint in ENDPOINTS:
        commands["wire"].append(f"link set dev {endpoint.wire_port} master switch.{endpoint.pop}")
        commands[endpoint.name] += [f"address add {endpoint.address}/24 dev eth0",
                                    f"route add default via {endpoint.router}"]
    commands["client"] += [f"address add {CLIENT_ADDRESS}/24 dev eth0", "route add default via 198.51.100.1"]
    commands["gateway"] += [f"address add {GATEWAY_ADDRESS}/24 dev eth0", f"address add {ROUTED_VIP}/32 dev lo",
                            "route add 10.0.0.0/8 via 10.1.0.1", "route add 198.51.100.0/24 via 10.1.0.1"]
    return commands


def link(name):
    for candidate in LINKS:
        if candidate.name == name:
            return candidate
    raise KeyError(f"no link is named '{name}'; there are {', '.join(l.name for l in LINKS)}")


def endpoint(name):
    for candidate in ENDPOINTS:
        if candidate.name == name:
            return candidate
    raise KeyError(f"no endpoint is named '{name}'; there are {', '.join(e.name for e in ENDPOINTS)}")
