"""Leaf maps: the winning row of the model at each cell of a photo, and at its pixels.

A leaf is a row: 0..P-1 are the centroids, P..R-1 belong to classes that no cluster is named, and
are there only after strokes. Which class a leaf has is not part of a map, so names change no map.

A map travels as a frame: 16 bytes, little endian, then the leaves row by row.

| bytes | what |
|---|---|
| 4 | number of the photo |
| 4 | version of the rows |
| 2 + 2 | columns, rows |
| 1 | bytes per leaf: 1, or 2 for more than 256 rows |
| 1 | 1 = a map follows; 0 = the photo cannot be read, and there are neither columns nor rows |
| 2 | 0 |
"""

import hashlib
import shutil
import struct
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from picie.annotation.features import FeatureCache, Features, network_digest
from picie.clustering.kmeans.points import best_rows
from picie.config import make_config
from picie.data.images import network_input, read_image
from picie.errors import DataError, PicieError
from picie.inference.segmenter import TAUGHT, TILE, Segmenter
from picie.models.centroids import LEARNT
from picie.models.storage import hash_tensors
from picie.postprocessing.tiling import blended
from picie.postprocessing.upsampling import upsample
from picie.runs import FEATURES_FOLDER, STUDIO_FOLDER
from picie.runtime.devices import for_each
from picie.runtime.files import open_regular, write_atomically, writing
from picie.studio.photos import Photos
from picie.types import LabelsUsed

__all__ = ["FINE_SIDE", "Leaves", "Register", "Rows", "frame", "model_key"]

FINE_SIDE = 2048
"""Longest side of a fine map."""

_HEADER = struct.Struct("<IIHHBBH")
_IN_MEMORY = 48  # photos whose features are kept in memory: 100 MB
_FINE = 6  # fine maps in memory
_MOST_BYTES = 4 * 2**30  # of features on disk
_SHARE = 4  # of the free space: a quarter
_VERSIONS = 2**32


@dataclass(frozen=True, eq=False)
class Rows:
    """What cells are compared with.

    Attributes:
        version: another one for other rows.
        count: R.
        learnt: (R, D) rows and (R,) offsets that learnt from strokes; None = the trained centroids.
    """

    version: int
    count: int
    learnt: tuple[Tensor, Tensor] | None = None


class Register(Protocol):
    """What keeps what is known of all photos."""

    def add(
        self, number: int, features: Tensor, winners: NDArray[np.integer[Any]] | None = None
    ) -> None:
        """Keep what it needs of a photo."""

    def fail(self, number: int, problem: str) -> None:
        """Note that a photo cannot be read."""


class Leaves:
    """Features and leaf maps of photos; called by one thread, that of the worker.

    Args:
        model: as it was trained, without names.
        photos: of the folder.
        run: its folder, where features and maps are kept.

    Attributes:
        rows: what maps are made with; any thread may replace it.
        register: is told of each photo that goes through the network.
        cache: of the features.
        folder: for what is computed with the trained rows.
    """

    def __init__(self, model: Segmenter, photos: Photos, run: Path) -> None:
        self.model, self.photos = model, photos
        self.register: Register | None = None
        self.cache = FeatureCache(model, run / FEATURES_FOLDER)
        # Pages that were opened before this start know lower numbers.
        self._count = len(model.network.view_centroids(0)[0])
        self.rows = Rows(int(time.time()) % _VERSIONS, self._count)
        self.folder = run / STUDIO_FOLDER / model_key(model)
        self._maps = self.folder / "maps"
        self._changes: dict[int, float] = {}
        self._features: OrderedDict[int, Features] = OrderedDict()
        self._fine: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._every: tuple[Rows, Segmenter] | None = None
        self._noted: set[int] = set()
        self._room = _room(run / FEATURES_FOLDER)

    def use(self, learnt: tuple[Tensor, Tensor] | None) -> None:
        """Make maps with other rows and offsets from now on; with the trained ones if None."""
        version = (self.rows.version + 1) % _VERSIONS
        self.rows = Rows(version, self._count if learnt is None else len(learnt[0]), learnt)

    def is_ready(self, number: int) -> bool:
        """Whether the map of a photo takes neither the network nor the disk."""
        return number in self._features

    def features(self, number: int, *, hold: bool = True) -> Features:
        """The features of a photo, from memory, from the disk, or from the network.

        Args:
            number: of the photo.
            hold: in memory, since it is in view.

        Raises:
            DataError: it cannot be read.
        """
        if self._holds(number):
            self._features.move_to_end(number)
            return self._features[number]
        folder = self.photos.folder
        one = replace(folder, photos=(folder.photos[number],))
        kept = self.cache.knows(one.photos[0])
        ((_, features, problem),) = self.cache.each(one, keep=self._room > 0)
        if features is None:
            if self.register is not None:
                self.register.fail(number, problem)
            raise DataError(problem)
        self._room -= 0 if kept else features.nbytes
        if hold:
            self._features[number], self._changes[number] = features, self._change(number)
        while len(self._features) > _IN_MEMORY:
            self._features.popitem(last=False)
        self._note(number, features)
        return features

    def kept(self, number: int) -> NDArray[np.integer[Any]] | None:
        """The (h, w) map of a photo under the trained rows, if it is on the disk; any thread."""
        content = _read(self._maps / f"{self.photos.keys[number]}.bin", Rows(0, self._count))
        if content is None:
            return None
        _, _, width, height, each, _, _ = _HEADER.unpack_from(content)
        found = np.frombuffer(content, f"<u{each}", offset=_HEADER.size)
        return found.reshape(height, width)

    def frames(self, numbers: Sequence[int]) -> list[bytes]:
        """The frames of photos, under the present rows; an empty one if a photo cannot be read."""
        rows = self.rows
        known = {number: self._features[number] for number in numbers if self._holds(number)}
        ready, found = list(known), dict[int, bytes]()

        def work(place: int) -> None:
            number = ready[place]
            found[number] = frame(number, rows, self._winners(known[number], rows))

        for_each(work, len(ready))
        for number in ready:
            self._features.move_to_end(number)
        return [found.get(number) or self._frame(number, rows) for number in numbers]

    def base(self, number: int) -> NDArray[np.int64]:
        """(h, w) the leaves of a photo under the trained rows.

        Raises:
            DataError: it cannot be read.
        """
        return self._winners(self.features(number, hold=False), Rows(0, self._count))

    def fine(self, number: int) -> bytes:
        """The frame of a photo at up to 2048 pixels, as the model predicts it.

        Raises:
            DataError: it cannot be read.
        """
        rows = self.rows
        key = (number, rows.version)
        if key not in self._fine:
            self._fine[key] = frame(number, rows, self._predicted(number, rows))
        self._fine.move_to_end(key)
        while len(self._fine) > _FINE:
            self._fine.popitem(last=False)
        return self._fine[key]

    def _holds(self, number: int) -> bool:
        """Whether the features of a photo are in memory, and it has not changed since."""
        if number in self._features and self._changes[number] != self._change(number):
            del self._features[number]
            self._noted.discard(number)
        return number in self._features

    def _change(self, number: int) -> float:
        """The time of the last change of a photo, as in `Photos.times`; that if it is gone."""
        try:
            return self.photos.folder.photos[number].path.stat().st_mtime_ns / 1e9
        except OSError:
            return self.photos.times[number]

    def _frame(self, number: int, rows: Rows) -> bytes:
        path = self._maps / f"{self.photos.keys[number]}.bin"
        same = self._change(number) == self.photos.times[number]
        kept = _read(path, rows) if rows.learnt is None and same else None
        if kept is not None:
            return _HEADER.pack(number, rows.version, *_HEADER.unpack_from(kept)[2:]) + kept[16:]
        try:
            features = self.features(number)
        except DataError:
            return frame(number, rows, None)
        return frame(number, rows, self._winners(features, rows))

    def _note(self, number: int, features: Features) -> None:
        """Keep the map of a photo under the trained rows, and tell the register of it."""
        if number in self._noted:
            return
        path = self._maps / f"{self.photos.keys[number]}.bin"
        base = Rows(0, self._count)
        winners = self._winners(features, base)
        if self.register is not None:
            self.register.add(number, torch.from_numpy(features), winners)
            self._noted.add(number)  # not before: the register comes after the first strokes
        if not path.exists() and self._change(number) == self.photos.times[number]:
            with suppress(PicieError), writing(path):  # it only takes longer the next time
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, frame(number, base, winners), durable=False)

    @torch.no_grad()
    def _winners(self, features: Features, rows: Rows) -> NDArray[np.int64]:
        """(h, w) the winning row of each cell."""
        shape = features.shape[1:]
        maps = torch.from_numpy(features).to(self.model.device).float()
        if rows.learnt is None:
            scores = self.model.centroid_scores(maps[None])[0].flatten(1)
        else:  # as `centroid_scores` of the taught model, times the length of the feature
            cells = maps.flatten(1)
            scores = torch.mm(rows.learnt[0].to(cells), cells)
            scores += rows.learnt[1].to(cells)[:, None] * torch.linalg.vector_norm(cells, dim=0)
        winners: NDArray[np.int64] = best_rows(scores)[1].view(shape).cpu().numpy()
        return winners

    @torch.no_grad()
    def _predicted(self, number: int, rows: Rows) -> NDArray[np.int64]:
        """(h, w) the winning row of each pixel of a photo of at most 2048 pixels."""
        folder = self.photos.folder
        photo = folder.photos[number]
        image = read_image(photo.path, folder.reading, photo.page)
        shrink = min(1.0, FINE_SIDE / max(image.shape[:2]))
        size = tuple(max(1, round(side * shrink)) for side in image.shape[:2])
        if self._every is None or self._every[0] is not rows:
            self._every = rows, _every_row(self.model, rows)
        model = self._every[1]
        pixels = network_input(image, model.config.size)

        def logits(part: Tensor) -> Tensor:
            return model.logits(part.to(model.device).float() / 255)

        whole = max(pixels.shape[1:]) <= TILE
        scores = logits(pixels[None])[0] if whole else blended(logits, pixels, TILE)
        return upsample(scores, size).astype(np.int64)


def frame(number: int, rows: Rows, winners: NDArray[np.integer[Any]] | None) -> bytes:
    """A frame, as the page reads it.

    Args:
        number: of the photo.
        rows: with which the map was made.
        winners: (h, w), or None if the photo cannot be read.
    """
    bytes_each = 1 if rows.count <= 256 else 2
    if winners is None:
        return _HEADER.pack(number, rows.version, 0, 0, bytes_each, 0, 0)
    height, width = winners.shape
    content = winners.astype(f"<u{bytes_each}").tobytes()
    return _HEADER.pack(number, rows.version, width, height, bytes_each, 1, 0) + content


def model_key(model: Segmenter) -> str:
    """16 hexadecimal digits that change with anything that maps of trained rows depend on."""
    tensors = model.network.state_dict()
    digest = hashlib.sha256(f"{network_digest(model)} {model.config.predict_rule}".encode())
    hash_tensors(digest, {name: tensors[name] for name in LEARNT})
    return digest.hexdigest()[:16]


def _every_row(model: Segmenter, rows: Rows) -> Segmenter:
    """A model whose ids are the numbers of the rows."""
    network, config, groups = model.network, model.config, torch.arange(rows.count)
    if rows.learnt is None:
        network = network.regrouped([groups] * len(network.groups))
    else:
        no_tree = torch.empty(0, 3, dtype=torch.float64)
        network = network.taught(rows.learnt[0], groups, rows.learnt[1], no_tree, LabelsUsed())
        config = make_config(**config.model_dump() | TAUGHT)
    return Segmenter(network, config, precision=model.precision)


def _room(folder: Path) -> int:
    """Bytes that features on disk may still take."""
    used = 0
    with suppress(OSError):
        used = sum(path.stat().st_size for path in folder.iterdir())
    free = shutil.disk_usage(folder.parent).free
    return min(_MOST_BYTES - used, free // _SHARE)


def _read(path: Path, rows: Rows) -> bytes | None:
    """A frame from the disk, None if there is none, or a damaged one."""
    try:
        with open_regular(path) as file:
            content = file.read()
        _, _, width, height, each, good, _ = _HEADER.unpack_from(content)
    except (OSError, struct.error):
        return None
    right = each == (1 if rows.count <= 256 else 2) and good == 1
    return content if right and len(content) == 16 + width * height * each else None
