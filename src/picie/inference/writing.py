"""Write masks and their list, from one process or from many."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picie.data.folder import Photo, PhotoFolder
from picie.data.images import DEFAULT
from picie.data.own_outputs import masks_list
from picie.data.reading import Reading
from picie.errors import ConfigError, ModelError
from picie.inference.manifest import Manifest, model_digest, worker_part
from picie.inference.plan import CLASS_LIST, paths_of
from picie.inference.predict_each import Done, predict_each
from picie.inference.segmenter import TILE, Precision, Prediction, Segmenter, load
from picie.runtime.places import Place, open_place
from picie.visualization.labelled import labelled_overlay
from picie.visualization.legend import own_names
from picie.visualization.masks import mask_image, overlay, png_bytes
from picie.visualization.palette import Colours

__all__ = ["MaskJob", "MaskWriter", "model_files"]

_Made = tuple[dict[str, Any], dict[str, bytes]]
"""The line of an image, and its files by their paths."""

_TOGETHER = 32  # images that are written together where lists cannot grow
_STRIP = 2**18  # pixels of a mask that are counted together


@dataclass(frozen=True)
class MaskJob:
    """How masks are made and where they go; the same for all writers of one call.

    Attributes:
        out: folder or address of the masks.
        digest: of model and settings.
        reading: how photos are read.
        beside: kinds of images to write for each mask.
        replaced: digest of each file that exists and may be replaced, by its path in `out`.
        batch_size: maximum number of images in a batch.
        size: short side in pixels at which the network sees an image; as in training if None.
        tile: longest side processed at once, in pixels; 0 = never tile.
        min_region: smallest region that is kept, in pixels.
        workers: threads that read, and as many that write.
        precision: of the network.
    """

    out: str
    digest: str
    reading: Reading = DEFAULT
    beside: tuple[str, ...] = ()
    replaced: Mapping[str, str] = field(default_factory=dict)
    batch_size: int = 8
    size: int | None = None
    tile: int = TILE
    min_region: int = 0
    workers: int = -1
    precision: Precision = "auto"

    def each(
        self,
        model: Segmenter,
        photos: Sequence[Photo],
        writer: "MaskWriter",
        done: Done,
    ) -> None:
        """Predict photos and write their masks.

        Args:
            model: of this job.
            photos: some of its photos.
            writer: of their masks.
            done: called with name and problem ("" = none) of each image, in their order.
        """
        folder = PhotoFolder(Path(), "", tuple(photos), (), reading=self.reading)
        predict_each(
            model, folder, writer.write, done, batch_size=self.batch_size, size=self.size,
            tile=self.tile, workers=self.workers, min_region=self.min_region,
            confidence="confidence" in self.beside,
        )  # fmt: skip

    @contextmanager
    def opened(
        self, files: Mapping[str, bytes], device: str
    ) -> Iterator[Callable[[Sequence[Photo]], list[dict[str, Any]]]]:
        """A writer of its own, with a list of its own, in a process that has nothing but this job.

        Args:
            files: of the model, by name.
            device: that the network runs on.

        Yields:
            a function that writes the masks of some photos, and gives for each its name as `image`
            and its `problem`, "" if it has a mask.

        Raises:
            ModelError: the model is not the one of this job.
        """
        with TemporaryDirectory() as folder:
            for name, data in files.items():
                Path(folder, name).write_bytes(data)
            model = load(folder, device=device, precision=self.precision)
        model = model.read_as(stretch=self.reading.stretch)
        if model_digest(model, self.size, self.tile, self.min_region) != self.digest:
            raise ModelError("the model changed on its way; install one version of picie on all")
        place, part = open_place(self.out), worker_part()
        with (
            place.in_use(masks_list(part)),
            closing(Manifest(place, part, new=True)) as manifest,
        ):
            writer = MaskWriter(self, model.colours, place, manifest)

            def do(photos: Sequence[Photo]) -> list[dict[str, Any]]:
                rows: list[dict[str, Any]] = []
                self.each(
                    model, photos, writer,
                    lambda name, problem: rows.append({"image": name, "problem": problem}),
                )  # fmt: skip
                writer.flush()
                return rows

            yield do


def model_files(model: Segmenter) -> dict[str, bytes]:
    """The files from which another process loads the model."""
    with TemporaryDirectory() as folder:
        model.save(folder)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


class MaskWriter:
    """Writes the masks of one process, each after its line of the list; from any thread.

    Args:
        job: what to write.
        colours: (N, 3) uint8 sRGB.
        place: of the masks.
        manifest: its list, which only this writer changes.
        names: content of classes.txt, written before the first mask; b"" = none.

    Attributes:
        written: number of images that have their files.
    """

    def __init__(
        self,
        job: MaskJob,
        colours: Colours,
        place: Place,
        manifest: Manifest,
        names: bytes = b"",
    ) -> None:
        self.written = 0
        self._job, self._colours, self._place, self._manifest = job, colours, place, manifest
        self._turn, self._names = threading.Lock(), names
        self._waiting: list[_Made] = []
        self._together = 1 if place.appends else _TOGETHER

    def write(self, prediction: Prediction) -> None:
        """Write the images of one photo, or let them wait for others; without a mask, do nothing.

        Raises:
            ConfigError: another program wrote to a path meanwhile.
            PicieError: something cannot be written.
        """
        if prediction.mask is None:
            return
        self.write_names()
        made = self._made(prediction)
        with self._turn:
            self._waiting.append(made)
            full = len(self._waiting) >= self._together
            ready, self._waiting = (self._waiting, []) if full else ([], self._waiting)
        self._write(ready)

    def _remove_replaced(self, ready: Sequence[_Made]) -> None:
        """Remove what will be written anew: only sizes tell files of a storage apart.

        An old file of the size of the new one would pass for it, if this call were killed between
        the list and the file.
        """
        for _, files in ready:
            for path in files:
                if path in self._job.replaced:
                    self._place.remove(path)

    def list_unreadable(self, name: str, problem: str) -> None:
        """Add an image that cannot be read to the list, unless it is there."""
        if self._manifest.unreadable.get(name) != problem:
            self._manifest.append({"image": name, "unreadable": problem})

    def flush(self) -> None:
        """Write what waits."""
        with self._turn:
            ready, self._waiting = self._waiting, []
        self._write(ready)

    def write_names(self) -> None:
        """Write classes.txt, once."""
        with self._turn:
            text, self._names = self._names, b""
            if text:
                record = {"classes": CLASS_LIST, "digest": _sha256(text), "bytes": len(text)}
                self._manifest.append(record)
                self._place.write(CLASS_LIST, text)

    def _made(self, prediction: Prediction) -> _Made:
        """The line of an image, and its files."""
        start = time.perf_counter()
        assert prediction.mask is not None
        assert prediction.loaded is not None  # it comes from a file
        files: dict[str, bytes] = {}
        record: dict[str, Any] = {"image": prediction.name}
        for kind, path in paths_of(prediction.name, self._job.beside).items():
            data = files[path] = png_bytes(self._drawn(kind, prediction))
            prefix = "" if kind == "mask" else f"{kind}_"
            record |= {kind: path, f"{prefix}digest": _sha256(data), f"{prefix}bytes": len(data)}
            before = self._job.replaced.get(path)
            if self._place.is_changed(path, record[f"{prefix}digest"], before):
                raise ConfigError(
                    f"{self._place.at(path)}: was written by another program meanwhile, and is not "
                    "replaced; choose another --out, or move it away"
                )
        height, width = prediction.mask.shape
        state = prediction.loaded.state.with_digest(prediction.loaded.photo)
        record |= {"model": self._job.digest, "photo": asdict(state), "size": [width, height]}
        record |= {"shares": _shares(prediction.mask)}
        record |= {"mean_confidence": round(prediction.mean_confidence, 4)}
        seconds = prediction.seconds + time.perf_counter() - start
        return record | {"seconds": round(seconds, 4)}, files

    def _drawn(self, kind: str, prediction: Prediction) -> Image.Image:
        assert prediction.mask is not None
        if kind == "confidence":
            assert prediction.confidence is not None  # asked for with its files
            return Image.fromarray(prediction.confidence)
        if kind == "plain_overlay":
            return Image.fromarray(overlay(prediction.image, prediction.mask, self._colours))
        if kind == "overlay":
            names = own_names(prediction.names)
            return labelled_overlay(prediction.image, prediction.mask, self._colours, names)
        return mask_image(prediction.mask, self._colours)

    def _write(self, ready: Sequence[_Made]) -> None:
        if not ready:
            return
        if not self._place.appends:
            self._remove_replaced(ready)
        self._manifest.append(*(record for record, _ in ready))
        for _, files in ready:
            for path, data in files.items():
                self._place.write(path, data, durable=False)
        with self._turn:
            self.written += len(ready)


def _shares(mask: NDArray[Any]) -> dict[str, float]:
    """Share of the pixels of each id, by its number in the file; "void" = ignored."""
    flat = mask.reshape(-1)
    counts = np.zeros(int(flat.max()) + 2, np.int64)
    for start in range(0, len(flat), _STRIP):  # bincount makes a copy of 64 bits
        counts += np.bincount(flat[start : start + _STRIP] + 1, minlength=len(counts))
    shares = {
        "void" if number == 0 else str(number - 1): count
        for number, count in enumerate(counts.tolist())
        if count
    }
    return {name: round(count / mask.size, 6) for name, count in shares.items()}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
