"""Nanoseconds per packet without port I/O: ours beside an rte_hash prototype that does the same work, pass by pass in
one process (test/bench/fastpath_bench.cc). "least" is the quickest pass of 512 packets: what is left when other
programs on the machine are taken away."""

import json
import os
import subprocess

from report import at_most, median, spread, table

STAGES = ["parse", "classify", "forward"]


def run(build_dir, rounds):
    program = os.path.join(build_dir, "test", "bench", "fastpath_bench")
    done = subprocess.run(["taskset", "-c", "1", program, str(rounds)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr + done.stdout)
    rows, stages, bars = [], [], []
    for row in map(json.loads, done.stdout.splitlines()):
        ratio = median([ours / theirs for ours, theirs in zip(row["ours_ns"], row["rte_hash_ns"])])
        ours = median(row["ours_ns"])
        rows.append([row["case"], f"{ours:.1f} ({spread(row['ours_ns'])})", f"{ours * row['cycles_per_ns']:.0f}",
                     f"{median(row['rte_hash_ns']):.1f}", f"{ratio:.2f}", f"{row['ours_least_ns']:.1f}",
                     f"{row['rte_hash_least_ns']:.1f}", f"{row['ours_least_ns'] / row['rte_hash_least_ns']:.2f}"])
        stages.append([row["case"]] + [f"{stage:.1f}" for stage in row["stages_ns"]])
        bars.append(at_most(f"{row['case']}: ours / rte_hash", ratio, 0.9))
    table(["case", "ours ns (range)", "TSC cycles", "rte_hash ns", "ratio", "ours least", "rte_hash least", "ratio"],
          rows)
    print()
    table(["ours, least ns of a stage"] + STAGES, stages)
    return bars
