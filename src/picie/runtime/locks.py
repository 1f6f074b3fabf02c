"""Locks between processes: one writer at a time for a folder or a file."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from picie.errors import PicieError
from picie.runtime.files import writing

__all__ = ["LOCK", "locked"]

LOCK = ".picie-lock-"
"""Prefix of the names of lock files; they are hidden, and removed at the end."""

_LONGEST = 50  # characters of the path's name; equal ends only make unrelated writers wait
_PATIENCE = 0.5  # seconds until a process that just got a lock has written who it is


@contextmanager
def locked(path: Path, action: str, *, wait: float = 0.0, inside: bool = False) -> Iterator[None]:
    """Within the block, no other process that asks for this lock writes to the path.

    The operating system releases the lock if the process is killed. The lock does not depend on the
    path's existence: its file is in the parent folder, which is created if necessary. Calls for one
    path must not be nested.

    Args:
        path: a folder or a file; symbolic links are resolved.
        action: what the block does, for the message that another process shows: "picie train".
        wait: seconds to wait for another process.
        inside: the path is a folder that is never renamed, and the lock file is inside it: only the
            folder itself must be writable. It is created if necessary.

    Raises:
        PicieError: another process has the lock, or the lock file cannot be written.
    """
    real = Path(os.path.realpath(path))
    file = (real if inside else real.parent) / (LOCK + real.name[-_LONGEST:])
    lock = FileLock(file, timeout=wait)
    with writing(path):
        file.parent.mkdir(parents=True, exist_ok=True)
    with writing(path):
        try:
            lock.acquire()
        except Timeout:
            raise PicieError(
                f"{path}: is in use by {_holder(file)}; wait until it ends, or stop it"
            ) from None
    try:
        holder = {"action": action, "process": os.getpid(), "host": socket.gethostname()}
        with suppress(OSError):  # it only makes the message of another process better
            _write(file, json.dumps(holder | {"since": time.strftime("%Y-%m-%d %H:%M:%S")}))
        yield
    finally:
        try:
            with suppress(OSError):
                file.unlink()  # a process that waits for the removed file notices it, starts anew
        finally:  # even if Ctrl-C comes just now, and this process goes on
            lock.release()


def _write(file: Path, text: str) -> None:
    """Write to the lock file, never to the target of a link in its place."""
    flags = os.O_WRONLY | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(file, flags), "w") as opened:
        opened.write(text)


def _holder(file: Path) -> str:
    """Who has a lock, as far as its file says it."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            holder = json.loads(file.read_text())
            return (
                f"{holder['action']} (process {int(holder['process'])} on {holder['host']}, since "
                f"{holder['since']})"
            )
        except (OSError, ValueError, KeyError, TypeError):
            if time.monotonic() > until:
                return "another process"
            time.sleep(_PATIENCE / 10)
