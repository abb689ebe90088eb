"""What the lab's tests share: where the programs are, a run directory of their own, waiting for events.

Bounds of waiting are generous: the tests run on slow shared machines, and assert what happens, not when.
"""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import namespaces  # noqa: E402
import rundir  # noqa: E402

SKIPPED = 77  # what CTest takes as "skipped"
PATIENCE_S = 30.0

BUILD_DIR = os.environ.get("PERIGEE_BUILD_DIR", os.path.join(rundir.SOURCE_DIR, "build", "dev"))
RUN_DIR = rundir.for_build(BUILD_DIR)


def wait_for(what, condition, patience=PATIENCE_S, every=0.02):
    """What `condition()` returned once it is true; AssertionError naming `what` when it never is."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:.0f} s in vain for: {what}")
        time.sleep(every)


def main():
    try:
        namespaces.check_support()
    except namespaces.Unsupported as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
