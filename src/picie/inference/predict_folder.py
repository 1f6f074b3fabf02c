"""Masks of a folder; threads write them while the network predicts the next ones."""

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from picie.data.folder import PhotoFolder, open_folder
from picie.data.lists import class_lines
from picie.data.own_outputs import MASKS_MANIFEST
from picie.data.prefetch import photo_workers
from picie.errors import ConfigError, PicieError
from picie.inference.confidence import expected_accuracy, limited
from picie.inference.manifest import Manifest, model_digest
from picie.inference.plan import CLASS_LIST, Plan, Target, check_paths, inputs_of, plan_masks
from picie.inference.segmenter import TILE, Prediction, Segmenter, loaded
from picie.postprocessing.regions import check_area, fill_small_regions
from picie.runtime.files import remove_parts, write_atomically
from picie.runtime.locks import locked
from picie.runtime.outputs import check_not_read, digest_of, has_content
from picie.runtime.progress import Advance, Reporter
from picie.visualization.masks import mask_image, overlay, png_bytes

__all__ = ["FolderMasks", "Then", "predict_each", "predict_folder"]

Then = Callable[[], object] | None
"""A follow-up, called in the order of the images, one at a time; None = none."""

_WAITING = 4  # maximum queue of predicted images per thread


def predict_each(
    model: Segmenter,
    folder: PhotoFolder,
    work: Callable[[Prediction], Then],
    *,
    batch_size: int = 8,
    size: int | None = None,
    tile: int = TILE,
    workers: int = -1,
    min_region: int = 0,
    confidence: bool = False,
    kept: int = 0,
    listed: str = "",
    reporter: Reporter,
) -> tuple[str, ...]:
    """Call `work` with every readable image; list the others.

    Args:
        model: a trained model.
        folder: images.
        work: called with each prediction that has a mask, from several threads and in any order.
            What it returns is called later, in the order of the images, one at a time.
        batch_size: as in `Segmenter.predict_folder`.
        size: as there.
        tile: as there.
        workers: threads that read, and as many that work; 0 = none, -1 = chosen from the cores.
        min_region: give the pixels of smaller regions to the classes around them; 0 = keep all.
        confidence: also give the confidence of each pixel.
        kept: number of further images that are finished already.
        listed: file in which the caller lists the unreadable images; "" = none.
        reporter: shows progress and the unreadable images.

    Returns:
        a line for each image that could not be read.

    Raises:
        ConfigError: an impossible option.
        DataError: no image could be read.
        Exception: whatever `work` raises; pending work is cancelled.
    """
    predictions = model.predict_folder(
        folder, batch_size=batch_size, size=size, tile=tile, workers=workers, confidence=confidence
    )
    problems: list[str] = []
    with (
        reporter.task("masks", kept + len(folder)) as advance,
        _in_threads(photo_workers(workers, model.device)) as call,
    ):
        if kept:
            advance(kept)
        for prediction in _counted(predictions, advance):
            if prediction.mask is None:
                problems.append(prediction.problem)
            else:
                call(partial(_worked, work, prediction, min_region))
    in_vain = bool(problems) and not kept and len(problems) == len(folder)
    reporter.enumerate(problems, rest="" if in_vain else listed)
    if in_vain:
        raise folder.none_read(problems[0])
    return tuple(problems)


def _worked(work: Callable[[Prediction], Then], prediction: Prediction, min_region: int) -> Then:
    assert prediction.mask is not None  # `predict_each` skips unreadable images
    mask, confidence = fill_small_regions(prediction.mask, min_region), prediction.confidence
    if confidence is not None:
        confidence = limited(confidence, prediction.mask, mask)
    return work(replace(prediction, mask=mask, confidence=confidence))


def _counted(predictions: Iterator[Prediction], advance: Advance) -> Iterator[Prediction]:
    """Pass predictions through and show progress, with images per second."""
    start = time.monotonic()
    for number, prediction in enumerate(predictions, 1):
        yield prediction
        speed = number / max(time.monotonic() - start, 1e-9)
        advance(1, partial("{:.1f} images/s".format, speed))


@contextmanager
def _in_threads(count: int) -> Iterator[Callable[[Callable[[], Then]], None]]:
    """A function that runs its argument in a thread; with 0 threads, immediately.

    Follow-ups that arguments return are called in the order of submission. The function blocks
    while too many calls are pending. Exceptions are re-raised by a later call or at the end.
    """
    if not count:
        yield lambda call: _finish(call())
        return
    waiting: deque[Future[Then]] = deque()
    with ThreadPoolExecutor(count, "picie-write") as pool:

        def submit(call: Callable[[], Then]) -> None:
            waiting.append(pool.submit(call))
            if len(waiting) > _WAITING * count:
                _finish(waiting.popleft().result())

        try:
            yield submit
            while waiting:
                _finish(waiting.popleft().result())
        finally:
            pool.shutdown(cancel_futures=True)


def _finish(then: Then) -> None:
    if then is not None:
        then()


@dataclass(frozen=True)
class FolderMasks:
    """The masks of a folder.

    Attributes:
        out: the folder with the masks.
        written: number of masks that were written.
        problems: a line for each image that could not be read.
        kept: number of masks of an earlier call that were kept.
    """

    out: Path
    written: int
    problems: tuple[str, ...]
    kept: int = 0


def predict_folder(
    model: Segmenter | str | Path,
    source: str | Path,
    out: str | Path,
    *,
    split: str = "",
    overlays: bool = False,
    confidence: bool = False,
    overwrite: bool = False,
    batch_size: int = 8,
    size: int | None = None,
    tile: int = TILE,
    workers: int = -1,
    min_region: int = 0,
    reporter: Reporter | None = None,
) -> FolderMasks:
    """Write OUT/<name>.png, a mask, for every image of a folder.

    `Segmenter.predict_folder` returns the masks in memory instead. A model with names also writes
    OUT/classes.txt: the names by id, one per line. OUT/masks.jsonl lists what was written. If a
    call was stopped, the same call keeps the finished masks and writes the others.

    Args:
        model: a trained model, or its folder.
        source: a photo or a folder of them.
        out: folder to create.
        split: list file of the folder.
        overlays: also write photo and mask blended, OUT/overlays/<name>.png.
        confidence: also write OUT/confidence/<name>.png, 8-bit grey: the probability that the class
            of each pixel is right, in 255ths; the list then holds its mean over each image.
        overwrite: compute all masks again, and replace those that picie wrote; other files are
            never replaced.
        batch_size: maximum number of images in a batch, all of one size.
        size: short side in pixels at which the network sees an image; as in training if None.
        tile: longest side processed at once, in pixels; 0 = never tile.
        workers: threads that read, and as many that write; 0 = none, -1 = chosen from the cores.
        min_region: give the pixels of smaller regions to the classes around them; 0 = keep all.
        reporter: shows progress; None = silent.

    Raises:
        ConfigError: a file to write is one that is read; two of them share a path; one exists that
            picie did not write, or that another model wrote and `overwrite` is off; or an
            impossible option.
        DataError: no image could be read.
        PicieError: a file cannot be written, or another process writes to `out`.

    Example:
        >>> picie.predict_folder("runs/first", "photos/", "masks/").written  # doctest: +SKIP
        120
    """
    check_area("min_region", min_region)
    model, out, reporter = loaded(model), Path(out), reporter or Reporter(quiet=True)
    folder = open_folder(source, split, reading=model.config.reading)
    model = model.read_as(stretch=folder.reading.stretch)  # part of the digest of the masks
    reporter.tell(folder.notes)
    if os.path.lexists(out) and not out.is_dir():
        raise ConfigError(f"{out}: is not a folder; choose another --out")
    wanted = {"overlay": overlays, "confidence": confidence}
    beside = tuple(kind for kind, is_wanted in wanted.items() if is_wanted)
    check_paths(out, folder, beside)
    with _folder_for(out), locked(out, "picie predict", inside=True):
        writer = _Writer(model, folder, out, model_digest(model, size, tile, min_region), reporter)
        with writer.ready(beside, overwrite=overwrite) as plan:
            problems = predict_each(
                model, replace(folder, photos=plan.photos), writer.write, kept=plan.kept,
                batch_size=batch_size, size=size, tile=tile, workers=workers,
                min_region=min_region, confidence=confidence, listed=str(out / MASKS_MANIFEST),
                reporter=reporter,
            )  # fmt: skip
            writer.list_unreadable(problems)
    made = FolderMasks(out, len(plan.photos) - len(problems), problems, plan.kept)
    reporter.say(_summary(made))
    return made


def _summary(made: FolderMasks) -> str:
    count = len(made.problems)
    skipped = f", skipped {count} unreadable image{'s' * (count != 1)}" if count else ""
    if not made.kept:
        return f"{made.written} masks in {made.out}{skipped}"
    kept = f"kept {made.kept} mask{'s' * (made.kept != 1)} of an earlier run"
    return f"{kept}, wrote {made.written}: {made.out}{skipped}"


@contextmanager
def _folder_for(out: Path) -> Iterator[None]:
    """If the block fails, remove the folder again, provided that it is new and still empty."""
    new = not out.exists()
    try:
        yield
    except BaseException:
        if new:
            with suppress(OSError):
                out.rmdir()
        raise


class _Writer:
    """Writes the masks of one call, each after its line of the list."""

    def __init__(
        self, model: Segmenter, folder: PhotoFolder, out: Path, digest: str, reporter: Reporter
    ) -> None:
        self._model, self._folder, self._out, self._digest = model, folder, out, digest
        self._colours, self._reporter = model.colours, reporter
        self._manifest = Manifest(out)
        self._turn, self._names, self._written = threading.Lock(), b"", 0
        self._targets: dict[str, Target] = {}

    @contextmanager
    def ready(self, beside: Collection[str], *, overwrite: bool) -> Iterator[Plan]:
        """Decide what to write; within the block, `write` does it. Says how far a failure came."""
        plan = plan_masks(
            self._folder, self._out, self._manifest, self._digest, beside=beside,
            overwrite=overwrite, inputs=lambda: inputs_of(self._model, self._folder),
        )  # fmt: skip
        self._names, self._targets = self._class_list(overwrite=overwrite), plan.targets
        paths = (path for one in plan.targets.values() for path in one.files.values())
        for folder in {self._out, *((self._out / path).parent for path in paths)}:
            remove_parts(folder, ".png", ".txt", ".jsonl")
        try:
            yield plan
            self._write_names()  # had no mask been written
        except BaseException:
            if self._written:
                rest = "all of them again" if overwrite else "the others"
                self._reporter.say(
                    f"wrote {self._written} of {len(plan.photos)} masks in {self._out}; the same "
                    f"command writes {rest}"
                )
            raise
        finally:
            self._manifest.close()
        self._warn_of_others(plan)

    def write(self, prediction: Prediction) -> None:
        """Write the images of one photo; from any thread."""
        assert prediction.mask is not None  # `predict_each` skips images without one
        target = self._targets[prediction.name]
        self._write_names()
        files: dict[str, bytes] = {}
        record: dict[str, Any] = {"image": prediction.name}
        for kind, path in target.files.items():
            files[path] = png_bytes(self._drawn(kind, prediction))
            key = "digest" if kind == "mask" else f"{kind}_digest"
            record |= {kind: path, key: _sha256(files[path])}
        if prediction.confidence is not None:
            mean = expected_accuracy(prediction.confidence, prediction.mask)
            record["mean_confidence"] = round(mean, 4)
        photo = asdict(target.photo.with_digest(prediction.path))
        record |= {"model": self._digest, "photo": photo}
        for path in files:
            self._check_unchanged(path)
        self._manifest.append(record)
        for path, data in files.items():
            write_atomically(_in_folder(self._out / path), data, durable=False)
        with self._turn:
            self._written += 1

    def _drawn(self, kind: str, prediction: Prediction) -> Image.Image:
        assert prediction.mask is not None
        if kind == "confidence":
            assert prediction.confidence is not None  # asked for with its files
            return Image.fromarray(prediction.confidence)
        if kind == "overlay":
            return Image.fromarray(overlay(prediction.image, prediction.mask, self._colours))
        return mask_image(prediction.mask, self._colours)

    def list_unreadable(self, problems: Iterable[str]) -> None:
        """Add what could not be read, unless an earlier call did."""
        for problem in problems:
            if problem not in self._manifest.unreadable:
                self._manifest.append({"unreadable": problem})

    def _check_unchanged(self, path: str) -> None:
        """Refuse what was not there, or was another file, when the paths were checked."""
        file = self._out / path
        if has_content(file) and self._manifest.find(path, digest_of(file)) is None:
            raise ConfigError(
                f"{file}: was written by another program meanwhile, and is not replaced; choose "
                "another --out, or move it away"
            )

    def _class_list(self, *, overwrite: bool) -> bytes:
        """The content of classes.txt to write; nothing if the model has no names."""
        path, model = self._out / CLASS_LIST, self._model
        if model.class_names is None:
            if path.exists():
                self._reporter.say(
                    f"{path} does not describe these masks: they hold cluster numbers"
                )
            return b""
        text = class_lines(model.names).encode()
        if not has_content(path) or (path.is_file() and path.read_bytes() == text):
            return text
        check_not_read([path], lambda: inputs_of(model, self._folder))
        if self._manifest.find(CLASS_LIST, digest_of(path)) is None or path.is_symlink():
            raise ConfigError(
                f"{path}: already exists with other names, and was not written by picie or was "
                "changed since; choose another --out, or move it away"
            )
        if not overwrite:
            raise ConfigError(
                f"{path} already exists and has other names; choose another --out, or pass "
                "--overwrite to replace it"
            )
        return text

    def _write_names(self) -> None:
        """Write classes.txt before the first mask."""
        with self._turn:
            path, text, self._names = self._out / CLASS_LIST, self._names, b""
            if not text or (path.is_file() and path.read_bytes() == text):
                return
            self._manifest.append({"classes": CLASS_LIST, "digest": _sha256(text)})
            write_atomically(path, text)

    def _warn_of_others(self, plan: Plan) -> None:
        """Say so if the folder also holds masks of another model."""
        current = {f"{photo.name}.png" for photo in self._folder.photos}
        newest = {path: entry for path, entry in self._manifest.masks() if path not in current}
        older = [path for path, entry in newest.items() if entry.model != self._digest]
        count = sum((self._out / path).exists() for path in older)
        if count:
            self._reporter.say(
                f"{self._out} also holds {count} mask{'s' * (count != 1)} of another model or of "
                "other settings, whose ids may mean something else"
            )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _in_folder(path: Path) -> Path:
    """The path, after its folder is created."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PicieError(
            f"{path.parent}: cannot be created ({error.strerror}); choose another --out"
        ) from None
    return path
