"""Where a lab keeps what it knows of itself: pids, logs, tables, telemetry, flow state."""

import os
import zlib

SOURCE_DIR = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def base():
    """A directory of this user on memory, where the system has one: flow state belongs on tmpfs, and the
    paths of sockets below it must stay short."""
    candidates = [os.environ.get("XDG_RUNTIME_DIR"), "/run" if os.geteuid() == 0 else None, "/dev/shm"]
    for path in candidates:
        if path and os.path.isdir(path) and os.access(path, os.W_OK) and _is_tmpfs(path):
            return path
    return "/tmp"


def _is_tmpfs(path):
    """Whether the file system that `path` is on is a tmpfs, as /proc/self/mountinfo says."""
    best, kind = "", ""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            fields = line.split()
            mount, file_system = fields[4], line.partition(" - ")[2].split()[0]
            inside = path == mount or path.startswith(mount.rstrip("/") + "/")
            if inside and len(mount) >= len(best):
                best, kind = mount, file_system
    return kind == "tmpfs"


def default():
    return os.environ.get("PERIGEE_LAB_RUN") or os.path.join(base(), f"perigee-lab-{os.geteuid()}")


def for_build(build_dir):
    """The tests' own: one for each build directory, so that neither disturbs the other or the user's lab."""
    tag = zlib.crc32(os.path.abspath(build_dir).encode())
    return os.path.join(base(), f"perigee-lab-{os.geteuid()}-{tag:08x}")


def create(path):
    """Makes it, or checks that it is ours alone: other users must not plant tables or sockets there."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        status = os.lstat(path)
        if not os.path.isdir(path) or os.path.islink(path) or status.st_uid != os.geteuid():
            raise PermissionError(f"{path} exists and is not a directory of this user") from None
        if status.st_mode & 0o022:
            raise PermissionError(f"{path} can be written by others") from None
