"""Nanoseconds per packet without port I/O: ours beside an rte_hash prototype that does the same rewrite on the same
pages, round by round in one process (test/bench/fastpath_bench.cc)."""

import json
import os
import subprocess

from report import at_most, median, spread, table


def run(build_dir, rounds):
    program = os.path.join(build_dir, "test", "bench", "fastpath_bench")
    done = subprocess.run(["taskset", "-c", "1", program, "--rounds", str(rounds)], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr + done.stdout)
    rows, bars = [], []
    for row in map(json.loads, done.stdout.splitlines()):
        ratios = [ours / theirs for ours, theirs in zip(row["ours_ns"], row["rte_hash_ns"])]
        ours = median(row["ours_ns"])
        rows.append([row["case"], f"{ours:.1f} ({spread(row['ours_ns'])})", f"{ours * row['cycles_per_ns']:.0f}",
                     f"{median(row['rte_hash_ns']):.1f}", f"{median(ratios):.2f}"])
        bars.append(at_most(f"{row['case']}: ours / rte_hash", median(ratios), 0.9))
    table(["case", "ours ns (range)", "cycles", "rte_hash ns", "ratio"], rows)
    return bars
