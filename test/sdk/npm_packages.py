"""Packages from npm, exactly those of a package-lock.json beside a package.json."""

import filecmp
import os
import re
import shutil
import subprocess

PATIENCE_S = 240
# Of npm's error codes, those of a network or registry that does not answer.
UNREACHABLE = re.compile(r"E(NOTFOUND|CONNREFUSED|CONNRESET|TIMEDOUT|AI_AGAIN|NETUNREACH|HOSTUNREACH|SOCKETTIMEDOUT|"
                         r"RR_SOCKET_TIMEOUT|NOTCACHED|40[37]|5\d\d)")
FORBIDDEN = ("EACCES", "EPERM", "EROFS")  # to write where it wants to


class NotToBeHad(Exception):
    """What is missing: a program, or the registry's answer."""


def install(source, directory, patience_s=PATIENCE_S):
    """Into `directory`, unless they are there already; no script of theirs is run. Raises NotToBeHad, and AssertionError
    where npm refuses what is pinned."""
    for program, package in (("node", "nodejs"), ("npm", "npm")):
        if not shutil.which(program):
            raise NotToBeHad(f"{program} (package {package}) is not installed")
    lock, installed = os.path.join(source, "package-lock.json"), os.path.join(directory, "installed.json")
    if os.path.exists(installed) and filecmp.cmp(lock, installed, shallow=False):
        return
    try:
        os.makedirs(directory, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(source, name), directory)
    except PermissionError as error:
        raise NotToBeHad(f"{directory} is not ours to write: {error.strerror}") from None
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=patience_s, check=False)
    except subprocess.TimeoutExpired:
        raise NotToBeHad(f"npm did not install its packages within {patience_s} s") from None
    if done.returncode != 0:
        code = re.search(r"code (E\w+)", done.stderr)
        if code and UNREACHABLE.fullmatch(code.group(1)):
            raise NotToBeHad(f"npm cannot reach its registry: {code.group(1)}")
        if code and code.group(1) in FORBIDDEN:
            raise NotToBeHad(f"npm may not write: {code.group(1)}")
        raise AssertionError(f"npm does not install what is pinned: {done.stderr}")
    shutil.copy(lock, installed)
