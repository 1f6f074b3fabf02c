"""Read photos ahead in threads, and batch them by their size in the network.

Decoding and resizing release the GIL, so they run in parallel with the network.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from picie.data.folder import Photo
from picie.data.images import DEFAULT, network_input, read_image, stored_pixels
from picie.data.photo_state import UNKNOWN, PhotoState
from picie.data.prefetch import Prefetch
from picie.data.reading import Reading
from picie.errors import DataError
from picie.runtime.storage import Outages, local_copy, local_path

__all__ = ["LoadedPhoto", "in_batches", "read_ahead"]

_Result = TypeVar("_Result")
_WINDOW = 4  # images of one size are collected from this many batches
_MOST_PIXELS = 2**24  # of waiting images, and of those that each thread reads ahead: 50 MB


@dataclass(frozen=True, eq=False)
class LoadedPhoto:
    """One photo in memory.

    Attributes:
        photo: name and file.
        image: (H, W, 3) uint8 RGB; empty if it could not be read.
        pixels: (3, h, w) uint8, the input of the network; None if it could not be read.
        problem: why it could not be read, else "".
        state: of the file before it was read.
        seconds: that reading took.
    """

    photo: Photo
    image: NDArray[np.uint8]
    pixels: Tensor | None
    problem: str = ""
    state: PhotoState = UNKNOWN
    seconds: float = 0.0


def read_ahead(
    photos: Sequence[Photo],
    size: int,
    *,
    ahead: int,
    workers: int,
    reading: Reading = DEFAULT,
) -> Iterator[LoadedPhoto]:
    """Read photos in order; photos that cannot be read have a `problem`.

    Args:
        photos: files.
        size: short side of the network's input, in pixels.
        ahead: maximum number of images read ahead; fewer if they are large.
        workers: reading threads; 0 = read each image on demand.
        reading: how they are read.

    Raises:
        DataError: a storage fails to give several photos in a row.
    """
    taken = deque[int](maxlen=max(ahead, 1))  # pixels of the last images, of which some wait
    largest, outages = 0, Outages()

    def work(photo: Photo) -> LoadedPhoto:
        nonlocal largest
        loaded = _read(photo, size, reading, outages)
        largest = max(largest, loaded.image[..., 0].size)
        return loaded

    def tasks() -> Iterator[Photo]:
        for photo in photos:
            path = local_path(photo.file) if workers else None
            # The header of a photo in a storage comes with the photo: it may be like the others.
            taken.append(stored_pixels(path) if path else largest)
            yield photo

    def room(waiting: Sequence[object]) -> bool:
        return sum(list(taken)[len(taken) - len(waiting) :]) < _MOST_PIXELS * max(workers, 1)

    reader = Prefetch(work, tasks(), threads=workers, ahead=max(ahead, 1) - 1, room=room)
    try:
        yield from reader
    finally:
        reader.close()


def in_batches(
    images: Iterator[LoadedPhoto],
    batch_size: int,
    apply: Callable[[Sequence[LoadedPhoto]], Sequence[_Result]],
) -> Iterator[tuple[LoadedPhoto, _Result | None]]:
    """Apply a function to batches of images of one network size, and yield results in order.

    A batch is computed as soon as it is full, or when four batches of images are waiting (fewer if
    they are large), or at the end of the images.

    Args:
        images: in the order of the results.
        batch_size: maximum number of images per call of `apply`.
        apply: maps images of one network size to one result per image, for example their masks.

    Yields:
        Each image with its result, which is None if the image could not be read.
    """
    waiting: deque[LoadedPhoto] = deque()
    results: dict[LoadedPhoto, _Result] = {}
    for image in images:
        waiting.append(image)
        yield from _ready(waiting, results, batch_size, apply, full=True)
    yield from _ready(waiting, results, batch_size, apply, full=False)


def _ready(
    waiting: deque[LoadedPhoto],
    results: dict[LoadedPhoto, _Result],
    batch_size: int,
    apply: Callable[[Sequence[LoadedPhoto]], Sequence[_Result]],
    *,
    full: bool,
) -> Iterator[tuple[LoadedPhoto, _Result | None]]:
    """Yield results from the front; with `full`, compute a batch only if it is full or overdue."""
    while waiting:
        first = waiting[0]
        if first.pixels is not None and first not in results:
            batch = _of_one_size(waiting, results, batch_size)
            if full and len(batch) < batch_size and not _crowded(waiting, batch_size):
                return
            results.update(zip(batch, apply(batch), strict=True))
        yield waiting.popleft(), results.pop(first, None)


def _of_one_size(
    waiting: deque[LoadedPhoto], results: dict[LoadedPhoto, _Result], batch_size: int
) -> list[LoadedPhoto]:
    """The first image and the next ones of its size without a result."""
    shape = None if waiting[0].pixels is None else waiting[0].pixels.shape
    alike = (
        image
        for image in waiting
        if image.pixels is not None and image.pixels.shape == shape and image not in results
    )
    return list(islice(alike, batch_size))


def _crowded(waiting: deque[LoadedPhoto], batch_size: int) -> bool:
    return (
        len(waiting) >= _WINDOW * batch_size
        or sum(image.image[..., 0].size for image in waiting) >= _MOST_PIXELS
    )


def _read(photo: Photo, size: int, reading: Reading, outages: Outages) -> LoadedPhoto:
    start, state = time.perf_counter(), PhotoState.of(photo)
    try:
        with local_copy(photo.file) as file:
            image = read_image(file, reading, photo.page)
    except DataError as error:
        outages.add(error)
        return LoadedPhoto(photo, np.zeros((0, 0, 3), np.uint8), None, str(error), state)
    outages.add(None)
    pixels = network_input(image, size)
    return LoadedPhoto(photo, image, pixels, "", state, time.perf_counter() - start)
