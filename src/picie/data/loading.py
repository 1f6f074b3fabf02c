"""Square base crops as batches of tensors, read in worker processes and kept in shared memory.

Decoding is most of the work of reading, and training passes over the pictures several times per
epoch. So every crop is kept once read, in memory that worker processes share with the main one.
"""

import contextlib
import mmap
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from picie.data.folder import Photo
from picie.data.images import read_image, square_crop
from picie.errors import DataError
from picie.types import Batch

__all__ = ["BaseCrops", "load_batches"]

_UNKNOWN, _FILLED, _UNREADABLE = 0, 1, 2
_MOST_WORKERS = 8
_LINUX = sys.platform == "linux"

_Crop = NDArray[np.uint8]


class BaseCrops(Dataset[tuple[int, Tensor, str]]):
    """The square base crops of some pictures, decoded once and then kept.

    The first `capacity` pictures have a place in memory; the others are read again each time.

    Attributes:
        photos: the N pictures.
        size: side S of the crops, in pixels.
        capacity: how many crops fit into `cache_mb`.
        cache: (capacity, 3, S, S) uint8, shared between processes.
        filled: (capacity,) uint8, shared: 0 not read yet, 1 in the cache, 2 unreadable.
        unreadable: reason by path, of the pictures that `load_batches` left out so far.
    """

    def __init__(self, photos: Sequence[Photo], size: int, cache_mb: int) -> None:
        """Reserve the memory; nothing is read yet.

        Args:
            photos: N pictures.
            size: side S of the crops, in pixels.
            cache_mb: most memory for kept crops, in MB (10^6 bytes); it is taken as crops come.
        """
        self.photos = tuple(photos)
        self.size = size
        self.capacity = min(len(self.photos), cache_mb * 10**6 // (3 * size * size))
        self.cache = _shared_zeros(self.capacity * 3 * size * size).view(-1, 3, size, size)
        self.filled = _shared_zeros(self.capacity)
        self.unreadable: dict[Path, str] = {}

    def __len__(self) -> int:
        """Number of pictures N."""
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[int, Tensor, str]:
        """One crop.

        Returns:
            The index, the crop (3, S, S) uint8 RGB, and why it cannot be read: "" for a crop that
            could be read; the crop is zero otherwise.
        """
        crop, reason = self.fetch(index)
        return index, torch.from_numpy(crop.copy()), reason

    @property
    def complete(self) -> bool:
        """Whether every readable picture is in the cache."""
        return self.capacity == len(self) and bool((self.filled != _UNKNOWN).all())

    def fetch(self, index: int) -> tuple[_Crop, str]:
        """As `crops[index]`, without the index and as an array: a view of the cache where kept."""
        if not 0 <= index < len(self):
            raise IndexError(f"picture {index} of {len(self)}")
        kept = index < self.capacity
        if kept and self.filled[index] == _FILLED:
            return self.cache[index].numpy(), ""
        try:
            crop = square_crop(read_image(self.photos[index].path), self.size).transpose(2, 0, 1)
        except DataError as error:
            if kept:
                self.filled[index] = _UNREADABLE
            return np.zeros((3, self.size, self.size), np.uint8), str(error)
        if kept:
            self.cache[index].numpy()[:] = crop
            self.filled[index] = _FILLED  # last, so that nobody sees half a crop
        return crop, ""


def load_batches(
    crops: BaseCrops,
    order: Sequence[int],
    batch_size: int,
    *,
    workers: int,
    device: torch.device | str,
) -> Iterator[Batch]:
    """Read crops in the given order; batches do not depend on `workers`.

    Unreadable pictures are left out of their batch and noted in `crops.unreadable`; a batch with
    none left is left out. Global random states are not touched.

    Args:
        crops: N pictures.
        order: positions 0..N-1, in the order wanted.
        batch_size: pictures per batch B; the last batch may be smaller.
        workers: processes that read; 0 = this one; -1 = chosen from the cores.
        device: where the images go; the indices stay on the CPU.

    Yields:
        indices (B,) int64 and images (B, 3, S, S) uint8.

    Raises:
        DataError: a worker process died.
    """
    device = torch.device(device)
    plan = [list(order[i : i + batch_size]) for i in range(0, len(order), batch_size)]
    workers = _choose_workers(crops, len(plan)) if workers < 0 else min(workers, len(plan))
    for fetched in _fetched(crops, plan, workers):
        batch = _assemble(crops, fetched, device)
        if len(batch.indices):
            yield batch


_Fetched = list[tuple[int, _Crop | None, str]]


class _Plan(Dataset[_Fetched]):
    """Whole batches, as a worker sends them.

    Kept crops are already where the main process sees them, so only the others travel, and as
    arrays: tensors would travel through /dev/shm, which is tiny in many containers.
    """

    def __init__(self, crops: BaseCrops) -> None:
        self.crops = crops

    def __getitem__(self, indices: list[int]) -> _Fetched:
        return [self._one(int(index)) for index in indices]

    def _one(self, index: int) -> tuple[int, _Crop | None, str]:
        crop, reason = self.crops.fetch(index)
        return index, None if reason or index < self.crops.capacity else crop, reason


def _fetched(crops: BaseCrops, plan: list[list[int]], workers: int) -> Iterator[_Fetched]:
    loader = DataLoader(
        _Plan(crops),
        batch_size=None,  # the plan holds whole batches already
        sampler=plan,
        num_workers=workers,
        collate_fn=_unchanged,
        worker_init_fn=_one_thread if workers else None,
        multiprocessing_context="fork" if workers and _LINUX else None,
        generator=torch.Generator(),  # a loader draws a seed, with workers or without
    )
    with _quiet_fork():
        batches = iter(loader)
    try:
        yield from batches
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise DataError(
            f"{crops.photos[0].path.parent}: a process that reads pictures died, often for want of "
            "memory; use fewer workers (0 reads in the main process) or a smaller cache"
        ) from error
    finally:  # torch has no public way to end workers early; the traceback keeps the loader alive
        if hasattr(batches, "_shutdown_workers"):
            batches._shutdown_workers()


@contextlib.contextmanager
def _quiet_fork() -> Iterator[None]:
    """Silence Python 3.12's warning about fork beside threads.

    The children decode with Pillow and NumPy only and run on one thread, so that none of them
    waits for a lock that a thread of the parent held.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
        yield


def _assemble(crops: BaseCrops, fetched: _Fetched, device: torch.device) -> Batch:
    for index, _, reason in fetched:
        if reason:
            crops.unreadable[crops.photos[index].path] = reason
    read = [(index, crop) for index, crop, reason in fetched if not reason]
    images = torch.empty((len(read), 3, crops.size, crops.size), dtype=torch.uint8)
    for place, (index, crop) in zip(images, read, strict=True):
        place.copy_(crops.cache[index] if crop is None else torch.from_numpy(crop))
    if device.type == "cuda":
        images = images.pin_memory()  # copied while the device still computes
    indices = torch.tensor([index for index, _ in read], dtype=torch.int64)
    return Batch(indices, images.to(device, non_blocking=True))


def _choose_workers(crops: BaseCrops, batches: int) -> int:
    # Elsewhere workers start by importing the user's script again, which must be prepared for it.
    if crops.complete or not _LINUX:
        return 0
    return min(len(os.sched_getaffinity(0)) - 1, batches, _MOST_WORKERS)


def _shared_zeros(length: int) -> Tensor:
    """(length,) uint8 zeros that forked processes share.

    Anonymous pages rather than torch's shared memory, which lives in /dev/shm: writing beyond the
    size of that kills the process. Pages are taken when first written.
    """
    if not _LINUX:
        zeros = torch.zeros(length, dtype=torch.uint8)
        zeros.share_memory_()
        return zeros
    return torch.frombuffer(mmap.mmap(-1, max(length, 1)), dtype=torch.uint8)[:length]


def _unchanged(fetched: _Fetched) -> _Fetched:
    return fetched


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
