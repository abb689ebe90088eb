"""What a tick of the control loop costs (test/bench/steering_bench.cc): route() and the full compile of 200 services,
each with 64 of 200 endpoints in 20 PoPs behind 64 links, on one core. The bar: half of a tick of 100 ms for both."""

import argparse
import json
import os
import subprocess
import sys

from report import at_most, median, report_bars, spread, table

TICK_MS = 100
PARTS = [("route_tick", "route()"), ("compile_table", "compile(), encode()")]


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench steering", description=__doc__)
    parser.add_argument("--build-dir", default="build/release")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    program = os.path.join(arguments.build_dir, "test", "bench", "steering_bench")
    done = subprocess.run(["taskset", "-c", "1", program, f"--benchmark_repetitions={arguments.rounds}",
                           "--benchmark_format=json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr + done.stdout)
    runs = [run for run in json.loads(done.stdout)["benchmarks"] if run["run_type"] == "iteration"]
    rows, total = [], 0
    for name, what in PARTS:
        times = [run["cpu_time"] for run in runs if run["name"].startswith(name)]
        total += median(times)
        rows.append([what, f"{median(times):.1f} ({spread(times)})"])
    table(["part", "CPU ms of one core (range)"], rows + [["both", f"{total:.1f}"]])
    return report_bars([at_most("route() and compile(), share of a 100 ms tick", total / TICK_MS, 0.5)])


if __name__ == "__main__":
    sys.exit(main())
