"""scripts/lab itself: its verbs, as an ordinary user in user namespaces; what it refuses."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest

import lab_case
import observe
import rundir

SCRIPT = os.path.join(rundir.SOURCE_DIR, "scripts", "lab")
NOBODY = 65534


def as_ordinary_user():
    """What to put before a command so that it runs without any privilege."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all",
            "--bounding-set=-all"]


def reason_not_to():
    """Why there can be no lab as an ordinary user here, or None."""
    program = os.path.join(lab_case.BUILD_DIR, "bin", "perigee")
    if subprocess.call(as_ordinary_user() + ["test", "-x", program, "-a", "-r", SCRIPT]) != 0:
        return f"an ordinary user cannot read {lab_case.BUILD_DIR}"
    attempt = subprocess.run(as_ordinary_user() + ["unshare", "--user", "--map-root-user", "--net", "true"],
                             capture_output=True, text=True, check=False)
    return f"no user namespaces: {attempt.stderr.strip()}" if attempt.returncode else None


class CommandTest(unittest.TestCase):
    def setUp(self):
        reason = reason_not_to()
        if reason:
            self.skipTest(reason)
        self.home = tempfile.mkdtemp(prefix="perigee-command-", dir=rundir.base())
        os.chmod(self.home, 0o777)
        self.run_dir = os.path.join(self.home, "lab")
        self.addCleanup(lambda: shutil.rmtree(self.home, ignore_errors=True))
        self.addCleanup(self.lab, "down")

    def lab(self, *arguments, status=0):
        """The output of scripts/lab, which must end with `status`."""
        # A file, as the programs it starts would keep a pipe open.
        with tempfile.TemporaryFile("w+") as output:
            code = subprocess.call(as_ordinary_user() + [SCRIPT, "--run", self.run_dir, *arguments],
                                   stdout=output, stderr=output)
            output.seek(0)
            text = output.read()
        self.assertEqual(code, status, text)
        return text

    def state(self):
        return json.loads(self.lab("status", "--json"))

    def test_every_verb(self):
        self.assertIn("there was no lab", self.lab("down"))
        self.assertIn("no lab is up", self.lab("status", status=1))
        self.lab("up", "--gentle", "--build-dir", lab_case.BUILD_DIR)
        self.assertIn("already up", self.lab("up", status=1))
        self.assertTrue(all(self.state()["processes"].values()))
        answer = self.lab("exec", "client", "--", "curl", "-s", "-m", "20", "http://203.0.113.10:8000/v1/models")
        self.assertIn("lab-model", answer)

        self.lab("delay", "syd-per", "33")
        self.lab("loss", "syd-per", "50")
        wire = self.state()["links"]["syd-per"]["wire"]
        self.assertEqual((wire["delay_ms"], wire["loss_percent"]), (33, 50))
        self.lab("cut", "syd-per", "--carrier")
        self.assertTrue(self.state()["links"]["syd-per"]["wire"]["cut"])
        self.lab("restore", "syd-per")
        wire = self.state()["links"]["syd-per"]["wire"]
        self.assertEqual((wire["delay_ms"], wire["loss_percent"], wire["cut"]), (20, 0, False))

        for kill, start, what, process in (("kill-endpoint", "start-endpoint", ["mel-1"], "endpoint-mel-1"),
                                           ("kill-dataplane", "start-dataplane", ["per"], "dataplane-per"),
                                           ("kill-gateway", "start-gateway", [], "gateway")):
            self.lab(kill, *what)
            self.assertIn("not running", self.lab(kill, *what, status=1))
            self.assertIsNone(self.state()["processes"].get(process))
            self.lab(start, *what)
            self.assertIsNotNone(self.state()["processes"][process])

        self.assertIn("no link is named", self.lab("cut", "syd-lax", status=1))
        self.assertIn("no endpoint is named", self.lab("kill-endpoint", "mel-9", status=1))
        pids = [pid for pid in self.state()["processes"].values() if pid]
        self.assertIn("the lab is down", self.lab("down"))
        self.assertIn("there was no lab", self.lab("down"))
        observe.wait_for("none of its processes is left",
                         lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))
        self.assertFalse(os.path.exists(self.run_dir))


if __name__ == "__main__":
    lab_case.main()
