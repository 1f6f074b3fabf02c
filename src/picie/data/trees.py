"""A folder with everything below it: on this machine, or in a storage, where it is listed once."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Protocol

from picie.data.listing import LeftOut, walk
from picie.data.own_outputs import MARKS, is_masks_list
from picie.errors import DataError
from picie.runtime.storage import Store, joined, local_path

__all__ = ["LocalTree", "RemoteTree", "Tree", "open_tree"]


class Tree(Protocol):
    """A folder; names are paths inside it, with "/"."""

    @property
    def root(self) -> Path | str:
        """Its path or address."""
        ...

    def at(self, name: str) -> str:
        """The path or address of a file or folder."""
        ...

    def is_file(self, name: str) -> bool:
        """Whether there is such a file."""
        ...

    def is_folder(self, name: str) -> bool:
        """Whether there is such a folder; "" is the folder itself."""
        ...

    def top(self) -> list[str]:
        """Names of the files and folders directly in it.

        Raises:
            OSError: it cannot be searched.
        """
        ...

    def lists(self) -> Collection[str]:
        """Names of lists of masks directly in it, among others."""
        ...

    def stamp(self, name: str) -> str:
        """What the listing of a storage says of the content of a file; "" on this machine."""
        ...

    def walk(self, name: str, *, without: Collection[str] = (), left_out: LeftOut) -> Iterator[str]:
        """Paths or addresses of the files below a folder, by the rules of `listing.walk`.

        Args:
            name: of the folder.
            without: names to skip.
            left_out: gets what was left out.

        Raises:
            DataError: the folder cannot be searched.
        """
        ...


def open_tree(root: Path | str) -> Tree:
    """The tree of a path or an address.

    Raises:
        DataError: an address that cannot be listed, or below which there is nothing.
    """
    path = local_path(root)
    return RemoteTree(str(root)) if path is None else LocalTree(path)


class LocalTree:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def at(self, name: str) -> str:
        """The path or address of a file or folder."""
        return os.path.join(self.root, name) if name else str(self.root)

    def is_file(self, name: str) -> bool:
        """Whether there is such a file."""
        return os.path.isfile(self.at(name))

    def is_folder(self, name: str) -> bool:
        """Whether there is such a folder."""
        return os.path.isdir(self.at(name))

    def top(self) -> list[str]:
        """Names of the files and folders directly in it."""
        return os.listdir(self.root)

    def lists(self) -> Collection[str]:
        """Names of lists of masks directly in it, among others."""
        try:
            return self.top()
        except OSError:  # images/ may be searched all the same
            return ()

    def stamp(self, name: str) -> str:
        """What the listing says of the content of a file."""
        return ""

    def walk(self, name: str, *, without: Collection[str] = (), left_out: LeftOut) -> Iterator[str]:
        """Files below a folder, as in `Tree`."""
        folder = self.root / name if name else self.root
        skipped = {self.at(one) for one in without}
        return walk(folder, without=skipped, left_out=left_out)


class RemoteTree:
    """A folder of a storage.

    Raises:
        DataError: it cannot be listed, or there is nothing below the address.
    """

    def __init__(self, address: str) -> None:
        self.root = address.rstrip("/")
        self._stamps: dict[str, str] = {}
        self._marks: dict[str, set[str]] = {"": set()}  # by folder
        self._nameless: set[str] = set()
        found = False
        for entry in Store(address).walk(self.root):
            found = True
            self._add(entry.path[len(self.root) + 1 :], entry.stamp)
        if not found:
            raise DataError(f"{address}: does not exist, or is empty; check the address")

    def _add(self, name: str, stamp: str) -> None:
        folder, _, last = name.rpartition("/")
        if "/." in f"/{folder}":  # hidden; so is ".."
            return
        if "//" in f"/{name}":
            self._nameless.add(f"{name.partition('//')[0]}/")
            return
        self._enter(folder)
        if last in MARKS or is_masks_list(last):
            self._marks[folder].add(last)
        if not last.startswith("."):
            self._stamps[name] = stamp

    def _enter(self, folder: str) -> None:
        if folder not in self._marks:
            self._marks[folder] = set()
            parent, _, last = folder.rpartition("/")
            self._enter(parent)
            if last in MARKS:
                self._marks[parent].add(last)

    def at(self, name: str) -> str:
        """The path or address of a file or folder."""
        return joined(self.root, name) if name else self.root

    def is_file(self, name: str) -> bool:
        """Whether there is such a file."""
        return name in self._stamps

    def is_folder(self, name: str) -> bool:
        """Whether there is such a folder."""
        return name in self._marks

    def top(self) -> list[str]:
        """Names of the files and folders directly in it."""
        names = (*self._stamps, *self._marks)
        return sorted(name for name in names if name and "/" not in name)

    def lists(self) -> Collection[str]:
        """Names of lists of masks directly in it, among others."""
        return self._marks[""]

    def stamp(self, name: str) -> str:
        """What the listing says of the content of a file."""
        return self._stamps.get(name, "")

    def walk(self, name: str, *, without: Collection[str] = (), left_out: LeftOut) -> Iterator[str]:
        """Files below a folder, as in `Tree`."""
        below = f"{name}/" if name else ""
        nameless = sorted(one for one in self._nameless if one.startswith(below))
        left_out.closed += [(self.at(one), "an empty name in its address") for one in nameless]
        wanted = self._wanted(name, set(without), left_out)
        for file in self._stamps:
            if wanted.get(file.rpartition("/")[0], False) and file not in without:
                address = self.at(file)
                if not left_out.own.leaves_out(address):
                    yield address

    def _wanted(self, start: str, without: set[str], left_out: LeftOut) -> dict[str, bool]:
        """Whether files of each folder are wanted; parents come before what is in them."""
        wanted: dict[str, bool] = {}
        for folder in sorted(self._marks, key=lambda one: one.split("/")):
            parent = folder.rpartition("/")[0]
            marks = self._marks[folder]
            if folder != start:
                inside = folder != "" and wanted.get(parent, False) and folder not in without
                if not inside or left_out.own.leaves_out_folder(self.at(folder), marks):
                    continue
            wanted[folder] = True
            left_out.own.enter(self.at(folder), marks)
        return wanted
