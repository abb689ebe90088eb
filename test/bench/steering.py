"""What a tick of the control loop costs (test/bench/steering_bench.cc): route() and the full compile of 200 services,
each with 64 of 200 endpoints in 20 PoPs behind 64 links, on one core. The bar: half of a tick of 100 ms for both.
What a request's choice costs (test/bench/choice_bench.cc): choose() among all endpoints that one model may have, with the
line of its record. The bar: 20 us for 99 of 100."""

import argparse
import json
import os
import subprocess
import sys

from report import at_most, median, report_bars, spread, table

TICK_MS = 100
CHOICE_US = 20
PARTS = [("route_tick", "route()"), ("compile_table", "compile(), encode()")]
CHOICES = [("choose_alone", "no prefix is kept together"), ("choose_by_prefix", "prefixes are kept together")]


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
    bars = [at_most("route() and compile(), share of a 100 ms tick", total / TICK_MS, 0.5)]
    rows = []
    for name, what in CHOICES:
        mine = [run for run in runs if run["name"].startswith(name)]
        usual, slow, raw = ([run[part] for run in mine] for part in ("p50_us", "p99_us", "interrupted_p99_us"))
        rows.append([what, f"{median(usual):.1f}", f"{median(slow):.1f} ({spread(slow)})", f"{median(raw):.1f}"])
        bars.append(at_most(f"choose() with its record, {what}, p99 in us", median(slow), CHOICE_US))
    print()
    table(["choose() with its record", "CPU us, p50", "p99 (range)", "p99 with interruptions"], rows)
    return report_bars(bars)


if __name__ == "__main__":
    sys.exit(main())
