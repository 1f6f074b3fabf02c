"""The photos of a folder: their list, small copies of them, and tiles of large ones.

Nothing here needs torch, so that the page shows photos before a model can be loaded. A photo is
known by its place in the list, which is sorted by name; files that are made of it are known by its
path, size and time of change, so that a changed photo never shows an old copy.

The tiles of a photo are a pyramid: level 0 has its full resolution, each further level half of the
one before, rounded up, and the last one fits into one tile. A photo is decoded once for all of its
tiles; of a JPEG, coarse levels are decoded at a fraction of its size first, which takes a tenth of
the time.
"""

import hashlib
import io
import os
import shutil
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picie.data.folder import Photo, PhotoFolder
from picie.data.images import read_reduced, upright_size
from picie.data.kinds import extension
from picie.data.reading import Reading
from picie.errors import DataError, PicieError
from picie.runtime.files import open_regular, write_atomically, writing

__all__ = ["JPEG", "THUMBNAIL", "TILE_SIDE", "PhotoInfo", "Photos"]

THUMBNAIL = 384
"""Longest side of a small copy, in pixels."""

TILE_SIDE = 512
"""Side of a tile, in pixels; those at the right and at the bottom are smaller."""

JPEG = "image/jpeg"
"""Media type of small copies and tiles."""

_REDUCIBLE = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"})
_FULL = 3  # levels from here on are decoded at an eighth of the size of a JPEG
_QUALITY = {"thumbs": 80, "tiles": 90}
_KEPT = 64  # photos whose tiles are kept
_STRIP = 512  # rows that are halved together
_LETTERS = 32  # of a key


class PhotoInfo(NamedTuple):
    """What the large view needs to know of a photo.

    Attributes:
        width: of the upright photo, in pixels.
        height: of the upright photo, in pixels.
        levels: number of levels of its tiles.
        problem: why it cannot be read, or "".
    """

    width: int
    height: int
    levels: int
    problem: str = ""


class Photos:
    """The photos of a folder.

    Args:
        folder: opened, so that it is settled how its photos are read.
        cache: folder for small copies and tiles; it may be removed at any time.

    Attributes:
        folder: as given; photos are its `folder.photos`, by their numbers.
        names: as `Photo.name`.
        times: of their last change, in seconds since 1970; 0 for those that are gone.
        keys: 32 letters for each that change with the file.
    """

    def __init__(self, folder: PhotoFolder, cache: Path) -> None:
        self.folder = folder
        self._cache = cache
        self.names = [photo.name for photo in folder.photos]
        states = [_state(photo) for photo in folder.photos]
        self.times = [time / 1e9 for _, time in states]
        self.keys = [
            _key(photo, state, folder.reading)
            for photo, state in zip(folder.photos, states, strict=True)
        ]
        self.problems: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        self._cuttings: dict[tuple[int, bool], _Cutting] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.names)

    def number(self, name: str) -> int | None:
        """The number of a photo; None if there is no such photo."""
        if not self._numbers:
            self._numbers = {one: place for place, one in enumerate(self.names)}
        return self._numbers.get(name)

    def info(self, number: int) -> PhotoInfo:
        """Size and levels of a photo; of one that cannot be read, its problem."""
        photo = self.folder.photos[number]
        try:
            width, height = upright_size(photo.path, photo.page)
        except DataError as error:
            self.problems[number] = str(error)
            return PhotoInfo(0, 0, 0, str(error))
        levels = 1
        while max(width, height) > TILE_SIDE << (levels - 1):
            levels += 1
        return PhotoInfo(width, height, levels, self.problems.get(number, ""))

    def kept_thumbnail(self, number: int) -> bytes | None:
        """The small copy of a photo if it was made before: that takes no time."""
        return _kept(self._thumbnail_path(number))

    def thumbnail(self, number: int) -> tuple[bytes, str]:
        """A small copy of a photo, upright, and its media type.

        Args:
            number: of the photo.

        Raises:
            DataError: the photo cannot be read.
        """
        path = self._thumbnail_path(number)
        content = _kept(path)
        if content is None:
            image, (width, height) = self._read(number, THUMBNAIL)
            scale = min(1.0, THUMBNAIL / max(width, height))
            size = max(1, round(width * scale)), max(1, round(height * scale))
            content = _encoded(_resized(image, size), "thumbs")
            _keep(path, content)
        return content, JPEG

    def tile(self, number: int, level: int, column: int, row: int) -> tuple[bytes, str]:
        """A tile of a photo, and its media type.

        Args:
            number: of the photo.
            level: from 0, the full resolution.
            column: of the tile, from the left.
            row: of the tile, from the top.

        Raises:
            DataError: the photo cannot be read, or has no such tile.
        """
        folder = self._cache / "tiles" / self.keys[number]
        name = _tile_name(level, column, row)
        content = _kept(folder / name)
        if content is None:
            info = self.info(number)
            if info.problem:
                raise DataError(info.problem)
            across, down = _tiles(info, level) if 0 <= level < info.levels else (0, 0)
            if not (0 <= column < across and 0 <= row < down):
                raise DataError(f"{self.names[number]}: has no tile {level}/{column}/{row}")
            content = self._cutting(number, info, level).wait(level, column, row)
        return content, JPEG

    def _cutting(self, number: int, info: PhotoInfo, level: int) -> "_Cutting":
        """The one that cuts the tiles of a photo now; coarse levels of a JPEG come first."""
        coarse = level >= _FULL and extension(self.folder.photos[number].file) in _REDUCIBLE
        with self._lock:
            cutting = self._cuttings.get((number, coarse))
            if cutting is None:
                cutting = _Cutting(self, number, info, coarse=coarse)
                self._cuttings[number, coarse] = cutting
                cutting.start()
        return cutting

    def _finished(self, cutting: "_Cutting") -> None:
        _remove_old(self._cache / "tiles")
        with self._lock:
            self._cuttings.pop((cutting.number, cutting.coarse), None)

    def _read(self, number: int, side: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        photo = self.folder.photos[number]
        try:
            return read_reduced(photo.path, side, self.folder.reading, photo.page)
        except DataError as error:
            self.problems[number] = str(error)
            raise

    def _thumbnail_path(self, number: int) -> Path:
        key = self.keys[number]
        return self._cache / "thumbs" / key[:2] / f"{key}.jpg"


class _Cutting(threading.Thread):
    """Cuts all tiles of a photo, or all of its coarse levels; those that somebody waits for first.

    Args:
        photos: of the photo.
        number: of the photo.
        info: of the photo.
        coarse: only the levels from `_FULL` on.
    """

    def __init__(self, photos: Photos, number: int, info: PhotoInfo, *, coarse: bool) -> None:
        super().__init__(name="picie-tiles", daemon=True)
        self.number, self.coarse = number, coarse
        self._photos, self._info = photos, info
        self._changed = threading.Condition()
        self._wanted: deque[tuple[int, int, int]] = deque()
        self._done: dict[tuple[int, int, int], bytes] = {}
        self._error: PicieError | None = None
        self._over = False

    def wait(self, *place: int) -> bytes:
        """The tile at a level, column and row, as soon as it is cut.

        Raises:
            DataError: the photo cannot be read.
        """
        level, column, row = place
        with self._changed:
            self._wanted.append((level, column, row))
            self._changed.wait_for(lambda: (level, column, row) in self._done or self._over)
            if (level, column, row) in self._done:
                return self._done[level, column, row]
        raise self._error or DataError(f"{self._photos.names[self.number]}: has no such tile")

    def run(self) -> None:
        """Read the photo and cut it."""
        try:
            self._cut()
        except PicieError as error:
            self._error = error
        except (OSError, MemoryError, ValueError) as error:
            self._error = DataError(f"{self._photos.names[self.number]}: {error}")
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()
            self._photos._finished(self)

    def _cut(self) -> None:
        first = _FULL if self.coarse else 0
        side = max(_level_size(self._info, first))
        image = self._photos._read(self.number, side)[0]
        levels: dict[int, NDArray[np.uint8]] = {}
        for level in range(first, self._info.levels):
            width, height = _level_size(self._info, level)
            if level > first:
                image = _halved(image)
            if image.shape[:2] != (height, width):  # a decoder rounded in another way
                image = np.array(_resized(image, (width, height)))
            levels[level] = image
        every = deque(
            (level, column, row)
            for level in reversed(levels)
            for row in range(_tiles(self._info, level)[1])
            for column in range(_tiles(self._info, level)[0])
        )
        folder = self._photos._cache / "tiles" / self._photos.keys[self.number]
        while every:
            with self._changed:
                place = self._wanted.popleft() if self._wanted else every.popleft()
            if place not in self._done and place[0] in levels:
                content = _encoded(_part(levels[place[0]], *place[1:]), "tiles")
                _keep(folder / _tile_name(*place), content)
                with self._changed:
                    self._done[place] = content
                    self._changed.notify_all()


def _state(photo: Photo) -> tuple[int, int]:
    """Size in bytes, and time in nanoseconds, of a file; 0 if it is gone."""
    try:
        status = os.stat(photo.file)
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _key(photo: Photo, state: tuple[int, int], reading: Reading) -> str:
    text = f"{os.path.abspath(photo.file)}|{photo.page}|{state}|{reading}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_LETTERS]


def _level_size(info: PhotoInfo, level: int) -> tuple[int, int]:
    """(W, H) of a level in pixels."""
    return -(-info.width >> level), -(-info.height >> level)


def _tiles(info: PhotoInfo, level: int) -> tuple[int, int]:
    """Number of tiles of a level, across and down."""
    width, height = _level_size(info, level)
    return -(-width // TILE_SIDE), -(-height // TILE_SIDE)


def _tile_name(level: int, column: int, row: int) -> str:
    return f"{level}-{column}-{row}.jpg"


def _part(image: NDArray[np.uint8], column: int, row: int) -> Image.Image:
    left, top = column * TILE_SIDE, row * TILE_SIDE
    part = image[top : top + TILE_SIDE, left : left + TILE_SIDE]
    return Image.fromarray(np.ascontiguousarray(part))


def _halved(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Half the size, rounded up; in strips, because Pillow needs a third more memory."""
    height, width = image.shape[:2]
    half = np.empty((-(-height // 2), -(-width // 2), 3), np.uint8)
    for top in range(0, height, _STRIP):
        strip = np.asarray(Image.fromarray(image[top : top + _STRIP]).reduce(2))
        half[top // 2 : top // 2 + len(strip)] = strip
    return half


def _resized(image: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
    picture = Image.fromarray(image)
    if picture.size == size:
        return picture
    return picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)


def _encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY[kind])
    return file.getvalue()


def _kept(path: Path) -> bytes | None:
    """The content of a file of the cache, or None."""
    try:
        with open_regular(path) as file:
            return file.read() or None
    except OSError:
        return None


def _keep(path: Path, content: bytes) -> None:
    """Write a file of the cache; on a full disk it is made anew the next time."""
    with suppress(PicieError):
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content, durable=False)


def _remove_old(folder: Path) -> None:
    """Keep the tiles of the photos that were cut last."""
    with suppress(OSError):
        found = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        for old in found[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)
