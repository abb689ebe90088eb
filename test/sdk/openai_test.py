"""The official OpenAI SDK for Node asks the gateway: npm installs the pinned version, openai.test.mjs uses it."""

import filecmp
import os
import re
import shutil
import subprocess
import unittest

import served

HERE = os.path.dirname(os.path.abspath(__file__))
NPM_PATIENCE_S = 240
# Of npm's error codes, those of a network or registry that does not answer.
UNREACHABLE = re.compile(r"E(NOTFOUND|CONNREFUSED|CONNRESET|TIMEDOUT|AI_AGAIN|NETUNREACH|HOSTUNREACH|SOCKETTIMEDOUT|"
                         r"RR_SOCKET_TIMEOUT|NOTCACHED|40[37]|5\d\d)")


def install():
    """The directory in which the SDK is; raises SkipTest where it cannot be had."""
    for program, package in (("node", "nodejs"), ("npm", "npm")):
        if not shutil.which(program):
            raise unittest.SkipTest(f"{program} (package {package}) is not installed")
    directory = os.path.join(served.BUILD_DIR, "test", "sdk")
    lock, installed = os.path.join(HERE, "package-lock.json"), os.path.join(directory, "installed.json")
    os.makedirs(directory, exist_ok=True)
    for name in ("package.json", "package-lock.json", "openai.test.mjs"):
        shutil.copy(os.path.join(HERE, name), directory)
    if os.path.exists(installed) and filecmp.cmp(lock, installed, shallow=False):
        return directory
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=NPM_PATIENCE_S,
                              check=False)
    except subprocess.TimeoutExpired:
        raise unittest.SkipTest(f"npm did not install the SDK within {NPM_PATIENCE_S} s") from None
    if done.returncode != 0:
        code = re.search(r"code (E\w+)", done.stderr)
        if code and UNREACHABLE.fullmatch(code.group(1)):
            raise unittest.SkipTest(f"npm cannot reach its registry: {code.group(1)}")
        raise AssertionError(f"npm does not install what is pinned: {done.stderr}")
    shutil.copy(lock, installed)
    return directory


class OpenaiTest(served.ServedCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = install()
        super().setUpClass()

    def test_the_sdk_is_served(self):
        (dead,) = served.free_ports(1)
        endpoints = " ".join(f"http://{self.address}:{self.endpoints[name]}/metrics" for name in ("one", "two"))
        environment = {**os.environ, "BASE_URL": self.base_url, "SECRET": served.SECRET, "ENDPOINTS": endpoints,
                       "FRAGILE_PID": str(self.processes.pid("fragile")), "DEAD_PORT": str(dead),
                       "NODE_EXTRA_CA_CERTS": self.certificate}
        done = subprocess.run(["node", "openai.test.mjs"], cwd=self.directory, env=environment, capture_output=True,
                              text=True, timeout=300, check=False)
        print(done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout[-20000:] + done.stderr)
        self.wait_for("a retry of the SDK in the log", lambda: any(line.get("client_retry") for line in self.lines()))


if __name__ == "__main__":
    served.main()
