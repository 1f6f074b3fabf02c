"""Square base crops as batches of tensors, read ahead by threads and cached once decoded.

Reading an image is mostly decoding, and training reads every image several times per epoch. Threads
decode in parallel, because Pillow releases the GIL while it decodes and resamples.
"""

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from picie.config import Config
from picie.data.cache import Crop, CropCache
from picie.data.constant import is_constant
from picie.data.folder import Photo
from picie.data.images import DEFAULT, read_square
from picie.data.prefetch import Prefetch, crop_workers
from picie.data.reading import Reading
from picie.errors import DataError
from picie.runtime.distributed import Processes
from picie.runtime.progress import Advance
from picie.runtime.storage import Outages, local_copy
from picie.types import Batch

__all__ = [
    "BaseCrops",
    "Loader",
    "counted",
    "image_loader",
    "load_batches",
    "open_crops",
]

_AHEAD = 2  # batches read ahead of the one that the caller works on


class BaseCrops:
    """The square base crops of some images; crops that fit into the cache are decoded once.

    Attributes:
        photos: the N images.
        size: side S of the crops, in pixels.
        cache: the crops that were read already, all under one reading.
        reading: how the images are read.
        unreadable: reason by path or address, of the images that `load_batches` skipped so far.
        content: for each image 0 until it is read, then 2 if it is of (nearly) one colour, else 1.
    """

    def __init__(
        self, photos: Sequence[Photo], size: int, cache: CropCache, reading: Reading = DEFAULT
    ) -> None:
        """Store the arguments; nothing is read yet.

        Args:
            photos: N images.
            size: side S of the crops, in pixels.
            cache: an empty cache for N crops of this size.
            reading: how the images are read.
        """
        self.photos = tuple(photos)
        self.size = size
        self.cache = cache
        self.reading = reading
        self.unreadable: dict[Path | str, str] = {}
        self.content = bytearray(len(self.photos))
        self._outages = Outages()
        self._readers = weakref.WeakSet[Prefetch[_Place, _Read]]()

    def __len__(self) -> int:
        """Number of images N."""
        return len(self.photos)

    def read(self, index: int, crop: Crop) -> str:
        """Read one crop, from the cache or from its file.

        Args:
            index: number of the image, 0..N-1.
            crop: (3, S, S) uint8 in C order, filled with RGB.

        Returns:
            "" on success, else the reason why the image cannot be read; `crop` is then undefined.

        Raises:
            DataError: a storage fails to give several images in a row.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        if self.cache.get(index, crop):
            return ""
        try:
            photo = self.photos[index]
            with local_copy(photo.file) as file:
                square = read_square(file, self.size, self.reading, photo.page)
        except DataError as error:
            self._outages.add(error)
            return str(error)
        self._outages.add(None)
        self.content[index] = 1 + is_constant(square)
        crop[...] = square.transpose(2, 0, 1)
        self.cache.put(index, crop)
        return ""

    def close(self) -> None:
        """Stop the reading threads and release the cache."""
        for reader in list(self._readers):
            reader.close()
        self.cache.close()

    def _ahead(self, places: Iterator["_Place"], threads: int, ahead: int) -> "_Reader":
        """Start a reader that fills the places; `close` stops it."""
        reader = Prefetch(self._fill, places, threads=threads, ahead=ahead)
        self._readers.add(reader)
        return reader

    def _fill(self, place: "_Place") -> "_Read":
        index, images, crop = place
        return images, self.read(index, crop)


_Place = tuple[int, Tensor, Crop]
"""Index of an image, the tensor (B, 3, S, S) of its batch, and its (3, S, S) slice of it."""
_Read = tuple[Tensor, str]
"""The tensor of the batch, and "" or why the image could not be read."""
_Reader = Prefetch[_Place, _Read]


def open_crops(photos: Sequence[Photo], config: Config, folder: Path) -> BaseCrops:
    """The crops of a run, with a cache as configured.

    Args:
        photos: N images.
        config: reads `base_size`, `reading`, `cache_mb`, `cache_disk_mb` and `cache_dir`.
        folder: folder of the cache file if `cache_dir` is empty; removed when it is empty.
    """
    cache = CropCache(
        len(photos),
        config.base_size,
        memory_mb=config.cache_mb,
        disk_mb=config.cache_disk_mb,
        folder=Path(config.cache_dir) if config.cache_dir else folder,
        keep_folder=bool(config.cache_dir),
    )
    return BaseCrops(photos, config.base_size, cache, config.reading)


def load_batches(
    crops: BaseCrops,
    plan: Sequence[Sequence[int]],
    *,
    workers: int,
    device: torch.device | str,
    keep_empty: bool = False,
) -> Iterator[Batch]:
    """Read crops in batches; the result depends neither on `workers` nor on the cache.

    Unreadable images are skipped and recorded in `crops.unreadable`. Global random states do not
    change.

    Args:
        crops: N images.
        plan: indices 0..N-1 of the images of each batch.
        workers: reading threads; 0 = read in the calling thread on demand; -1 = chosen by
            `crop_workers`. If all crops are cached, one at most.
        device: device of the images; the indices stay on the CPU.
        keep_empty: also yield batches without a (readable) image.

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


def _places(plan: Sequence[Sequence[int]], size: int, *, pinned: bool) -> Iterator[_Place]:
    """The destination of each crop; every batch gets new memory, since copies may be pending."""
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
            crops.unreadable[crops.photos[index].source] = reason
    if len(good) < len(read):
        images[: len(good)] = images[good]  # in place, so that the memory stays pinned
        images = images[: len(good)]
    # Asynchronous, to overlap the copy with computation on the device.
    images = images.to(device, non_blocking=device.type == "cuda")
    return Batch(torch.tensor([indices[row] for row in good], dtype=torch.int64), images)


def _choose_threads(crops: BaseCrops, plan: Sequence[Sequence[int]], workers: int) -> int:
    # Copying from the cache is cheap; more threads would only take cores from torch.
    missing = sum(not crops.cache.holds(index) for indices in plan for index in indices)
    return min(crop_workers(workers), max(1, missing))


Loader = Callable[[list[int], int], Iterable[Batch]]
"""Maps (indices of images, batch size) to batches.

With several processes, each one gets its share of every batch; all get the same number of batches,
of which some may be empty.
"""


def image_loader(
    crops: BaseCrops, config: Config, device: torch.device, processes: Processes | None = None
) -> Loader:
    """A `Loader` that reads this process' share of each batch to the device."""
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
    """The same loader; calls `advance` with the number of images of each batch."""

    def read(order: list[int], batch_size: int) -> Iterator[Batch]:
        for batch in loader(order, batch_size):
            advance(len(batch.indices))
            yield batch

    return read
