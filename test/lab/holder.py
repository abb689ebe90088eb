"""The holder: the one process that keeps the lab's network namespaces alive.

Run as `holder.py FILE NAME...`; makes one namespace for each name, keeps a descriptor of each, and writes
{"pid", "user", "descriptors": {name: descriptor}} to FILE. Others enter through /proc/PID/fd/DESCRIPTOR, so
nothing is mounted and nothing is left when the holder ends. As an ordinary user it is started by
`unshare --user --map-root-user`.
"""

import ctypes
import json
import os
import signal
import sys

CLONE_NEWNET = 0x40000000


def new_network_namespace():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "unshare(CLONE_NEWNET)")
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def main():
    path, names = sys.argv[1], sys.argv[2:]
    descriptors = {name: new_network_namespace() for name in names}
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump({"pid": os.getpid(), "descriptors": descriptors}, file)
    os.rename(path + ".new", path)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C is for the command that started the lab
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
