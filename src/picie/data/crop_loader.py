"""Square base crops as batches of tensors, read ahead by threads and kept once decoded.

Decoding is most of the work of reading, and training passes over the images several times per
epoch. Threads do it: Pillow decodes and resamples without holding Python's lock.
"""

import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from picie.config import Config
from picie.data.cache import Crop, CropCache
from picie.data.folder import Photo
from picie.data.images import read_square
from picie.data.prefetch import Prefetch
from picie.errors import DataError
from picie.runtime.distributed import Processes
from picie.runtime.progress import Advance
from picie.types import Batch

__all__ = [
    "BaseCrops",
    "Loader",
    "available_cores",
    "counted",
    "image_loader",
    "load_batches",
    "open_crops",
]

_MOST_THREADS = 8
_AHEAD = 2  # batches that are ready or under way while the caller has another


class BaseCrops:
    """The square base crops of some images, decoded once as far as the cache has room.

    Attributes:
        photos: the N images.
        size: side S of the crops, in pixels.
        cache: the crops that were read already.
        unreadable: reason by path, of the images that `load_batches` left out so far.
    """

    def __init__(self, photos: Sequence[Photo], size: int, cache: CropCache) -> None:
        """Nothing is read yet.

        Args:
            photos: N images.
            size: side S of the crops, in pixels.
            cache: an empty one for N crops of this size.
        """
        self.photos = tuple(photos)
        self.size = size
        self.cache = cache
        self.unreadable: dict[Path, str] = {}
        self._readers = weakref.WeakSet[Prefetch[_Place, _Read]]()

    def __len__(self) -> int:
        """Number of images N."""
        return len(self.photos)

    def read(self, index: int, crop: Crop) -> str:
        """Read one crop, from the cache or from its file.

        Args:
            index: position 0..N-1.
            crop: (3, S, S) uint8 in C order, filled with RGB.

        Returns:
            "", or why the image cannot be read; `crop` is undefined then.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        if self.cache.get(index, crop):
            return ""
        try:
            square = read_square(self.photos[index].path, self.size)
        except DataError as error:
            return str(error)
        crop[...] = square.transpose(2, 0, 1)
        self.cache.put(index, crop)
        return ""

    def close(self) -> None:
        """End the threads that still read, and give up the cache."""
        for reader in list(self._readers):
            reader.close()
        self.cache.close()

    def _ahead(self, places: Iterator["_Place"], threads: int, ahead: int) -> "_Reader":
        """Read crops to their places; `close` knows of it."""
        reader = Prefetch(self._fill, places, threads=threads, ahead=ahead)
        self._readers.add(reader)
        return reader

    def _fill(self, place: "_Place") -> "_Read":
        index, images, crop = place
        return images, self.read(index, crop)


_Place = tuple[int, Tensor, Crop]
"""An image, the images (B, 3, S, S) of its batch, and its own part of them."""
_Read = tuple[Tensor, str]
"""The images, and why one of them could not be read."""
_Reader = Prefetch[_Place, _Read]


def open_crops(photos: Sequence[Photo], config: Config, folder: Path) -> BaseCrops:
    """The crops of a run, with the cache that its settings allow.

    Args:
        photos: N images.
        config: size of the crops, room for them, and where their file is to be.
        folder: where it is otherwise; the folder is gone as soon as it is empty.
    """
    cache = CropCache(
        len(photos),
        config.base_size,
        memory_mb=config.cache_mb,
        disk_mb=config.cache_disk_mb,
        folder=Path(config.cache_dir) if config.cache_dir else folder,
        keep_folder=bool(config.cache_dir),
    )
    return BaseCrops(photos, config.base_size, cache)


def load_batches(
    crops: BaseCrops,
    plan: Sequence[Sequence[int]],
    *,
    workers: int,
    device: torch.device | str,
    keep_empty: bool = False,
) -> Iterator[Batch]:
    """Read crops as planned; batches do not depend on `workers`, nor on the cache.

    Unreadable images are left out of their batch and noted in `crops.unreadable`. Global random
    states are not touched.

    Args:
        crops: N images.
        plan: positions 0..N-1 of the images of each batch.
        workers: threads that read ahead; 0 = the calling one reads when a batch is asked for;
            -1 = chosen from the cores. One is enough, and used, where all crops are in the cache.
        device: where the images go; the indices stay on the CPU.
        keep_empty: also yield batches that have no image (left).

    Yields:
        indices (B,) int64 and images (B, 3, S, S) uint8.
    """
    device = torch.device(device)
    places = _places(plan, crops.size, pinned=device.type == "cuda")
    threads = _choose_threads(crops, plan, workers)
    reader = crops._ahead(places, threads, _AHEAD * max(map(len, plan), default=0))
    try:
        for indices in plan:
            batch = _assemble(crops, indices, [next(reader) for _ in indices], device)
            if keep_empty or len(batch.indices):
                yield batch
    finally:
        reader.close()


def available_cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _places(plan: Sequence[Sequence[int]], size: int, *, pinned: bool) -> Iterator[_Place]:
    """Where each crop goes; new memory for each batch, as an older one may still be copied."""
    for indices in plan:
        shape = (len(indices), 3, size, size)
        images = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
        for index, crop in zip(indices, images.numpy(), strict=True):
            yield index, images, crop


def _assemble(
    crops: BaseCrops, indices: Sequence[int], read: Sequence[_Read], device: torch.device
) -> Batch:
    images = read[0][0] if read else torch.empty((0, 3, crops.size, crops.size), dtype=torch.uint8)
    good = [row for row, (_, reason) in enumerate(read) if not reason]
    for index, (_, reason) in zip(indices, read, strict=True):
        if reason:
            crops.unreadable[crops.photos[index].path] = reason
    if len(good) < len(read):
        images[: len(good)] = images[good]  # where they are, so that pinned memory stays pinned
        images = images[: len(good)]
    # Copied while the device still computes.
    images = images.to(device, non_blocking=device.type == "cuda")
    return Batch(torch.tensor([indices[row] for row in good], dtype=torch.int64), images)


def _choose_threads(crops: BaseCrops, plan: Sequence[Sequence[int]], workers: int) -> int:
    # Copying from the cache is little work; more threads would only take cores from torch.
    missing = sum(not crops.cache.holds(index) for indices in plan for index in indices)
    wanted = max(1, min(available_cores() - 1, _MOST_THREADS)) if workers < 0 else workers
    return min(wanted, max(1, missing))


Loader = Callable[[list[int], int], Iterable[Batch]]
"""Reads images: (positions, batch size) to batches.

With several processes each gets its share of every batch, as many batches as the others, and some
of them may be empty.
"""


def image_loader(
    crops: BaseCrops, config: Config, device: torch.device, processes: Processes | None = None
) -> Loader:
    """A function (positions, batch size) to this process' share of batches, on the device."""
    sharing = processes or Processes()

    def loader(order: list[int], batch_size: int) -> Iterator[Batch]:
        starts = range(0, len(order), batch_size)
        return load_batches(
            crops,
            [sharing.share(order[start : start + batch_size]) for start in starts],
            workers=config.workers,
            device=device,
            keep_empty=sharing.count > 1,
        )

    return loader


def counted(loader: Loader, advance: Advance) -> Loader:
    """The loader, telling `advance` about every batch."""

    def read(order: list[int], batch_size: int) -> Iterator[Batch]:
        for batch in loader(order, batch_size):
            advance(len(batch.indices))
            yield batch

    return read
