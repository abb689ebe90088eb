"""scripts/lab: the lab's command line."""

import argparse
import json
import os
import subprocess
import sys

import namespaces
import process
import topology
from lab import DRIVERS, Lab, LabError
from wire import WireError

SKIPPED = 77
DESCRIPTION = """Three PoPs (syd, mel, per), a client and a gateway in network namespaces of this machine, each
PoP with its own data plane, links through a delay line. As root or as an ordinary user with user namespaces."""


def parser():
    top = argparse.ArgumentParser(prog="scripts/lab", description=DESCRIPTION)
    top.add_argument("--run", help="run directory (default: $PERIGEE_LAB_RUN or one of this user)")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name, text, *positional):
        added = verbs.add_parser(name, help=text, description=text)
        for argument in positional:
            added.add_argument(argument)
        return added

    up = verb("up", "bring it up")
    up.add_argument("--build-dir", help="where the programs are (default build/release)")
    up.add_argument("--driver", choices=DRIVERS, default=DRIVERS[0], help="of the data planes' ports")
    up.add_argument("--gentle", action="store_true",
                    help="for a slow machine: links are down after 20 silent probe intervals, not 3")
    verb("down", "end it; nothing is left")
    verb("status", "what runs, the links as the wires and as the data planes have them").add_argument(
        "--json", action="store_true")
    run = verb("exec", "run a command in a namespace: " + ", ".join(topology.NAMESPACES), "name")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- command")
    verb("delay", "set a link's delay, each way", "link", "ms")
    verb("loss", "set a link's loss, each way", "link", "percent")
    verb("cut", "cut a link silently", "link").add_argument("--carrier", action="store_true",
                                                            help="take the ports' carrier away too")
    verb("restore", "make a link as it was", "link")
    verb("kill-endpoint", "kill an endpoint's process", "name").add_argument(
        "--silent", action="store_true", help="as when its host dies: no FIN, RST or ICMP")
    verb("start-endpoint", "start it again", "name")
    verb("kill-dataplane", "kill -9 a PoP's data plane", "pop")
    verb("start-dataplane", "start it again", "pop")
    verb("kill-gateway", "kill -9 the gateway")
    verb("start-gateway", "start it again")
    return top


def status(lab):
    wires = lab.wire.status() if lab.processes.pid("wire") else {}
    links = {}
    for link in topology.LINKS:
        ends = {}
        for pop in (link.a, link.b):
            snapshot = lab.telemetry(pop)
            seen = snapshot.link(link.name) if snapshot else None
            ends[pop] = {"state": seen.state if seen else None,
                         "rtt_p50_ms": seen.window.p50_ms if seen and seen.window else None,
                         "rtt_p99_ms": seen.window.p99_ms if seen and seen.window else None}
        links[link.name] = {"wire": wires.get(link.name), "ends": ends}
    return {"run": lab.run, "build_dir": lab.build_dir, "driver": lab.driver,
            "processes": {name: lab.processes.pid(name) for name in lab.processes.names()}, "links": links}


def print_status(state):
    print(f"lab in {state['run']}, programs of {state['build_dir']}, ports {state['driver']}\n")
    for name, pid in state["processes"].items():
        print(f"  {name:18} {'pid ' + str(pid) if pid else 'DEAD'}")
    print(f"\n  {'link':12} {'wire, each way':>18}   measured (p50, p99 in ms)")
    for name, link in state["links"].items():
        wire = link["wire"]
        text = "gone" if not wire else "cut" if wire["cut"] else \
            f"{wire['delay_ms']:g} ms" + (f", {wire['loss_percent']:g} % lost" if wire["loss_percent"] else "")
        ends = []
        for pop, end in link["ends"].items():
            figures = f" {end['rtt_p50_ms']:.2f} {end['rtt_p99_ms']:.2f}" if end["rtt_p50_ms"] else ""
            ends.append(f"{pop}: {end['state'] or 'unknown'}{figures}")
        print(f"  {name:12} {text:>18}   " + "; ".join(ends))


def execute(lab, name, command):
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        command = [os.environ.get("SHELL", "/bin/sh")]
    return subprocess.call(lab.spaces.prefix(name) + command)


def act(lab, given):
    if given.verb == "up":
        lab.up()
        print(f"the lab is up (run directory {lab.run}); scripts/lab status, scripts/lab down")
        return 0
    if given.verb == "down":
        print("the lab is down" if lab.down() else "there was no lab")
        return 0
    if not lab.is_up():
        print("scripts/lab: no lab is up; scripts/lab up", file=sys.stderr)
        return 1
    if given.verb == "exec":
        return execute(lab, given.name, given.command)
    if given.verb == "status":
        state = status(lab)
        print(json.dumps(state, indent=2)) if given.json else print_status(state)
        return 0
    actions = {
        "delay": lambda: lab.wire.delay(given.link, given.ms),
        "loss": lambda: lab.wire.loss(given.link, given.percent),
        "cut": lambda: lab.cut(given.link, given.carrier),
        "restore": lambda: lab.restore(given.link),
        "kill-endpoint": lambda: lab.kill_endpoint(given.name, given.silent),
        "start-endpoint": lambda: lab.start_endpoint(given.name),
        "kill-dataplane": lambda: lab.kill_dataplane(given.pop),
        "start-dataplane": lambda: lab.start_dataplane(given.pop),
        "kill-gateway": lab.kill_gateway,
        "start-gateway": lab.start_gateway,
    }
    if actions[given.verb]() is False:
        print("it was not running", file=sys.stderr)
        return 1
    return 0


def main():
    given = parser().parse_args()
    lab = Lab(given.run, getattr(given, "build_dir", None), getattr(given, "driver", DRIVERS[0]),
              getattr(given, "gentle", False))
    try:
        sys.exit(act(lab, given))
    except namespaces.Unsupported as reason:
        print(f"scripts/lab: {reason}", file=sys.stderr)
        sys.exit(SKIPPED)
    except (LabError, WireError, process.ProcessError, KeyError, RuntimeError) as error:
        print(f"scripts/lab: {error.args[0] if error.args else error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
