"""Files that appear whole or not at all, and the error when they cannot be written."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from picie.errors import PicieError

__all__ = ["PART", "write_atomically", "writing"]

PART = ".part-"
"""Start of the names of unfinished files."""


def write_atomically(
    path: Path, data: bytes | Callable[[Path], object], *, durable: bool = True
) -> None:
    """Write a file that appears whole or not at all, even if the process is killed.

    Args:
        path: the file; an existing one is replaced.
        data: the bytes, or a function that writes them to the temporary path it is given (same
            folder, same ending).
        durable: wait until the file is on the disk, so that it survives a power cut; needless for
            what is quickly made again.

    Raises:
        PicieError: it cannot be written, as on a full disk; the old file is still there.
    """
    part = path.with_name(PART + path.name)
    with writing(path):
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
            with suppress(OSError):  # what went wrong above matters more
                part.unlink()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says within the block about a file into an error for people.

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
