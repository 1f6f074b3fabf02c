"""Masks of a folder; threads write them while the network predicts the next ones."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from picie.data.folder import PhotoFolder, open_folder
from picie.data.prefetch import photo_workers
from picie.errors import ConfigError, PicieError
from picie.inference.segmenter import TILE, Prediction, Segmenter, loaded
from picie.runtime.files import write_atomically
from picie.runtime.progress import Advance, Reporter
from picie.visualization.masks import overlay, write_mask, write_png
from picie.visualization.palette import Colours

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
        reporter: shows progress and the unreadable images.

    Returns:
        a line for each image that could not be read.

    Raises:
        ConfigError: an impossible option.
        DataError: no image could be read.
        Exception: whatever `work` raises; pending work is cancelled.
    """
    predictions = model.predict_folder(
        folder, batch_size=batch_size, size=size, tile=tile, workers=workers
    )
    problems: list[str] = []
    with (
        reporter.task("masks", len(folder)) as advance,
        _in_threads(photo_workers(workers, model.device)) as call,
    ):
        for prediction in _counted(predictions, advance):
            if prediction.mask is None:
                problems.append(prediction.problem)
            else:
                call(partial(work, prediction))
    reporter.enumerate(problems)
    if len(problems) == len(folder):
        raise folder.none_read(problems[0])
    return tuple(problems)


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
    """The written masks of a folder.

    Attributes:
        out: the folder with the masks.
        written: number of masks.
        problems: a line for each image that could not be read.
    """

    out: Path
    written: int
    problems: tuple[str, ...]


def predict_folder(
    model: Segmenter | str | Path,
    source: str | Path,
    out: str | Path,
    *,
    split: str = "",
    overlays: bool = False,
    overwrite: bool = False,
    batch_size: int = 8,
    size: int | None = None,
    tile: int = TILE,
    workers: int = -1,
    reporter: Reporter | None = None,
) -> FolderMasks:
    """Write OUT/<name>.png for every image of a folder, and optionally OUT/overlays/<name>.png.

    `Segmenter.predict_folder` returns the masks in memory instead. A model with names also writes
    OUT/classes.txt: the names by id, one per line.

    Args:
        model: a trained model, or its folder.
        source: a photo or a folder of them.
        out: folder to create.
        split: list file of the folder.
        overlays: also write photo and mask blended.
        overwrite: replace existing files.
        batch_size: maximum number of images in a batch, all of one size.
        size: short side in pixels at which the network sees an image; as in training if None.
        tile: longest side processed at once, in pixels; 0 = never tile.
        workers: threads that read, and as many that write; 0 = none, -1 = chosen from the cores.
        reporter: shows progress; None = silent.

    Raises:
        ConfigError: a mask or a different classes.txt exists and `overwrite` is off, or an
            impossible option.
        DataError: no image could be read.
        PicieError: a file cannot be written.

    Example:
        >>> picie.predict_folder("runs/first", "photos/", "masks/").written  # doctest: +SKIP
        120
    """
    model, out, reporter = loaded(model), Path(out), reporter or Reporter(quiet=True)
    folder = open_folder(source, split)
    if not overwrite:
        _check_free(out, [photo.name for photo in folder.photos])
    _write_names(model, out, overwrite=overwrite, reporter=reporter)
    work = partial(_write, out=out, colours=model.colours, overlays=overlays)
    problems = predict_each(
        model, folder, work, batch_size=batch_size, size=size, tile=tile, workers=workers,
        reporter=reporter,
    )  # fmt: skip
    written = len(folder) - len(problems)
    plural = "s" * (len(problems) != 1)
    skipped = f", skipped {len(problems)} unreadable image{plural}" if problems else ""
    reporter.say(f"{written} masks in {out}{skipped}")
    return FolderMasks(out, written, problems)


def _write_names(model: Segmenter, out: Path, *, overwrite: bool, reporter: Reporter) -> None:
    """Write classes.txt for a model with names; without names, warn about an existing one."""
    path = out / "classes.txt"
    if model.class_names is None:
        if path.exists():
            reporter.say(f"{path} does not describe these masks: they hold cluster numbers")
        return
    text = "".join(f"{name}\n" for name in model.names).encode()
    if path.exists() and path.read_bytes() != text and not overwrite:
        raise ConfigError(
            f"{path} already exists and has other names; choose another --out, or pass "
            "--overwrite to replace it"
        )
    write_atomically(_in_folder(path), text)


def _write(prediction: Prediction, out: Path, colours: Colours, *, overlays: bool) -> None:
    assert prediction.mask is not None  # `predict_each` skips images without one
    write_mask(prediction.mask, _in_folder(out / f"{prediction.name}.png"), colours)
    if overlays:
        blended = overlay(prediction.image, prediction.mask, colours)
        write_png(Image.fromarray(blended), _in_folder(out / "overlays" / f"{prediction.name}.png"))


def _in_folder(path: Path) -> Path:
    """The path, after its folder is created."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PicieError(
            f"{path.parent}: cannot be created ({error.strerror}); choose another --out"
        ) from None
    return path


def _check_free(out: Path, names: list[str]) -> None:
    taken = [path for name in names if (path := out / f"{name}.png").exists()]
    if taken:
        raise ConfigError(
            f"{taken[0]} already exists (and {len(taken) - 1} more); choose another --out, or "
            "pass --overwrite to replace them"
        )
