"""Images read ahead in threads, and put together with others of their size.

Decoding and resizing let other threads run, so the network need not wait for them.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from picie.data.crop_loader import available_cores
from picie.data.folder import Photo
from picie.data.images import network_input, read_image
from picie.errors import DataError

__all__ = ["LoadedPhoto", "choose_workers", "in_batches", "read_ahead"]

_Result = TypeVar("_Result")
_MOST_WORKERS = 8
_WINDOW = 4  # batches that images of one size are looked for in
_MOST_PIXELS = 2**27  # of images that wait: 400 MB


@dataclass(frozen=True, eq=False)
class LoadedPhoto:
    """One photo as read.

    Attributes:
        photo: its name and file.
        image: (H, W, 3) uint8 RGB; empty where it could not be read.
        pixels: (3, h, w) uint8, as the network sees it; None where it could not be read.
        problem: why it could not be read, else "".
    """

    photo: Photo
    image: NDArray[np.uint8]
    pixels: Tensor | None
    problem: str = ""


def choose_workers(workers: int, device: torch.device) -> int:
    """The number itself, or for -1 two less than the cores, up to 8.

    With two cores that is none where the network computes on the CPU: it uses both, and gains
    nothing from a third thread (or loses half its speed where other programs run). On any other
    device it is one at least.
    """
    if workers >= 0:
        return workers
    return max(int(device.type != "cpu"), min(available_cores() - 2, _MOST_WORKERS))


def read_ahead(
    photos: Sequence[Photo], size: int, *, ahead: int, workers: int
) -> Iterator[LoadedPhoto]:
    """Read photos in their order; those that cannot be read come with a problem.

    Args:
        photos: files.
        size: short side in pixels at which the network sees them.
        ahead: most images that wait or are being read; fewer where they are large.
        workers: threads that read; 0 = each image is read when it is asked for.
    """
    if not workers:
        yield from (_read(photo, size) for photo in photos)
        return
    waiting: deque[Future[LoadedPhoto]] = deque()
    left = iter(photos)
    pool = ThreadPoolExecutor(workers, "picie-read")
    try:
        while True:
            while len(waiting) < max(ahead, 1) and _room(waiting):
                photo = next(left, None)
                if photo is None:
                    break
                waiting.append(pool.submit(_read, photo, size))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def in_batches(
    images: Iterator[LoadedPhoto],
    batch_size: int,
    apply: Callable[[Sequence[LoadedPhoto]], Sequence[_Result]],
) -> Iterator[tuple[LoadedPhoto, _Result | None]]:
    """What is made of images, in their order, for several of one network size at a time.

    A batch is computed as soon as it is full. It is computed earlier when four batches of images
    of other sizes wait behind its first one, and when the images end.

    Args:
        images: in the order wanted.
        batch_size: most images that are given to `apply` together.
        apply: from images of one network size to what is made of each, such as their masks.

    Yields:
        each image with what was made of it; None where it could not be read.
    """
    waiting: deque[LoadedPhoto] = deque()
    made: dict[LoadedPhoto, _Result] = {}
    for image in images:
        waiting.append(image)
        yield from _ready(waiting, made, batch_size, apply, full=True)
    yield from _ready(waiting, made, batch_size, apply, full=False)


def _ready(
    waiting: deque[LoadedPhoto],
    made: dict[LoadedPhoto, _Result],
    batch_size: int,
    apply: Callable[[Sequence[LoadedPhoto]], Sequence[_Result]],
    *,
    full: bool,
) -> Iterator[tuple[LoadedPhoto, _Result | None]]:
    """Take what is ready from the front; with `full` only what can wait no longer is computed."""
    while waiting:
        first = waiting[0]
        if first.pixels is not None and first not in made:
            batch = _of_one_size(waiting, made, batch_size)
            if full and len(batch) < batch_size and not _crowded(waiting, batch_size):
                return
            made.update(zip(batch, apply(batch), strict=True))
        yield waiting.popleft(), made.pop(first, None)


def _of_one_size(
    waiting: deque[LoadedPhoto], made: dict[LoadedPhoto, _Result], batch_size: int
) -> list[LoadedPhoto]:
    """The first image and those after it of its size that have no mask yet."""
    shape = None if waiting[0].pixels is None else waiting[0].pixels.shape
    alike = (
        image
        for image in waiting
        if image.pixels is not None and image.pixels.shape == shape and image not in made
    )
    return list(islice(alike, batch_size))


def _crowded(waiting: deque[LoadedPhoto], batch_size: int) -> bool:
    return (
        len(waiting) >= _WINDOW * batch_size
        or sum(image.image[..., 0].size for image in waiting) >= _MOST_PIXELS
    )


def _room(waiting: deque[Future[LoadedPhoto]]) -> bool:
    read = (future.result() for future in waiting if future.done() and not future.exception())
    return sum(image.image[..., 0].size for image in read) < _MOST_PIXELS


def _read(photo: Photo, size: int) -> LoadedPhoto:
    try:
        image = read_image(photo.path)
    except DataError as error:
        return LoadedPhoto(photo, np.zeros((0, 0, 3), np.uint8), None, str(error))
    return LoadedPhoto(photo, image, network_input(image, size))
