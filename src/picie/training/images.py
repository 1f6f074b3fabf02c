"""The images of a run: what must hold before it begins, and a list to resume it with the same.

The list is images.jsonl. Its first line says what the file is. Each other line is [name, size in
bytes, time of the last change in nanoseconds, digest]. Copies and touched files have another time;
their digests decide. Of an image in a storage, the time is 0 and the digest what its listing says.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

import numpy as np

from picie.clustering.features import check_pixels, cluster_order
from picie.config import Config
from picie.data.crop_loader import open_crops
from picie.data.folder import Photo
from picie.data.listing import few
from picie.errors import DataError, ModelError
from picie.runtime.files import open_regular
from picie.runtime.printable import printable, shown
from picie.version import __version__

__all__ = ["Changes", "check_images", "compare_images", "image_lines"]

_BLOCK = 65_536
_BLOCKS = 4  # of a larger file, evenly spaced: photos that were replaced differ everywhere
_THREADS = 8
_BATCH = 1_024
_SHOWN = 3

_Entry = tuple[int, int, str]
"""Size in bytes (-1 = no such file), time of the last change in ns, digest ("" = not read)."""


@dataclass(frozen=True)
class Changes:
    """How images differ from those that a run began with.

    Attributes:
        removed: names of images that are gone.
        added: names of new images.
        changed: names of images with another content.
    """

    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return bool(self.removed or self.added or self.changed)

    def __str__(self) -> str:
        """The number of each kind, and some names."""
        return ", ".join(
            f"{len(names)} {kind} ({printable(few(list(names), _SHOWN))})"
            for kind, names in vars(self).items()
            if names
        )


def check_images(photos: Sequence[Photo], config: Config, stride: int) -> None:
    """Raise if training must fail: reads images until one can be read and shows something.

    Args:
        photos: N images.
        config: all settings.
        stride: of the network, pixels per cell of its feature map.

    Raises:
        DataError: no readable image, only images of one colour, or fewer pixels than centroids.
    """
    uncached = config.model_copy(update={"cache_mb": 0, "cache_disk_mb": 0})
    crops = open_crops(photos, uncached, Path())
    crop = np.empty((3, config.base_size, config.base_size), np.uint8)
    first, constant = "", 0
    for index in cluster_order(config, 0, len(photos)):  # black frames often follow one another
        reason = crops.read(index, crop)
        if crops.content[index] == 1:
            break
        first, constant = first or reason, constant + (not reason)
    else:
        if constant:
            raise DataError(
                f"{config.data}: there is nothing to learn, because all {constant} images that can "
                "be read are of (nearly) one colour; check how they were exposed and saved, and "
                "for images deeper than 8 bits choose their range with --stretch"
            )
        raise DataError(
            f"{config.data}: none of the {len(photos)} images can be read; first: {first}"
        )
    cells = (-(-config.size // stride)) ** 2
    pixels = min(config.kmeans_pixels or cells, cells)
    clusters = config.objective != "iic" or config.final_centroids == "clean"
    for centroids, _ in config.levels if clusters else ():
        check_pixels(min(len(photos), config.kmeans_images) * pixels, centroids)


def image_lines(photos: Sequence[Photo], advance: Callable[[int], object] = id) -> Iterator[str]:
    """The lines of images.jsonl; reads up to 256 kB of each image on this machine.

    Args:
        photos: the images of a run.
        advance: called with numbers of finished images.
    """
    header = {"picie": __version__, "kind": "images", "images": len(photos)}
    yield json.dumps(header) + "\n"
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(photos), _BATCH):
            some = photos[start : start + _BATCH]
            for photo, entry in zip(some, pool.map(_entry, some), strict=True):
                yield json.dumps([photo.name, *entry]) + "\n"
            advance(len(some))


def compare_images(path: Path, photos: Sequence[Photo]) -> Changes:
    """Compare images with those that a run began with.

    Args:
        path: images.jsonl; without it, nothing is known and nothing differs.
        photos: the images now.

    Raises:
        ModelError: the file is damaged.
    """
    if not path.exists():
        return Changes()
    before = _read(path)
    added, changed = [], []
    for photo in photos:
        old = before.pop(photo.name, None)
        if old is None:
            added.append(photo.name)
        elif _differs(old, photo):
            changed.append(photo.name)
    return Changes(tuple(before), tuple(added), tuple(changed))


def _differs(old: _Entry, photo: Photo) -> bool:
    if photo.stamp:
        return _entry(photo) != old
    size, changed = _status(photo.file)
    if size != old[0] or changed == old[1]:
        return size != old[0]
    return _digest(photo.file, size) != old[2]


def _entry(photo: Photo) -> _Entry:
    if photo.stamp:
        return int(photo.stamp.partition(" ")[0]), 0, photo.stamp
    size, changed = _status(photo.file)
    return size, changed, _digest(photo.file, size)


def _status(file: str) -> tuple[int, int]:
    try:
        status = os.stat(file)
    except OSError:  # a dangling link; reported when it is read
        return -1, 0
    return status.st_size, status.st_mtime_ns


def _digest(file: str, size: int) -> str:
    """Digest of a file, or of blocks of a large one; "" if it cannot be read."""
    digest = hashlib.blake2b(digest_size=8)
    try:
        with open_regular(file) as opened:
            for start in _starts(size):
                opened.seek(start)
                digest.update(opened.read(_BLOCK))
    except OSError:
        return ""
    return digest.hexdigest()


def _starts(size: int) -> Iterable[int]:
    if size <= _BLOCK * _BLOCKS:
        return range(0, size, _BLOCK)
    return ((size - _BLOCK) * number // (_BLOCKS - 1) for number in range(_BLOCKS))


def _read(path: Path) -> dict[str, _Entry]:
    """The entries by name.

    Raises:
        ModelError: the file is damaged.
    """
    entries: dict[str, _Entry] = {}
    count = None
    try:
        with TextIOWrapper(open_regular(path), encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                where = f"{path}: line {number}"
                values = _value(line)
                if number == 1:
                    count = _count(values, where)
                    continue
                name, entry = _checked(values, where)
                entries[name] = entry
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ModelError(f"{path}: cannot be read ({reason}); {_ADVICE}") from None
    if count != len(entries):
        raise ModelError(f"{path}: has {len(entries)} entries instead of {count}; {_ADVICE}")
    return entries


_ADVICE = "restore the file, or remove it to resume without a check of the images"


def _value(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line.rstrip("\n")


def _count(values: object, where: str) -> object:
    if not isinstance(values, dict) or values.get("kind") != "images":
        raise ModelError(f"{where}: {shown(values)} is not the beginning of such a file; {_ADVICE}")
    return values.get("images")


def _checked(values: object, where: str) -> tuple[str, _Entry]:
    match values:
        case [str(name), int(size), int(changed), str(digest)]:
            return name, (size, changed, digest)
    raise ModelError(f"{where}: {shown(values)} is not name, size, time, digest; {_ADVICE}")
