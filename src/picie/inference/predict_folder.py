"""Masks of a folder: predictions go to threads that write them while the next ones are computed."""

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
from picie.data.photo_loader import choose_workers
from picie.errors import ConfigError, PicieError
from picie.inference.segmenter import TILE, Prediction, Segmenter, loaded
from picie.runtime.files import write_atomically
from picie.runtime.progress import Advance, Reporter
from picie.visualization.masks import overlay, write_mask, write_png
from picie.visualization.palette import Colours

__all__ = ["FolderMasks", "Then", "predict_each", "predict_folder"]

Then = Callable[[], object] | None
"""What is left to do in the order of the images, by one thread at a time; None = nothing."""

_WAITING = 4  # finished images per thread that wait to be written


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
    """Call `work` with every image that could be read; name the others.

    Args:
        model: a trained model.
        folder: images.
        work: gets a prediction with a mask, by one of several threads and in no certain order. What
            it returns is called later, in the order of the images, never twice at a time.
        batch_size: as in `Segmenter.predict_folder`.
        size: as there.
        tile: as there.
        workers: threads that read, and as many that work; 0 = none, -1 = chosen from the cores.
        reporter: shows how far it came, and which images could not be read.

    Returns:
        a line for each image that could not be read.

    Raises:
        ConfigError: an option cannot be.
        DataError: no image could be read.
        Exception: whatever `work` raises; nothing more is begun then.
    """
    predictions = model.predict_folder(
        folder, batch_size=batch_size, size=size, tile=tile, workers=workers
    )
    problems: list[str] = []
    with (
        reporter.task("masks", len(folder)) as advance,
        _in_threads(choose_workers(workers, model.device)) as call,
    ):
        for one in _counted(predictions, advance):
            if one.mask is None:
                problems.append(one.problem)
            else:
                call(partial(work, one))
    reporter.enumerate(problems)
    if len(problems) == len(folder):
        raise folder.none_read(problems[0])
    return tuple(problems)


def _counted(predictions: Iterator[Prediction], advance: Advance) -> Iterator[Prediction]:
    """Show each prediction, and how many come per second."""
    start = time.monotonic()
    for number, one in enumerate(predictions, 1):
        yield one
        speed = number / max(time.monotonic() - start, 1e-9)
        advance(1, partial("{:.1f} images/s".format, speed))


@contextmanager
def _in_threads(count: int) -> Iterator[Callable[[Callable[[], Then]], None]]:
    """A function that has its argument called by a thread; with 0 threads it calls it at once.

    What the argument returns is called in the order in which they came. It waits where too many
    calls wait already. What a call raises is raised again, by a later call or at the end.
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
    """Masks of a folder that were written.

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
    """Write OUT/<name>.png for every image of a folder, and OUT/overlays/<name>.png.

    `Segmenter.predict_folder` gives the masks in memory instead.

    A model with names also writes OUT/classes.txt: the names by id, one a line.

    Args:
        model: a trained model, or its folder.
        source: a photo or a folder of them.
        out: folder to make.
        split: list file of the folder.
        overlays: also write photo and mask blended.
        overwrite: replace what is there.
        batch_size: most images of one size that go through the network together.
        size: short side in pixels at which the network sees an image; as in training if None.
        tile: most pixels of a side that go through the network at once; 0 = never cut.
        workers: threads that read, and as many that write; 0 = none, -1 = chosen from the cores.
        reporter: shows how far it came; None = nothing.

    Raises:
        ConfigError: a mask or other names are already there and may not be replaced, or an option
            cannot be.
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
    left_out = f", {len(problems)} images could not be read" if problems else ""
    reporter.say(f"{written} masks in {out}{left_out}")
    return FolderMasks(out, written, problems)


def _write_names(model: Segmenter, out: Path, *, overwrite: bool, reporter: Reporter) -> None:
    """Names go beside masks of classes, and none beside masks of cluster numbers."""
    path = out / "classes.txt"
    if model.class_names is None:
        if path.exists():
            reporter.say(f"{path} is not about these masks: they hold cluster numbers")
        return
    text = "".join(f"{name}\n" for name in model.names).encode()
    if path.exists() and path.read_bytes() != text and not overwrite:
        raise ConfigError(
            f"{path} is already there and has other names; choose another --out, or pass "
            "--overwrite to replace it"
        )
    write_atomically(_in_folder(path), text)


def _write(one: Prediction, out: Path, colours: Colours, *, overlays: bool) -> None:
    assert one.mask is not None  # the caller leaves out images without one
    write_mask(one.mask, _in_folder(out / f"{one.name}.png"), colours)
    if overlays:
        blended = overlay(one.image, one.mask, colours)
        write_png(Image.fromarray(blended), _in_folder(out / "overlays" / f"{one.name}.png"))


def _in_folder(path: Path) -> Path:
    """The path, with a folder around it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PicieError(
            f"{path.parent}: cannot be made ({error.strerror}); choose another --out"
        ) from None
    return path


def _check_free(out: Path, names: list[str]) -> None:
    taken = [path for name in names if (path := out / f"{name}.png").exists()]
    if taken:
        raise ConfigError(
            f"{taken[0]} is already there (and {len(taken) - 1} more); choose another --out, or "
            "pass --overwrite to replace them"
        )
