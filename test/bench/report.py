"""What the parts of a bench share: medians, tables and bars."""

import statistics
from dataclasses import dataclass


@dataclass
class Bar:
    text: str
    met: bool


def median(values):
    return statistics.median(values)


def spread(values):
    return f"{min(values):.3g}-{max(values):.3g}"


def at_most(what, value, limit):
    return Bar(f"{what}: {value:.2f}, at most {limit}", value <= limit)


def at_least(what, value, limit):
    return Bar(f"{what}: {value:.2f}, at least {limit}", value >= limit)


def table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("| " + " | ".join("---" for _ in header) + " |")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)


def report_bars(bars):
    """Prints each bar; the exit status of a bench: 1 when one is missed."""
    print("\n## bars\n")
    for bar in bars:
        print(f"{'pass' if bar.met else 'FAIL'}  {bar.text}")
    return 0 if all(bar.met for bar in bars) else 1
