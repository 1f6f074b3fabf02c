"""Cache of decoded crops for the rest of the run: in memory if all fit, else in a file.

The file is anonymous: it has no directory entry while it is open, so nothing is left behind when
the process ends or is killed, and no run can read the file of another. It is read and written with
offsets rather than mapped, so resident memory does not grow with the data set, and the kernel
caches it in free memory.
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
    """Cache of the first `capacity` of N crops; a crop is either complete or absent.

    Thread-safe. The first error of the file is logged as a warning of the logger `picie`; after
    that, no more crops are added.

    Attributes:
        capacity: number of crops that fit.
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
        """Choose memory or a file; space is allocated as crops are added.

        Args:
            count: number of crops N.
            size: side S of the crops, in pixels.
            memory_mb: memory limit in MB (10^6 bytes). If N crops need more, they go to the file;
                without a file, as many as fit are kept in memory.
            disk_mb: limit of the file in MB; at most half of the free space is used.
            folder: folder of the file, created if missing; None = no file.
            keep_folder: keep the folder; otherwise it is removed as soon as it is empty.
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
        """Whether the crops are stored in a file."""
        return isinstance(self._store, _File)

    def holds(self, index: int) -> bool:
        """Whether crop `index` is cached."""
        return index < self.capacity and bool(self._kept[index])

    def get(self, index: int, crop: Crop) -> bool:
        """Copy crop `index` to `crop`, (3, S, S) in C order; returns False if it is not cached."""
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
        """Store a copy of crop `index`, (3, S, S) in C order, if it fits."""
        store = self._store
        if store is None or self._full or index >= self.capacity:
            return
        try:
            store.write(index, crop)
        except OSError as error:
            self._give_up(error)
        else:
            self._kept[index] = 1  # last, so that no thread reads an incomplete crop

    def close(self) -> None:
        """Release memory, file and folder; the cache stays empty from now on."""
        store, self._store, self.capacity = self._store, None, 0
        if store is not None:
            store.close()
        self._remove_folder()

    @property
    def _bytes(self) -> int:
        channels, height, width = self._shape
        return channels * height * width

    def _open_file(self, folder: Path, count: int, disk_mb: int) -> None:
        """Use a file if it can be created and holds more crops than the memory."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free // 2
            capacity = min(count, min(disk_mb * _MB, free) // self._bytes)
            if capacity > self.capacity:
                self._store = _File(folder, self._bytes)
                self.capacity = capacity
        except OSError as error:
            self._warn(error)
        self._remove_folder()  # already empty, because the file is anonymous

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
            "%s: decoded images cannot be cached there (%s), so each pass reads the files again; "
            "free some space or choose another --cache-dir",
            self._folder,
            error.strerror or error,
        )


class _Store(Protocol):
    """Fixed-size slots, addressed by number."""

    def read(self, place: int, crop: Crop) -> None: ...

    def write(self, place: int, crop: Crop) -> None: ...

    def close(self) -> None: ...


class _Memory:
    """One array, whose pages the system allocates on first write."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._crops = np.empty(shape, np.uint8)

    def read(self, place: int, crop: Crop) -> None:
        crop[...] = self._crops[place]

    def write(self, place: int, crop: Crop) -> None:
        self._crops[place] = crop

    def close(self) -> None:
        pass


class _File:
    """An anonymous file (deleted on closing where the system does not support that).

    Threads read and write concurrently if the system has positional I/O; otherwise a lock
    serialises them.
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
                raise OSError("the file was truncated")
            rest = rest[done:]

    def write(self, place: int, crop: Crop) -> None:
        rest = crop.reshape(-1).data
        while rest:  # a nearly full disk may write a part, then fail
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
