"""The official OpenAI SDK for Node asks the gateway: npm installs the pinned version, openai.test.mjs uses it."""

import os
import shutil
import subprocess
import unittest

import npm_packages
import served

HERE = os.path.dirname(os.path.abspath(__file__))


def install():
    """The directory in which the SDK is; raises SkipTest where it cannot be had."""
    directory = os.path.join(served.BUILD_DIR, "test", "sdk")
    try:
        npm_packages.install(HERE, directory)
    except npm_packages.NotToBeHad as reason:
        raise unittest.SkipTest(str(reason)) from None
    shutil.copy(os.path.join(HERE, "openai.test.mjs"), directory)
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
