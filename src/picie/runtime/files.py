"""Atomic writes of files, the error when a file cannot be written, and reading that never waits."""

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from picie.errors import PicieError

__all__ = ["PART", "open_regular", "remove_parts", "write_atomically", "writing"]

PART = ".part-"
"""Prefix of the names of unfinished files."""


def write_atomically(
    path: Path, data: bytes | Callable[[Path], object], *, durable: bool = True
) -> None:
    """Write a file atomically: readers see the old file or the complete new one, never a part.

    Args:
        path: the file; an existing one is replaced.
        data: the bytes, or a function that writes them to the temporary path it gets: an empty
            file with a unique name, in the same folder and with the same extension.
        durable: flush the file to disk, so that it survives a power cut; not needed for files that
            are quick to recreate.

    Raises:
        PicieError: the file cannot be written, for example because the disk is full; an existing
            file is kept.
    """
    part = path.with_name(f"{PART}{secrets.token_hex(8)}{path.suffix}")
    with writing(path):
        # A new file: neither that of another process nor the target of a link.
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            if callable(data):
                data(part)
            else:
                part.write_bytes(data)
            if durable:
                with part.open("r+b") as file:
                    os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            with suppress(OSError):  # an error above takes precedence
                part.unlink()


def remove_parts(folder: Path, *suffixes: str) -> None:
    """Remove unfinished files that killed processes left; call it while nobody writes there.

    Args:
        folder: its own files only; it may be missing.
        suffixes: extensions of the files to remove, with their dot.
    """
    for part in folder.glob(f"{PART}*"):
        if part.suffix in suffixes and (part.is_symlink() or part.is_file()):
            with suppress(OSError):  # they only take space
                part.unlink()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` within the block into a `PicieError` that names the file.

    Raises:
        PicieError: the file cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise PicieError(
            f"{path}: cannot be written ({error.strerror or error}); check the folder's "
            "permissions and the free space, or choose another --out"
        ) from None


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: str | Path) -> BufferedReader:
    """Open a regular file for reading; nothing else is opened, because a pipe could wait for ever.

    Raises:
        OSError: it cannot be opened, or is a folder, pipe, socket or device.
    """
    _check_regular(os.stat(path))  # opening a device may already act on it
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 (the caller closes it)
    try:
        _check_regular(os.fstat(file.fileno()))  # what was there a moment ago may be gone
    except OSError:
        file.close()
        raise
    return file


def _check_regular(status: os.stat_result) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        raise OSError(0, f"it is {_KINDS.get(kind, 'something else')}, not a regular file")


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
