"""Processes that outlive the command that started them: each is known by pid and start time, so that a
number the kernel gave to somebody else meanwhile is never signalled."""

import json
import os
import signal
import subprocess
import time


class ProcessError(Exception):
    pass


def start_time(pid):
    """The start of `pid` in clock ticks since boot, or None when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


class Processes:
    """The processes of one lab, remembered in its run directory."""

    def __init__(self, run):
        self.pids = os.path.join(run, "pid")
        self.logs = os.path.join(run, "log")

    def start(self, name, command, env=None):
        if self.pid(name):
            raise ProcessError(f"{name} is already running (pid {self.pid(name)})")
        os.makedirs(self.pids, mode=0o700, exist_ok=True)
        os.makedirs(self.logs, mode=0o700, exist_ok=True)
        with open(self.log_path(name), "ab") as log:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                                     start_new_session=True)
        record = os.path.join(self.pids, name)
        with open(record + ".new", "w", encoding="utf-8") as file:
            json.dump({"pid": child.pid, "start": start_time(child.pid)}, file)
        os.rename(record + ".new", record)
        self._children[child.pid] = child
        return child.pid

    # Children of this very command, to be reaped; the kernel keeps a zombie until then.
    _children = {}

    def pid(self, name):
        """Of the running process, or None."""
        try:
            with open(os.path.join(self.pids, name), encoding="utf-8") as file:
                record = json.load(file)
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return record["pid"] if start_time(record["pid"]) == record["start"] is not None else None

    def names(self):
        try:
            return sorted(name for name in os.listdir(self.pids) if not name.endswith(".new"))
        except FileNotFoundError:
            return []

    def stop(self, name, first=signal.SIGTERM, patience=5.0):
        """Ends it; True when it was running. SIGKILL after `patience` seconds."""
        pid = self.pid(name)
        if pid:
            os.kill(pid, first)
            deadline = time.monotonic() + patience
            while self.pid(name):
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                    deadline += patience
                time.sleep(0.005)
            if pid in self._children:
                self._children.pop(pid).wait()
        try:
            os.unlink(os.path.join(self.pids, name))
        except FileNotFoundError:
            pass
        return pid is not None

    def wait(self, name, patience=60.0):
        """The exit status of a program that this very command started; it must end by itself."""
        with open(os.path.join(self.pids, name), encoding="utf-8") as file:
            child = self._children[json.load(file)["pid"]]
        try:
            return child.wait(patience)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"{name} still runs; it said:\n{self.log_tail(name)}") from None

    def stop_all(self, patience=3.0):
        """Ends them all, the namespaces' holder last; True when there was anything to end."""
        names = self.names()
        for name in sorted(names, key=lambda n: (n == "holder", n)):
            self.stop(name, patience=patience)
        return bool(names)

    def wait_ready(self, name, word="ready", patience=30.0):
        """Waits until the program has printed `word`."""
        deadline = time.monotonic() + patience
        while word not in self.log_tail(name):
            if not self.pid(name) or time.monotonic() > deadline:
                raise ProcessError(f"{name} did not start; it said:\n{self.log_tail(name)}")
            time.sleep(0.01)

    def log_path(self, name):
        return os.path.join(self.logs, f"{name}.log")

    def log_tail(self, name, lines=15):
        try:
            with open(self.log_path(name), encoding="utf-8", errors="replace") as file:
                return "".join(file.readlines()[-lines:])
        except FileNotFoundError:
            return ""
