"""What is known of all photos: shares of leaves, summaries for the queue, crops for the cards.

A leaf is a centroid of the trained model. Names, merges and strokes do not change what is kept
here, so each photo is looked at once, and a second start finds everything. A row per photo lies in
memory-mapped files, so that memory does not grow with the folder. Rows are found by what identifies
the file of a photo: unchanged photos keep theirs when others are added or removed.

A row counts from the moment its key is written, which happens after the row itself has been
written to the disk: a killed process loses the photos since the last time, and nothing else.
"""

import errno
import json
import math
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from picie.annotation.queue import Summary, spread, summarise
from picie.errors import ModelError, PicieError
from picie.inference.segmenter import Segmenter
from picie.reporting.collect import HEAT_SIDE
from picie.reporting.leaves import inner_cells
from picie.runtime.documents import read_json
from picie.runtime.files import write_atomically, writing
from picie.runtime.locks import locked
from picie.studio.photos import Photos

__all__ = ["UNKNOWN", "WHOLE", "Index"]

WHOLE = 65535
"""The share of a leaf that covers a whole photo."""

UNKNOWN = 65535
"""All shares of a photo that was not looked at yet."""

_FORMAT = 1
_CELLS = 100  # of a summary, at most
_CHUNK = 32  # rows that are written to the disk together
_FRACTION = 2**16  # units of a position relative to a side
_KEY = 16  # bytes
_EXTREME = np.dtype([("value", "<f2"), ("row", "<u2"), ("column", "<u2")])
_HEAD = np.dtype([("key", "V16"), ("cells", "u1")])
_HEADER = "index.json"


class Index:
    """What is known of the photos of a folder.

    Photos are added by one thread; any thread may ask.

    Args:
        photos: of the folder.
        model: as it was trained, without names.
        folder: for the files; None = a temporary one, as well as where another process has it.

    Attributes:
        photos: as given.
        leaves: P, the number of centroids.
        problems: why photos cannot be read, by number.
        note: why nothing is kept, or "".
    """

    def __init__(self, photos: Photos, model: Segmenter, folder: Path | None) -> None:
        self.photos = photos
        self.problems: dict[int, str] = {}
        self.note = ""
        self._model = model
        self._unit = F.normalize(model.network.view_centroids(0)[0], dim=1)  # (P, D)
        self.leaves = len(self._unit)
        self._stack = ExitStack()
        self._folder = self._opened(folder)
        self._keys = [bytes.fromhex(key) for key in photos.keys]
        self._pending: list[tuple[int, bytes]] = []
        self._added: list[int] = []
        self._lock = threading.Lock()
        self._open()

    def _opened(self, folder: Path | None) -> Path:
        if folder is not None:
            try:
                self._stack.enter_context(locked(folder, "picie studio", inside=True))
            except PicieError as error:
                self.note = f"{error}; until then, what is computed here is not kept"
            else:
                return folder
        return Path(self._stack.enter_context(TemporaryDirectory(prefix="picie-")))

    def close(self) -> None:
        """Write what is left to the disk, and let other processes in."""
        self.flush()
        self._stack.close()

    # --- files

    def _open(self) -> None:
        """Map the files, with a row for each photo."""
        length = self._unit.shape[1]
        place = np.dtype("u1" if self.leaves <= 256 else "<u2")
        kinds: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
            "counts": (np.dtype("<u2"), (self.leaves,)),
            "cells": (np.dtype("<f2"), (_CELLS, length)),
            "places": (place, (HEAT_SIDE, HEAT_SIDE)),
            "extremes": (_EXTREME, (self.leaves, 2)),
            "heads": (_HEAD, ()),  # says how many rows there are: it grows last
        }
        header = {"format": _FORMAT, "leaves": self.leaves, "features": length}
        sizes = {name: kind.itemsize * math.prod(row) for name, (kind, row) in kinds.items()}
        heads = np.zeros(0, _HEAD)
        if _is_whole(self._folder, header, sizes):
            heads = np.fromfile(self._folder / "heads.bin", _HEAD)
        else:
            for old in self._folder.glob("*.bin"):
                old.unlink()
        rows = self._placed([bytes(key) for key in heads["key"].tolist()])
        self._counts, self._cells, self._places, self._extremes, self._heads = (
            self._mapped(name, kind, (rows, *row)) for name, (kind, row) in kinds.items()
        )
        write_atomically(self._folder / _HEADER, (json.dumps(header) + "\n").encode())

    def _placed(self, keys: Sequence[bytes]) -> int:
        """Find the rows of photos by their keys, and spare rows; return how many rows there are."""
        slots = {key: slot for slot, key in enumerate(keys) if any(key)}
        self._slots = np.array([slots.get(key, -1) for key in self._keys], np.int64)
        used = set(self._slots.tolist())
        free = [slot for slot in range(len(keys)) if slot not in used]
        if len(free) <= len(self._keys):  # of photos that are not here now, but may come back
            free = [slot for slot in free if not any(keys[slot])]
        wanted = int((self._slots < 0).sum())
        rows = max(len(keys) + wanted - len(free), len(keys), 1)
        self._spare = [*range(rows - 1, len(keys) - 1, -1), *reversed(free)]
        return rows

    def _mapped(self, name: str, kind: np.dtype[Any], shape: tuple[int, ...]) -> Any:
        path = self._folder / f"{name}.bin"
        with writing(path):
            size = math.prod(shape) * kind.itemsize
            with path.open("a+b") as file:
                file.truncate(size)
                _reserve(file.fileno(), size)
            return np.memmap(path, kind, "r+", shape=shape)

    def flush(self) -> None:
        """Write rows to the disk, then their keys."""
        with self._lock:
            pending, self._pending = self._pending, []
        if not pending:
            return
        for rows in (self._counts, self._cells, self._places, self._extremes):
            rows.flush()
        for slot, key in pending:
            self._heads["key"][slot] = np.void(key)
        self._heads.flush()

    # --- adding photos

    @torch.no_grad()
    def add(
        self, number: int, features: Tensor, winners: NDArray[np.integer[Any]] | None = None
    ) -> None:
        """Keep what the cards and the queue need of a photo; nothing if it is known.

        Args:
            number: of the photo.
            features: (D, h, w) as `Segmenter.features` gives them.
            winners: (h, w) leaf of each cell, if it is known already.
        """
        if self._slots[number] >= 0:
            return
        features = features.to(self._unit.device).float()
        if winners is None:
            scores = self._model.centroid_scores(features[None])[0]
            winners = scores.argmax(0).cpu().numpy()
        leaf = winners.astype(np.int64)
        own = self._unit[torch.from_numpy(leaf.ravel()).to(self._unit.device)].T  # (D, h w)
        unit = F.normalize(features.flatten(1), dim=0)
        similar = (own * unit).sum(0).view(leaf.shape).cpu().numpy()
        slot = self._free()
        shares = np.bincount(leaf.ravel(), minlength=self.leaves) / leaf.size
        summary = summarise("", features).cells
        self._counts[slot] = np.rint(WHOLE * shares)
        self._cells[slot] = 0
        self._cells[slot, : len(summary)] = summary
        self._heads["cells"][slot] = len(summary)
        down, across = (
            ((np.arange(HEAT_SIDE) + 0.5) * side / HEAT_SIDE).astype(np.int64)
            for side in leaf.shape
        )
        self._places[slot] = leaf[np.ix_(down, across)]
        self._extremes[slot] = _extremes(leaf, similar, self.leaves)
        self._slots[number] = slot
        with self._lock:
            self._added.append(number)
            self._pending.append((slot, self._keys[number]))
            full = len(self._pending) >= _CHUNK
        if full:
            self.flush()

    def fail(self, number: int, problem: str) -> None:
        """Note that a photo cannot be read."""
        self.problems[number] = problem
        self.photos.problems[number] = problem
        with self._lock:
            self._added.append(number)

    def take_added(self) -> list[int]:
        """The photos that were looked at since the last call."""
        with self._lock:
            added, self._added = self._added, []
        return added

    def _free(self) -> int:
        slot: int = self._spare.pop()
        if any(self._heads["key"][slot].tobytes()):  # it does not count while it is replaced
            self._heads["key"][slot] = np.void(bytes(_KEY))
            self._heads.flush()
        return slot

    # --- what is known

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N,) which photos have a row."""
        known: NDArray[np.bool_] = self._slots >= 0
        return known

    @property
    def seen(self) -> int:
        """Number of photos that were looked at, readable or not."""
        return int(self.known.sum()) + len(self.problems)

    def missing(self) -> Iterator[int]:
        """Photos that were not looked at, spread over the folder, so that all of it counts soon."""
        for number in spread(len(self.photos)).tolist():
            if self._slots[number] < 0 and number not in self.problems:
                yield number

    def counts(self) -> NDArray[np.uint16]:
        """(N, P) shares of the leaves in each photo, in 65535ths; `UNKNOWN` everywhere if none."""
        known = self.known
        counts = np.full((len(known), self.leaves), UNKNOWN, np.uint16)
        counts[known] = self._counts[self._slots[known]]
        return counts

    def shares(self, leaves: Sequence[int]) -> NDArray[np.float64]:
        """(n,) share of some leaves together in each known photo, 0..1."""
        counts = self._counts[self._slots[self.known]]
        total: NDArray[np.float64] = counts[:, list(leaves)].sum(1, dtype=np.float64) / WHOLE
        return total

    def summaries(self, numbers: Sequence[int]) -> list[Summary]:
        """The summaries of known photos."""
        return [
            Summary(self.photos.names[number], self._cells[slot, : self._heads["cells"][slot]])
            for number, slot in zip(numbers, self._slots[numbers].tolist(), strict=True)
        ]

    def places(self, number: int) -> NDArray[np.integer[Any]]:
        """(32, 32) leaves of a known photo, evenly spaced."""
        places: NDArray[np.integer[Any]] = self._places[self._slots[number]]
        return places

    def heat(self, leaves: Sequence[int]) -> NDArray[np.float64]:
        """(32, 32) share of the photos that have one of these leaves at each position, 0..1."""
        slots = self._slots[self.known]
        inside = np.zeros(self.leaves, np.bool_)
        inside[list(leaves)] = True
        total = np.zeros((HEAT_SIDE, HEAT_SIDE))
        for first in range(0, len(slots), 1024):
            total += inside[self._places[slots[first : first + 1024]]].sum(0)
        return total / max(len(slots), 1)

    def extremes(
        self, leaves: Sequence[int], *, typical: bool
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """The cell of each known photo that is most, or least, like these leaves.

        Args:
            leaves: numbers of centroids.
            typical: the most alike one, else the least.

        Returns:
            numbers of the (n,) photos that have one of the leaves, and a record for each: `value`,
            the cosine with its centroid, `row` and `column` in 65536ths of height and width.
        """
        numbers = np.flatnonzero(self.known)
        found = self._extremes[self._slots[numbers][:, None], list(leaves), 0 if typical else 1]
        values = found["value"].astype(np.float32) * (1 if typical else -1)
        best = np.where(np.isnan(values), -np.inf, values)
        place = best.argmax(1)
        there = np.isfinite(best[np.arange(len(best)), place])
        return numbers[there], found[np.flatnonzero(there), place[there]]


def _reserve(file: int, size: int) -> None:
    """Set space on the disk aside: a map without it kills the process once the disk is full."""
    try:
        os.posix_fallocate(file, 0, size)
    except AttributeError:
        pass  # macOS and Windows lack it
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # a file system that cannot
            raise


def _is_whole(folder: Path, header: dict[str, int], sizes: dict[str, int]) -> bool:
    """Whether the files are of this model, and all have the rows that there are."""
    try:
        same = read_json(folder / _HEADER, ModelError) == header
        found = {name: (folder / f"{name}.bin").stat().st_size for name in sizes}
    except (ModelError, OSError):
        return False
    rows = found["heads"] // sizes["heads"]
    return same and all(found[name] >= rows * size for name, size in sizes.items())


def _extremes(leaf: NDArray[np.int64], similar: NDArray[np.float32], leaves: int) -> NDArray[Any]:
    """(P, 2) records: of each leaf the cell most like its centroid, and the one least like it.

    Args:
        leaf: (h, w) of each cell.
        similar: (h, w) cosine with the centroid of the leaf.
        leaves: P.
    """
    found = np.zeros((leaves, 2), _EXTREME)
    found["value"] = np.nan
    height, width = leaf.shape
    flat, inner = leaf.ravel(), inner_cells(height, width).ravel()
    inside = np.zeros(leaves, np.bool_)
    inside[flat[inner]] = True
    cells = np.flatnonzero(inner | ~inside[flat])  # at the edge, only where there is nothing else
    for column, sign in ((0, -1), (1, 1)):
        order = cells[np.lexsort((cells, sign * similar.ravel()[cells], flat[cells]))]
        first = np.flatnonzero(np.diff(flat[order], prepend=-1))
        chosen = order[first]
        record = found[flat[chosen], column]
        record["value"] = similar.ravel()[chosen]
        record["row"] = (chosen // width + 0.5) / height * _FRACTION
        record["column"] = (chosen % width + 0.5) / width * _FRACTION
        found[flat[chosen], column] = record
    return found
