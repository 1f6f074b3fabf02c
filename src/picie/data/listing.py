"""List the files below a folder, and shorten lists in messages."""

import os
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from picie.data.own_outputs import MARKS, OwnOutputs, is_masks_list
from picie.errors import DataError

__all__ = ["LeftOut", "few", "inside", "walk"]


@dataclass
class LeftOut:
    """What a walk left out.

    Attributes:
        closed: folders that cannot be searched, with the reason.
        broken: links that lead nowhere.
        own: outputs of picie.
    """

    closed: list[tuple[str, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    own: OwnOutputs = field(default_factory=OwnOutputs)


def walk(
    folder: Path, *, without: Container[str] = (), left_out: LeftOut | None = None
) -> Iterator[str]:
    """Yield everything that is neither hidden nor a folder; each folder once, real paths first.

    Pipes and devices are yielded too: they are named when they are read. Links that lead nowhere
    and outputs of picie are left out, except for the folder itself.

    Args:
        folder: searched at any depth.
        without: paths to skip.
        left_out: gets what was left out.

    Raises:
        DataError: the folder itself cannot be searched.
    """
    left_out = left_out or LeftOut()
    visited: set[tuple[int, int]] = set()
    folders, links = [str(folder)], list[str]()
    while folders or links:
        current = folders.pop() if folders else links.pop(0)
        try:
            status = os.stat(current)
            entries = sorted(os.scandir(current), key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            reason = error.strerror or str(error)
            if current == str(folder):
                raise DataError(f"{current}: cannot be searched ({reason}); check it") from None
            left_out.closed.append((current, reason))
            continue
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        names = (entry.name for entry in entries)
        marks = {name for name in names if name in MARKS or is_masks_list(name)}
        if current != str(folder) and left_out.own.leaves_out_folder(current, marks):
            continue
        left_out.own.enter(current, marks)
        while entries:  # entries are released one by one: each caches a kilobyte of metadata
            entry = entries.pop()
            if entry.name.startswith(".") or entry.path in without:
                continue
            if _is_folder(entry):
                (links if entry.is_symlink() else folders).append(entry.path)
            elif not left_out.own.leaves_out(entry.path):
                if entry.is_symlink() and not os.path.exists(entry.path):
                    left_out.broken.append(entry.path)
                else:
                    yield entry.path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or into a folder that cannot be searched
        return False


def inside(folder: Path | str, file: str) -> str:
    """Path of a file from `walk` relative to the folder, with "/"."""
    return file[len(os.path.join(folder, "")) :].replace(os.sep, "/")


def few(items: list[str] | list[int], most: int = 5) -> str:
    """The first items, separated by commas, followed by dots if there are more."""
    shown = ", ".join(str(item) for item in items[:most])
    return f"{shown}, ..." if len(items) > most else shown
