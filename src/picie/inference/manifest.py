"""The list of the files that `picie predict` wrote: OUT/masks.jsonl.

    {"picie": "1.0", "kind": "masks"}
    {"classes": "classes.txt", "digest": "9f86..."}
    {"unreadable": "photos/b.jpg: cannot be read as an image (...)"}
    {"image": "a", "mask": "a.png", "digest": "2c26...", "model": "81ab...", "photo": {...}}

A line is added before its file is written, so that a file of a killed process is on the list with
the digest of its bytes: a file with another digest was changed by someone else. A file that was
replaced has several lines. Other keys may be added later.
"""

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from picie.config import MACHINE
from picie.data.own_outputs import MASKS_MANIFEST
from picie.errors import ConfigError
from picie.inference.segmenter import Segmenter
from picie.models.storage import hash_tensors
from picie.runtime.documents import parse_object
from picie.runtime.files import open_regular, write_atomically, writing
from picie.runtime.outputs import digest_of
from picie.version import __version__

__all__ = ["Manifest", "PhotoState", "Written", "model_digest"]


@dataclass(frozen=True, slots=True)
class PhotoState:
    """A photo as it was when its mask was made.

    Attributes:
        bytes: its size; -1 = unknown.
        mtime: its modification time in ns.
        digest: SHA-256 of its bytes; "" = unknown.
    """

    bytes: int = -1
    mtime: int = 0
    digest: str = ""

    @classmethod
    def of(cls, path: str | Path) -> "PhotoState":
        """The current state, without the digest."""
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            return cls()
        return cls(status.st_size, status.st_mtime_ns)

    def with_digest(self, path: str | Path) -> "PhotoState":
        """With the digest of the photo, unless it has changed since."""
        digest = digest_of(path)
        return PhotoState(self.bytes, self.mtime, digest if self == PhotoState.of(path) else "")

    def is_same(self, path: str | Path) -> bool:
        """Whether the photo is still that; one with another time is read."""
        now = PhotoState.of(path)
        if self.bytes != now.bytes or now.bytes < 0:
            return False
        return self.mtime == now.mtime or self.digest == digest_of(path) != ""


@dataclass(frozen=True, slots=True)
class Written:
    """A file on the list.

    Attributes:
        image: name of the image; "" for classes.txt.
        kind: mask, overlay, confidence or classes.
        model: digest of model and settings.
        photo: the photo that it was made of.
    """

    image: str
    kind: str
    model: str = ""
    photo: PhotoState = PhotoState()


class Manifest:
    """The list of one folder; call it only while the folder is locked.

    Args:
        out: the folder of the masks; it may be missing.

    Attributes:
        path: the list.
        unreadable: a line for each image that could not be read, in this or an earlier call.

    Raises:
        ConfigError: its masks.jsonl is not from picie.
        PicieError: it cannot be read.
    """

    def __init__(self, out: Path) -> None:
        self.path = out / MASKS_MANIFEST
        self.unreadable: set[str] = set()
        self._files: dict[tuple[str, str], Written] = {}  # by path and digest
        self._turn = threading.Lock()
        self._whole = 0  # bytes up to the last complete line
        self._descriptor: int | None = None
        for record in self._read():
            self._add(record)

    def find(self, path: str, digest: str) -> Written | None:
        """The entry of a file with this content; None if picie did not write it.

        Args:
            path: inside the folder.
            digest: of its bytes.
        """
        return self._files.get((path, digest))

    def masks(self) -> Iterator[tuple[str, Written]]:
        """Path and entry of each mask; several for one that was replaced, the newest last."""
        for (path, _), written in self._files.items():
            if written.kind == "mask":
                yield path, written

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a line before the file that it names is written; from any thread.

        Args:
            record: plain values.

        Raises:
            PicieError: it cannot be written; the list stays as it was.
        """
        line = (json.dumps(record) + "\n").encode("ascii")
        with self._turn, writing(self.path):
            descriptor = self._open()
            try:
                if os.write(descriptor, line) < len(line):
                    raise OSError("the disk is full")
            except OSError:
                os.ftruncate(descriptor, self._whole)  # no half line before the next one
                raise
            self._whole += len(line)
            self._add(record)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        if self._descriptor is None:
            if not self._whole:
                header = json.dumps({"picie": __version__, "kind": "masks"}) + "\n"
                write_atomically(self.path, header.encode("ascii"))
                self._whole = len(header)
            flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
            self._descriptor = os.open(self.path, flags | getattr(os, "O_BINARY", 0))
            os.ftruncate(self._descriptor, self._whole)  # half a line of a killed process
        return self._descriptor

    def _read(self) -> Iterator[dict[str, Any]]:
        if not os.path.lexists(self.path):
            return
        if self.path.is_symlink():
            raise ConfigError(f"{self.path}: is a link, and is not changed; {_OTHER}")
        with writing(self.path), open_regular(self.path) as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                record = parse_object(line) or {}
                if not self._whole and (record.get("kind") != "masks" or "picie" not in record):
                    break
                self._whole += len(line)
                yield record
        if not self._whole and self.path.stat().st_size:
            raise ConfigError(
                f"{self.path}: already exists and is not a list of masks of picie; {_OTHER}"
            )

    def _add(self, record: Mapping[str, Any]) -> None:
        if isinstance(record.get("unreadable"), str):
            self.unreadable.add(record["unreadable"])
        image, model = record.get("image"), record.get("model")
        state = _state(record.get("photo"))
        for kind in ("mask", "classes", "overlay", "confidence"):
            key = "digest" if kind in ("mask", "classes") else f"{kind}_digest"
            path, digest = record.get(kind), record.get(key)
            if isinstance(path, str) and isinstance(digest, str) and digest:
                self._files.pop((path, digest), None)  # the newest last
                entry = Written(str(image or ""), kind, str(model or ""), state)
                self._files[path, digest] = entry


_OTHER = "choose another --out, or move it away"


def _state(value: Any) -> PhotoState:
    kinds = {"bytes": int, "mtime": int, "digest": str}
    if isinstance(value, dict) and {key: type(one) for key, one in value.items()} == kinds:
        return PhotoState(**value)
    return PhotoState()


_PLACES = {"data", "split", "dataset", "eval_split", "backbone_weights", *MACHINE}


def model_digest(model: Segmenter, size: int | None, tile: int, min_region: int = 0) -> str:
    """16 hexadecimal digits that change with anything that masks depend on.

    Weights, clusters, names, colours, settings; not the batch size nor the number of threads, which
    change masks only through floating-point rounding.

    Args:
        model: a trained model.
        size: short side in pixels at which the network sees an image; as in training if None.
        tile: longest side processed at once, in pixels.
        min_region: smallest region that is kept, in pixels.
    """
    on_cpu = model.device.type == "cpu" and model.precision == "auto"
    settings = {
        **model.config.model_dump(mode="json", exclude=_PLACES),
        "size": model.config.size if size is None else size,
        "tile": tile,
        "min_region": min_region,
        "precision": "fp32" if on_cpu else model.precision,
        "names": model.names,
        "colours": model.colours.tolist(),
        "ids": model.centroid_ids.tolist(),
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    hash_tensors(digest, model.network.state_dict(), separator="\n")
    return digest.hexdigest()[:16]
