"""Atomic writes of files, and the error when a file cannot be written."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from picie.errors import PicieError

__all__ = ["PART", "write_atomically", "writing"]

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
