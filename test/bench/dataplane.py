"""scripts/bench dataplane: runs the parts, prints their tables and bars, and fails when a bar is missed."""

import argparse
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import fastpath  # noqa: E402
import idle  # noqa: E402
import paths  # noqa: E402
from report import report_bars  # noqa: E402
from topology import leave_nothing_behind  # noqa: E402

PARTS = {"fastpath": fastpath.run, "paths": paths.run, "idle": idle.run}


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench dataplane")
    parser.add_argument("--build-dir", default="build/release")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--part", choices=PARTS, action="append")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    leave_nothing_behind()
    bars = []
    for name in options.part or PARTS:
        print(f"\n## {name}\n", flush=True)
        bars += PARTS[name](options.build_dir, options.rounds)
    return report_bars(bars)


if __name__ == "__main__":
    sys.exit(main())
