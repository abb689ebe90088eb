"""Tables and bars of scripts/bench router."""

from report import at_least, at_most, median, spread, table

OURS, OURS_ALL = "Perigee", "Perigee, all on"

# Row: its columns as (heading, field, digits). "+" before a field: what is added to the direct path in that round.
CPU = ("CPU us each", "cpu", 1)
COLUMNS = {
    "json": [("requests/s", "rate", 0), CPU],
    "json-tls": [("requests/s", "rate", 0), CPU],
    "full": [("handshakes/s", "rate", 0), CPU],
    "resumed": [("handshakes/s", "rate", 0), CPU],
    "open-500": [("answered/s", "rate", 0), ("p50 us", "whole_p50_us", 0), ("p99 us", "whole_p99_us", 0), ("added p50", "+whole_p50_us", 0),
                 ("added p99", "+whole_p99_us", 0), CPU],
    "prompts": [("TTFT p50 us", "first_p50_us", 0), ("p99 us", "first_p99_us", 0), ("added p50", "+first_p50_us", 0),
                ("added p99", "+first_p99_us", 0), CPU],
    "streams-200": [("TTFB p50 us", "first_p50_us", 0), ("p99 us", "first_p99_us", 0),
                    ("added p50", "+first_p50_us", 0), ("gap p50 us", "gap_p50_us", 0), ("gap p99 us", "gap_p99_us", 0),
                    ("added gap p99", "+gap_p99_us", 0), ("CPU us/event", "cpu", 2)],
    "memory": [("KB a stream", "memory", 1), ("answered", "answered", 0)],
    "memory-40k": [("KB a stream", "memory", 1), ("answered", "answered", 0), ("gateways", "gateways", 0), ("in flight at last", "left", 0),
                   ("let go in s", "let_go", 1)],
    "names": [("KB after 10k", "memory_few", 0), ("KB after 100k", "memory_many", 0), ("growth KB", "growth", 0),
              ("series after 10k", "series_few", 0), ("series after 100k", "series_many", 0)],
}
COLUMNS["open-5000"] = COLUMNS["open-500"]
COLUMNS["streams-8"] = COLUMNS["streams-1000"] = COLUMNS["streams-200"]
COLUMNS["memory-tls"] = COLUMNS["memory"]


def values(results, key, name, field):
    """One value for each round."""
    samples = results[key, name]
    if not field.startswith("+"):
        return [sample[field] for sample in samples]
    return [sample[field[1:]] - direct[field[1:]] for sample, direct in zip(samples, results[key, "direct"])]


def table_of(key, title, results, names):
    print(f"\n{title}: medians (range)\n")
    rows = []
    for name in names:
        if (key, name) not in results:
            continue
        row = [name]
        for _, field, digits in COLUMNS[key]:
            if name == "direct" and (field == "cpu" or field.startswith("+")):
                row.append("-")
                continue
            got = values(results, key, name, field)
            row.append(f"{median(got):.{digits}f} ({spread(got)})")
        rows.append(row)
    table(["peer"] + [heading for heading, _, _ in COLUMNS[key]], rows)


def bars(rows, results):
    """The bars of those rows that were measured."""
    out = []

    def ratio(key, field, ours, other, limit, what):
        if key in rows and (key, ours) in results and (key, other) in results:
            pairs = zip(values(results, key, ours, field), values(results, key, other, field))
            out.append(at_most(f"{what}: {ours} / {other}", median([a / b for a, b in pairs]), limit))

    def difference(key, field, other, what):
        """Medians of what is added or waited for: not above the peer's."""
        if key in rows and (key, OURS) in results and (key, other) in results:
            out.append(at_most(f"{what}, us: {OURS}, limit {other}'s", median(values(results, key, OURS, field)),
                               round(median(values(results, key, other, field)), 1)))

    ratio("json", "cpu", OURS, "haproxy", 1.0, "small JSON, CPU per request")
    ratio("json", "cpu", OURS_ALL, "haproxy, log", 1.3, "small JSON, CPU per request")
    ratio("json-tls", "cpu", OURS, "nginx", 1.1, "small JSON over TLS, CPU per request")
    ratio("full", "cpu", OURS, "nginx", 1.1, "full handshake, CPU")
    ratio("resumed", "cpu", OURS, "nginx", 1.1, "resumed handshake, CPU")
    for key in ("open-500", "open-5000"):
        difference(key, "+whole_p50_us", "haproxy", f"{key}, added p50")
        difference(key, "+whole_p99_us", "haproxy", f"{key}, added p99")
    difference("prompts", "+first_p50_us", "haproxy", "prompts, added TTFT p50")
    difference("prompts", "+first_p99_us", "haproxy", "prompts, added TTFT p99")
    if "streams-8" in rows and ("streams-8", OURS) in results and ("streams-8", "direct") in results:
        for field, what in (("+first_p50_us", "TTFB p50"), ("+gap_p99_us", "gap p99")):
            out.append(at_most(f"streams-8, {what} added to direct, us: {OURS}",
                               median(values(results, "streams-8", OURS, field)), 1000))
    for key in ("streams-200", "streams-1000"):
        difference(key, "first_p50_us", "nginx", f"{key}, TTFB p50")
        difference(key, "gap_p99_us", "nginx", f"{key}, gap p99")
    for key, limit in (("memory", 20), ("memory-tls", 45), ("memory-40k", 20)):
        if key in rows and (key, OURS) in results:
            out.append(at_most(f"{key}, KB of an idle stream", median(values(results, key, OURS, "memory")), limit))
    for name in (OURS, OURS_ALL):
        if "memory-40k" in rows and ("memory-40k", name) in results:
            found = results["memory-40k", name]
            out.append(at_least(f"memory-40k, least answered: {name}", min(one["answered"] for one in found), 40_000))
            out.append(at_most(f"memory-40k, most left in flight: {name}", max(one["left"] for one in found), 0))
        if "names" in rows and ("names", name) in results:
            out.append(at_most(f"names, growth in KB: {name}", median(values(results, "names", name, "growth")), 1024))
            out.append(at_most(f"names, series more after 100k than after 10k: {name}",
                               max(values(results, "names", name, "series_growth")), 0))
    return out
