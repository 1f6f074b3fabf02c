"""List the files below a folder, read list files, and shorten lists in messages."""

import os
from collections.abc import Iterator
from pathlib import Path

from picie.errors import DataError

__all__ = ["few", "inside", "read_lines", "walk"]


def walk(folder: Path, *, without: str = "") -> Iterator[str]:
    """Yield all files that are not hidden; each folder once, real paths before links.

    Args:
        folder: searched at any depth.
        without: path of a folder to skip.

    Raises:
        DataError: a folder cannot be read.
    """
    visited: set[tuple[int, int]] = set()
    folders, links = [str(folder)], list[str]()
    while folders or links:
        current = folders.pop() if folders else links.pop(0)
        try:
            status = os.stat(current)
            entries = sorted(os.scandir(current), key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            raise DataError(f"{current}: cannot be listed ({error.strerror})") from None
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        while entries:  # entries are released one by one: each caches a kilobyte of metadata
            entry = entries.pop()
            if entry.name.startswith(".") or entry.path == without:
                continue
            if entry.is_dir():
                (links if entry.is_symlink() else folders).append(entry.path)
            elif entry.is_file() or entry.is_symlink():  # a dangling link is reported when read
                yield entry.path


def inside(folder: Path, file: str) -> str:
    """Path of a file from `walk` relative to the folder, with "/"."""
    return file[len(os.path.join(folder, "")) :].replace(os.sep, "/")


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, stripped.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise DataError(f"{path}: cannot be read ({reason}); correct it") from None


def few(items: list[str] | list[int], most: int = 5) -> str:
    """The first items, separated by commas, followed by dots if there are more."""
    shown = ", ".join(str(item) for item in items[:most])
    return f"{shown}, ..." if len(items) > most else shown
