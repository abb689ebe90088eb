"""scripts/demo, once everything is built: brings the lab up, drives requests, lets the demo break things, cleans
up, and says whether all of it behaved."""

import argparse
import fcntl
import os
import signal
import sys
import time

import drive
import namespaces
import process
import routed
import rundir
import topology
from demo_screen import Screen
from demo_steps import Demo
from lab import DRIVERS, Lab, LabError

SKIPPED = 77

LOOK_AROUND = """The lab is still up. Look around:
  scripts/lab status
  scripts/lab exec gateway -- {bin}/perigee links
  scripts/lab exec gateway -- {bin}/perigee explain chat --client 198.51.100.10
  scripts/lab exec client -- curl -s http://203.0.113.10:8000/v1/models
  scripts/lab exec client -- curl -s --cacert {certificate} --resolve {name}:443:{vip} https://{name}/v1/models
  scripts/lab exec gateway -- curl -s http://127.0.0.1:8620/metrics
  scripts/lab cut syd-mel-a;  scripts/lab restore syd-mel-a;  scripts/lab delay syd-per 1
and end it with scripts/lab down"""


def client_of_routed(lab, screen):
    """The kind of routed.Call that asks for routed requests."""
    try:
        routed.SdkCall.install(os.path.join(lab.build_dir, "test", "sdk"))
        return routed.SdkCall
    except routed.npm_packages.NotToBeHad as reason:
        screen.say(f"curl will ask for routed requests, as the official OpenAI SDK cannot be had: {reason}")
        return routed.Call


def demonstrate(lab, screen, kind):
    began = time.monotonic()
    load = drive.Load(lab, new=100, keep=8, keep_rate=50)
    demo = Demo(lab, load, screen, kind)
    screen.watch(lab, load)
    try:
        demo.run()
    finally:
        screen.stop()
        load.stop()
    records = load.records()
    failed = sum(bool(r["error"]) for r in records)
    screen.say(f"\n{len(records)} requests in {time.monotonic() - began:.0f} s, {failed} failed, all in the outages "
               "named above" if not demo.problems else f"\n{len(records)} requests, {failed} failed")
    for problem in demo.problems:
        screen.say(f"PROBLEM: {problem}")
    screen.say("It all behaved." if not demo.problems else "It did not behave.")
    return 1 if demo.problems else 0


def bring_up_and_demonstrate(lab, screen, keep):
    """The exit status; the lab is down again, unless `keep`."""
    code, ours = 1, False
    try:
        kind = client_of_routed(lab, screen)
        screen.say("bringing up three PoPs, a client and a gateway ...")
        lab.up()
        ours = True
        code = demonstrate(lab, screen, kind)
    except namespaces.Unsupported as reason:
        screen.say(f"scripts/demo: {reason}")
        code = SKIPPED
    except (LabError, process.ProcessError, RuntimeError) as error:
        screen.say(f"scripts/demo: {error}")
    except KeyboardInterrupt:
        screen.say("interrupted")
        code = 130
    finally:
        if keep and ours:
            screen.say(LOOK_AROUND.format(bin=f"{lab.build_dir}/bin", certificate=lab.certificate,
                                          name=topology.ROUTED_NAME, vip=topology.ROUTED_VIP))
        elif not keep:
            lab.down(keep_logs=code == 1)
            if code == 1 and os.path.isdir(lab.failed_logs):
                screen.say(f"the logs of its programs are in {lab.failed_logs}")
    return code


def main():
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--build-dir", help="where the programs are (default build/release)")
    parser.add_argument("--driver", choices=DRIVERS, default=DRIVERS[0], help="of the data planes' ports")
    parser.add_argument("--keep", action="store_true", help="leave the lab running at the end")
    given = parser.parse_args()
    screen = Screen()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up as after ^C
    # A lab of its own, unless it is to stay: then the one that scripts/lab speaks to.
    own = os.path.join(rundir.base(), f"perigee-demo-{os.geteuid()}")
    with open(own + ".lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            screen.say("scripts/demo: another one is running")
            sys.exit(1)
        Lab(own).down()  # what a demo that was killed has left
        run = rundir.default() if given.keep else own
        sys.exit(bring_up_and_demonstrate(Lab(run, given.build_dir, given.driver), screen, given.keep))


if __name__ == "__main__":
    main()
