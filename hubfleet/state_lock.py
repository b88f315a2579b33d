"""The lock of a deployment: one changing command at a time, and everybody can see whose."""

import fcntl
import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hubfleet.errors import LockedError


@contextmanager
def hold(path: Path, name: str, action: str) -> Iterator[None]:
    """Hold the lock file of deployment `name`, and write into it who does what.

    Raises LockedError, naming the holder, where it is held. The kernel releases it with the process
    that held it, however that ended.
    """
    descriptor = _acquire(path, name)
    try:
        holder = {
            "action": action,
            "pid": os.getpid(),
            "user": user(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
    finally:
        os.ftruncate(descriptor, 0)
        os.close(descriptor)


def _acquire(path: Path, name: str) -> int:
    """Return a locked descriptor of the file that `path` names now: `destroy` may remove it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 4096, 0)
            os.close(descriptor)
            raise _locked(name, holder) from None
        if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
        os.close(descriptor)


def _locked(name: str, holder: bytes) -> LockedError:
    try:
        who: dict[str, Any] = json.loads(holder)
        text = (
            f"{who['user']}@{who['host']} runs `{who['action']}` "
            f"(process {who['pid']}, since {who['since']})"
        )
        hint = f"wait for it, or end it with: kill {who['pid']}"
    except (ValueError, KeyError, TypeError):
        text, hint = "another command has just started", "try again"
    return LockedError(f"deployment {name!r} is busy: {text}", hint)


def user() -> str:
    """Return who runs this process, by number where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
