"""What the lab's tests and the demo look at: which link takes new connections, when a link was left."""

import time
from dataclasses import dataclass

import topology

# A link is down when M probe intervals passed without a reply; 20 ms for the machine to notice.
CUT_LIMIT_MS = 1000 * topology.DETECT * topology.PROBE_INTERVAL_S + 20

EDGE_LINKS = tuple(link.name for link in topology.LINKS if topology.GATEWAY_POP in (link.a, link.b))


class NotSeen(Exception):
    """What was waited for did not come."""


def wait_for(what, condition, patience=30.0, every=0.02):
    """What `condition()` returned once it is true; NotSeen naming `what` when it never is."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise NotSeen(f"waited {patience:.0f} s in vain for: {what}")
        time.sleep(every)


def link_state(lab, link, pop=topology.GATEWAY_POP):
    snapshot = lab.telemetry(pop)
    seen = snapshot.link(link) if snapshot else None
    return seen.state if seen else "unknown"


def wait_state(lab, link, state, pop=topology.GATEWAY_POP, patience=30.0):
    wait_for(f"{link} is {state} at {pop}", lambda: link_state(lab, link, pop) == state, patience)


def opened(lab):
    """How many SYNs of clients the edge PoP has sent into each link: {link: (count, when the last, in ns)}."""
    status = lab.wire.status()
    seen = {name: status[name]["a_to_b"]["watched"][topology.SNAT_ADDRESS] for name in EDGE_LINKS}
    return {name: (count["tcp_syn"], count["last_tcp_syn_ns"]) for name, count in seen.items()}


def carried(lab, address=topology.SNAT_ADDRESS):
    """How many TCP segments from or to `address` entered each link, both ways together: those of clients of the
    forwarded service, or with the gateway's address its own, which are routed requests and health checks."""
    status = lab.wire.status()
    return {link.name: sum(status[link.name][way]["watched"][address]["tcp"] for way in ("a_to_b", "b_to_a"))
            for link in topology.LINKS}


def wait_new_flows(lab, links, patience=30.0, enough=10):
    """Waits until `enough` connections in a row were opened over `links` and no other, while load runs; the
    time of the last one over another link, CLOCK_MONOTONIC ns."""
    def others(state):
        return {name: value for name, value in state.items() if name not in links}

    before = opened(lab)
    deadline = time.monotonic() + patience
    while True:
        time.sleep(0.05)
        now = opened(lab)
        if others(now) != others(before):
            before = now
        elif sum(now[name][0] - before[name][0] for name in links) >= enough:
            return max(last for _, last in others(now).values())
        if time.monotonic() > deadline:
            raise NotSeen(f"waited {patience:.0f} s in vain for new connections over {', '.join(links)} only")


@dataclass(frozen=True)
class Cut:
    link: str
    at_ns: int
    left_ms: float  # from the cut until the data plane left the link
    last_syn_ms: float  # from the cut until the last new connection tried it; negative: none did


def cut(lab, link, patience=30.0):
    """Cuts silently and waits until the edge PoP's data plane has seen it."""
    at_ns = lab.cut(link)
    wait_state(lab, link, "down", patience=patience)
    down_ns = lab.telemetry().link(link).state_since_ns
    time.sleep(0.05)  # what is on its way into the wire is counted
    last_syn_ns = opened(lab)[link][1]
    return Cut(link, at_ns, (down_ns - at_ns) / 1e6, (last_syn_ns - at_ns) / 1e6)


def restore(lab, link, patience=90.0):
    """Makes the link whole and waits until it is up; a link that went down often is held off for long."""
    lab.restore(link)
    wait_state(lab, link, "up", patience=patience)


