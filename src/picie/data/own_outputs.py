"""Recognise what picie wrote itself, so that masks and overlays do not become photos.

- `picie predict` lists the files it writes in masks.jsonl: a first line that says so, then one
  object per image with the paths of its mask, overlay and confidence. Writers that work at the
  same time have lists of their own: masks.3-of-16.jsonl.
- Exports, run folders and results of benches are marked by a file, and are left out as a whole.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from picie.runtime.documents import parse_object
from picie.runtime.files import open_regular
from picie.runtime.storage import joined, local_copy

__all__ = [
    "EXPORT_MARK",
    "EXPORT_PART",
    "MARKS",
    "MASKS_MANIFEST",
    "OwnOutputs",
    "is_masks_list",
    "masks_list",
    "written_files",
    "written_folder",
]

EXPORT_MARK = ".picie-export.json"
"""File that marks a folder as an export."""
EXPORT_PART = ".picie-export.part.json"
"""File that marks an export whose upload to a storage has not ended."""
MASKS_MANIFEST = "masks.jsonl"
"""List of the files that `picie predict` wrote into a folder."""
_KINDS = ("mask", "overlay", "plain_overlay", "confidence")  # of files in the list
_LISTS = re.compile(r"masks(?:\.[a-z0-9-]+)*\.jsonl")

_RUN_HEADER = "run.json"
_BENCH = frozenset({"records", "runs", "table.html"})
MARKS = frozenset({EXPORT_MARK, EXPORT_PART, MASKS_MANIFEST, _RUN_HEADER}) | _BENCH
"""Names of the entries that tell the outputs of picie from other files."""

_MOST_BYTES = 1_000_000  # of a mark, and of one line of a list


class OwnOutputs:
    """The outputs of picie that a search of a folder has met.

    Attributes:
        files: number of listed files that were met, by the folder of their list.
        folders: folders that are left out as a whole, by the verb that wrote them.
    """

    def __init__(self) -> None:
        self.files: Counter[str] = Counter()
        self.folders: dict[str, list[str]] = {}
        self._listed: dict[str, str] = {}

    def enter(self, folder: str, names: Iterable[str] = (MASKS_MANIFEST,)) -> None:
        """Read the lists of a folder, if it has any.

        Args:
            folder: its path or address.
            names: of the files in it, the lists at least.
        """
        for name in filter(is_masks_list, names):
            for file in written_files(joined(folder, name)):
                self._listed[joined(folder, file)] = folder

    def leaves_out_folder(self, folder: str, names: Collection[str]) -> bool:
        """Whether a folder is left out as a whole; if so, it is recorded."""
        verb = written_folder(folder, names)
        if verb:
            self.folders.setdefault(verb, []).append(folder)
        return bool(verb)

    def leaves_out(self, file: str) -> bool:
        """Whether a file is on a list of a folder that was entered; if so, it is counted."""
        source = self._listed.get(file)
        if source is None:
            return False
        self.files[source] += 1
        return True


def masks_list(part: str) -> str:
    """The name of the list of a writer.

    Args:
        part: of lower-case letters, digits and hyphens; "" = the writer that works alone.
    """
    return f"masks.{part}.jsonl" if part else MASKS_MANIFEST


def is_masks_list(name: str) -> bool:
    """Whether a file of this name can be a list of masks."""
    return _LISTS.fullmatch(name) is not None


def written_folder(folder: str | Path, names: Collection[str]) -> str:
    """The verb that wrote a folder as a whole: "export", "train" or "bench"; "" for other folders.

    Args:
        folder: its path or address.
        names: of the entries in it, those of `MARKS` at least.
    """
    if EXPORT_MARK in names or EXPORT_PART in names:
        return "export"
    if _RUN_HEADER in names and {"picie", "format"} <= _object(joined(folder, _RUN_HEADER)).keys():
        return "train"
    if set(names) >= _BENCH:
        return "bench"
    return ""


def written_files(manifest: str | Path) -> Iterator[str]:
    """The paths of the images in a list of `picie predict`, relative to its folder.

    A list that is broken or of another program has none; paths that lead outside are skipped.
    """
    try:
        with local_copy(manifest) as copy, open_regular(copy) as file:
            header = parse_object(file.readline(_MOST_BYTES)) or {}
            if header.get("kind") != "masks" or "picie" not in header:
                return
            while line := file.readline(_MOST_BYTES):
                record = parse_object(line) or {}
                names = (record.get(kind) for kind in _KINDS)
                yield from (name for name in names if isinstance(name, str) and _is_inside(name))
    except OSError:
        return


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _object(path: str) -> dict[str, Any]:
    try:
        with local_copy(path) as copy, open_regular(copy) as file:
            return parse_object(file.read(_MOST_BYTES)) or {}
    except OSError:
        return {}
