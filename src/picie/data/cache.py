"""Decoded crops, kept for the rest of the run: in memory where all fit, else in a file.

The file has no name from the moment it is open, so no end of the process, a kill included, leaves
it behind, and nothing of another run or of other settings can be taken for its content. It is read
and written piece by piece rather than mapped: resident memory stays flat however large the set is,
and the kernel keeps in free memory what it can.
"""

import contextlib
import logging
import os
import shutil
import tempfile
import threading
import weakref
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Crop", "CropCache"]

Crop = NDArray[np.uint8]
_MB = 10**6
_LOG = logging.getLogger("picie")


class CropCache:
    """Room for the first `capacity` of N crops; whoever reads one sees all of it or nothing.

    Several threads may use it at once. What goes wrong with the file is noted once, as a warning
    of the logger `picie`; from then on nothing more is kept.

    Attributes:
        capacity: how many crops there is room for.
    """

    def __init__(
        self,
        count: int,
        size: int,
        *,
        memory_mb: int,
        disk_mb: int = 0,
        folder: Path | None = None,
        keep_folder: bool = False,
    ) -> None:
        """Reserve the room; memory and disk are taken as crops come.

        Args:
            count: number of crops N.
            size: side S of the crops, in pixels.
            memory_mb: most memory, in MB (10^6 bytes). Where N crops need more, they go to the
                file; what there is no file for stays in memory as far as it fits.
            disk_mb: most disk space of the file, in MB; never more than half of what is free.
            folder: where the file is; made where missing. No file without it.
            keep_folder: leave the folder there; otherwise it goes as soon as it is empty.
        """
        self._shape = (3, size, size)
        self._folder = folder
        self._remove = not keep_folder
        self._lock = threading.Lock()
        self._full = False
        self._store: _Store | None = None
        self.capacity = min(count, memory_mb * _MB // self._bytes)
        if self.capacity < count and folder is not None and disk_mb:
            self._open_file(folder, count, disk_mb)
        if self._store is None:
            self._store = _Memory((self.capacity, *self._shape))
        self._kept = bytearray(self.capacity)

    @property
    def on_disk(self) -> bool:
        """Whether the crops are in the file."""
        return isinstance(self._store, _File)

    def holds(self, index: int) -> bool:
        """Whether crop `index` is here."""
        return index < self.capacity and bool(self._kept[index])

    def get(self, index: int, crop: Crop) -> bool:
        """Copy crop `index` to `crop`, (3, S, S) in C order; False where it is not here."""
        store = self._store
        if store is None or not self.holds(index):
            return False
        try:
            store.read(index, crop)
        except OSError as error:
            self._kept[index] = 0
            self._give_up(error)
            return False
        return True

    def put(self, index: int, crop: Crop) -> None:
        """Keep a copy of crop `index`, (3, S, S) in C order, if there is room."""
        store = self._store
        if store is None or self._full or index >= self.capacity:
            return
        try:
            store.write(index, crop)
        except OSError as error:
            self._give_up(error)
        else:
            self._kept[index] = 1  # last, so that nobody sees half a crop

    def close(self) -> None:
        """Give memory, file and folder back; the cache is empty for good."""
        store, self._store, self.capacity = self._store, None, 0
        if store is not None:
            store.close()
        self._remove_folder()

    @property
    def _bytes(self) -> int:
        channels, height, width = self._shape
        return channels * height * width

    def _open_file(self, folder: Path, count: int, disk_mb: int) -> None:
        """Use a file where it can be had and has more room than the memory."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free // 2
            capacity = min(count, min(disk_mb * _MB, free) // self._bytes)
            if capacity > self.capacity:
                self._store = _File(folder, self._bytes)
                self.capacity = capacity
        except OSError as error:
            self._warn(error)
        self._remove_folder()  # it can go already: the file has no name in it

    def _remove_folder(self) -> None:
        if self._remove and self._folder is not None:
            with contextlib.suppress(OSError):  # not there, or not empty
                self._folder.rmdir()

    def _give_up(self, error: OSError) -> None:
        with self._lock:
            first, self._full = not self._full, True
        if first:
            self._warn(error)

    def _warn(self, error: OSError) -> None:
        _LOG.warning(
            "%s: decoded images cannot be kept there (%s), so they are read again in every pass; "
            "free some space or choose another --cache-dir",
            self._folder,
            error.strerror or error,
        )


class _Store(Protocol):
    """Numbered places of equal size."""

    def read(self, place: int, crop: Crop) -> None: ...

    def write(self, place: int, crop: Crop) -> None: ...

    def close(self) -> None: ...


class _Memory:
    """One array; the system gives its pages when they are first written."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._crops = np.empty(shape, np.uint8)

    def read(self, place: int, crop: Crop) -> None:
        crop[...] = self._crops[place]

    def write(self, place: int, crop: Crop) -> None:
        self._crops[place] = crop

    def close(self) -> None:
        pass


class _File:
    """A file without a name (deleted on closing, where a system wants names).

    Where the system can read and write at an offset, threads do so side by side; elsewhere they
    take turns.
    """

    def __init__(self, folder: Path, length: int) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        self._length = length
        self._turn = threading.Lock()
        self.close = weakref.finalize(self, self._file.close)

    def read(self, place: int, crop: Crop) -> None:
        rest = crop.reshape(-1).data
        while rest:
            done = self._read(rest, (place + 1) * self._length - len(rest))
            if not done:
                raise OSError("the file has become shorter")
            rest = rest[done:]

    def write(self, place: int, crop: Crop) -> None:
        rest = crop.reshape(-1).data
        while rest:  # a disk that is nearly full takes a part, and refuses the next
            rest = rest[self._write(rest, (place + 1) * self._length - len(rest)) :]

    def _read(self, into: memoryview, offset: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [into], offset)
        with self._turn:
            self._file.seek(offset)
            return self._file.readinto(into)

    def _write(self, data: memoryview, offset: int) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(self._file.fileno(), data, offset)
        with self._turn:
            self._file.seek(offset)
            return self._file.write(data)
