"""The lists of the files that `picie predict` wrote: OUT/masks.jsonl.

    {"picie": "1.0", "kind": "masks"}
    {"classes": "classes.txt", "digest": "9f86..."}
    {"image": "b", "unreadable": "photos/b.jpg: cannot be read as an image (...)"}
    {"image": "a", "mask": "a.png", "digest": "2c26...", "bytes": 5210, "model": "81ab...",
     "photo": {...}, "size": [480, 360], "shares": {"0": 0.71, "3": 0.29}, "mean_confidence": 0.83,
     "seconds": 0.041}

A line is added before its file is written, so that a file of a killed process is on the list with
the digest of its bytes: a file with another digest was changed by someone else. A file that was
replaced has several lines. Other keys may be added later.

Writers that work at the same time have a list each: masks.3-of-16.jsonl is that of a shard. What
counts is all of them together; a call that writes alone merges them into masks.jsonl.
"""

import hashlib
import json
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from picie.config import MACHINE
from picie.data.own_outputs import is_masks_list, masks_list
from picie.data.photo_state import UNKNOWN, PhotoState
from picie.errors import ConfigError, PicieError
from picie.inference.segmenter import Segmenter
from picie.models.storage import hash_tensors
from picie.runtime.documents import parse_object
from picie.runtime.places import Place, Stamp
from picie.version import __version__

__all__ = ["Manifest", "Written", "model_digest", "worker_part"]


@dataclass(frozen=True, slots=True)
class Written:
    """A file on the list.

    Attributes:
        image: name of the image; "" for classes.txt.
        kind: mask, overlay, plain_overlay, confidence or classes.
        digest: SHA-256 of the file.
        bytes: its size; -1 = unknown.
        model: digest of model and settings.
        photo: the photo that it was made of.
    """

    image: str
    kind: str
    digest: str
    bytes: int = -1
    model: str = ""
    photo: PhotoState = UNKNOWN

    def is_as(self, stamp: Stamp) -> bool:
        """Whether a file with this stamp is as it was written."""
        return self.bytes == stamp.bytes if stamp.bytes >= 0 else self.digest == stamp.digest


class Manifest:
    """The lists of one folder; use it only while its own list is locked.

    Args:
        place: the folder of the masks; it may be missing.
        part: of the writer, as "3-of-16"; "" = masks.jsonl itself.
        wanted: whether the lines of an image are remembered; None = of all images.
        new: the part is new, and the other lists are not read.

    Attributes:
        path: the list that is written.
        unreadable: why images could not be read, by name, in this or an earlier call.

    Raises:
        ConfigError: a list is not from picie.
        PicieError: it cannot be read.
    """

    def __init__(
        self,
        place: Place,
        part: str = "",
        wanted: Callable[[str], bool] | None = None,
        *,
        new: bool = False,
    ) -> None:
        self._place, self._wanted = place, wanted
        self.path = masks_list(part)
        self.unreadable: dict[str, str] = {}
        self._files: dict[str, tuple[Written, ...]] = {}  # by path, the newest last
        self._models: dict[str, str] = {}  # one text for all entries
        self._turn = threading.Lock()
        whole = 0
        for name in () if new else self._names():
            whole_of_list = self._read(name)
            whole = whole_of_list if name == self.path else whole
        header = json.dumps({"picie": __version__, "kind": "masks"}) + "\n"
        self._log = place.log(self.path, header.encode("ascii"), whole)

    def find(self, path: str, stamp: Stamp) -> Written | None:
        """The entry of a file with this content; None if picie did not write it.

        Args:
            path: inside the folder.
            stamp: of its content.
        """
        entries = reversed(self._files.get(path, ()))
        return next((entry for entry in entries if entry.is_as(stamp)), None)

    def masks(self) -> Iterator[tuple[str, Written]]:
        """Path and entry of each mask; several for one that was replaced, the newest last."""
        for path, entries in self._files.items():
            for entry in entries:
                if entry.kind == "mask":
                    yield path, entry

    def append(self, *rows: Mapping[str, Any]) -> None:
        """Add lines before the files that they name are written; from any thread.

        Args:
            rows: plain values.

        Raises:
            PicieError: they cannot be written; the list stays as it was.
        """
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        with self._turn:
            self._log.append(lines.encode("ascii"))
            for row in rows:
                if "unreadable" in row:  # what was written is not asked for again
                    self._add(row)

    def _names(self) -> list[str]:
        """All lists, the newest last: masks.jsonl has lines that were merged, those of before."""
        names = filter(is_masks_list, self._place.names())
        return sorted(names, key=lambda name: (name != masks_list(""), name))

    def remove_leftovers(self, paths: Iterable[str]) -> None:
        """Remove what killed processes left, unless another writer is at work.

        Args:
            paths: of the files beside which they may be.
        """
        lists = (name for name in self._names() if name != self.path)
        with ExitStack() as held:
            if all(self._taken(name, held) for name in lists):
                self._place.remove_parts(paths)

    def forget(self) -> None:
        """Release the memory of the entries, once it is decided what to write."""
        self._files.clear()

    def close(self) -> None:
        """Close the file."""
        self._log.close()

    def merge(self) -> None:
        """Move the lines of lists that nobody writes into this one.

        Raises:
            PicieError: one cannot be read, written or removed.
        """
        lines: list[bytes] = []
        with ExitStack() as held:
            moved: list[str] = []
            for name in self._names():
                if name == self.path or not self._taken(name, held):
                    continue
                rows = [line for line, row in _lines(self._place, name) if "kind" not in row]
                if len(rows) >= _MERGED and not self._place.appends:
                    continue  # large enough
                lines += rows
                moved.append(name)
                if len(lines) >= _MERGED:
                    self._move(lines, moved)
            self._move(lines, moved)

    def _taken(self, name: str, held: ExitStack) -> bool:
        """Whether a list could be locked; if not, its writer is at work."""
        wait = _PATIENCE if _WORKER in name else 0.0
        try:
            held.enter_context(self._place.in_use(name, wait=wait))
        except PicieError:
            return False
        return True

    def _move(self, lines: list[bytes], moved: list[str]) -> None:
        if self._place.appends or len(moved) > 1:
            if lines:
                self._log.append(b"".join(lines))
            for name in moved:
                self._place.remove(name)
        lines.clear()
        moved.clear()

    def _read(self, name: str) -> int:
        """Remember the lines of a list; return its bytes up to the last whole line."""
        whole = 0
        for line, record in _lines(self._place, name):
            whole += len(line)
            self._add(record)
        return whole

    def _add(self, record: Mapping[str, Any]) -> None:
        image, model = str(record.get("image") or ""), str(record.get("model") or "")
        if image and self._wanted is not None and not self._wanted(image):
            return
        if isinstance(record.get("unreadable"), str):
            self.unreadable[image or record["unreadable"]] = record["unreadable"]
        model = self._models.setdefault(model, model)
        state = _state(record.get("photo"))
        for kind in ("mask", "classes", "overlay", "plain_overlay", "confidence"):
            prefix = "" if kind in ("mask", "classes") else f"{kind}_"
            path, digest = record.get(kind), record.get(f"{prefix}digest")
            if isinstance(path, str) and isinstance(digest, str) and digest:
                size = record.get(f"{prefix}bytes")
                size = size if isinstance(size, int) else -1
                entry = Written(image, kind, digest, size, model, state)
                before = (one for one in self._files.get(path, ()) if one.digest != digest)
                self._files[path] = (*before, entry)


def worker_part() -> str:
    """The part of a process that works for a call elsewhere; a new one each time."""
    return f"{_WORKER}{secrets.token_hex(8)}"


def _lines(place: Place, name: str) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The whole lines of a list, and what they say; the first is its header."""
    first = True
    for line in place.lines(name):
        record = parse_object(line) or {}
        if first and (record.get("kind") != "masks" or "picie" not in record):
            raise ConfigError(
                f"{place.at(name)}: already exists and is not a list of masks of picie; {_OTHER}"
            )
        if not line.endswith(b"\n"):
            return
        yield line, record
        first = False


_OTHER = "choose another --out, or move it away"
_WORKER = "worker-"
_PATIENCE = 10.0  # seconds until a process of Ray that has no more to do has ended
_MERGED = 10_000  # lines of a merged list in a storage: about 5 MB


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
