"""What the lab's tests share: where the programs are, a run directory of their own, a lab for a test class.

The tests run on slow shared machines: they assert what happens, not when. Bounds of waiting are generous, and
the lab is gentle: a link is down only after 20 silent probe intervals and a health check may take 2 s, so that
a starved process is not taken for a dead one.
"""

import fcntl
import os
import re
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import lab as lab_module  # noqa: E402
import namespaces  # noqa: E402
import observe  # noqa: E402
import rundir  # noqa: E402

SKIPPED = 77  # what CTest takes as "skipped"
PATIENCE_S = 30.0

BUILD_DIR = os.environ.get("PERIGEE_BUILD_DIR", os.path.join(rundir.SOURCE_DIR, "build", "dev"))
RUN_DIR = rundir.for_build(BUILD_DIR)

wait_for = observe.wait_for


class LabCase(unittest.TestCase):
    """A lab for the whole class; `self.lab`. What a test breaks it restores."""

    lab = None

    @classmethod
    def setUpClass(cls):
        # Another run of the tests of this build waits: the lab is of the build directory.
        lock = open(RUN_DIR + ".lock", "w", encoding="utf-8")
        cls.addClassCleanup(lock.close)
        fcntl.flock(lock, fcntl.LOCK_EX)
        cls.lab = lab_module.Lab(RUN_DIR, BUILD_DIR, gentle=True)
        cls.lab.down()  # of a test that was killed
        cls.addClassCleanup(cls._down)
        began = time.monotonic()
        cls.lab.up()
        print(f"the lab came up in {time.monotonic() - began:.1f} s", file=sys.stderr)

    @classmethod
    def _down(cls):
        """Ends it, and fails the class when a sanitizer or an assertion of ours had something to say."""
        logs = cls.lab.processes.logs
        names = sorted(os.listdir(logs)) if os.path.isdir(logs) else []
        cls.lab.processes.stop_all()
        bad = []
        for name in names:
            with open(os.path.join(logs, name), encoding="utf-8", errors="replace") as file:
                text = file.read()
            report = re.search(r"^.*(Sanitizer|runtime error:|terminate called|Assertion).*$", text, re.M)
            if report:
                bad.append(f"{name}: {text[report.start():][:4000]}")
        cls.lab.down()
        if bad:
            raise AssertionError("a program reported a fault:\n" + "\n".join(bad))

    def driven(self, child):
        """Stops the load or stream at the end of the test."""
        self.addCleanup(child.stop)
        return child

    def assert_served_since(self, load, since_ns, requests=30):
        """So many requests that started after `since_ns` were answered, and none of them failed."""
        wait_for(f"{requests} answers", lambda: len(load.succeeded(since_ns)) >= requests, patience=60)
        self.assertEqual(load.failed(since_ns), [])


def main():
    """Runs the tests of the program that was started; what was skipped is said in scripts/test's words."""
    try:
        namespaces.check_support()
    except namespaces.Unsupported as reason:
        print(f"SKIPPED: {reason}")
        sys.exit(SKIPPED)
    result = unittest.main(verbosity=2, exit=False).result
    for _, reason in result.skipped:
        print(f"SKIPPED: {reason}")
    sys.exit(not result.wasSuccessful())
