"""Predict the images of a folder one after another, and do something with each mask."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from picie.data.folder import PhotoFolder
from picie.data.prefetch import photo_workers
from picie.inference.confidence import limited
from picie.inference.segmenter import TILE, Prediction, Segmenter
from picie.postprocessing.regions import fill_small_regions
from picie.runtime.progress import Advance, Reporter

__all__ = ["Done", "Tally", "Then", "filled", "predict_each", "tell_unreadable", "work_on"]

Then = Callable[[], object] | None
"""A follow-up, called in the order of the images, one at a time; None = none."""

Done = Callable[[str, str], object]
"""Gets name and problem of an image."""

_WAITING = 4  # maximum queue of predicted images per thread


class Tally:
    """A `Done` that shows progress with images per second, and keeps the problems.

    Args:
        advance: of the progress.

    Attributes:
        problems: why images could not be read, in the order of the calls.
    """

    def __init__(self, advance: Advance) -> None:
        self.problems: list[str] = []
        self._advance, self._start, self._number = advance, time.monotonic(), 0

    def __call__(self, name: str, problem: str) -> None:
        """Count an image."""
        self._number += 1
        speed = self._number / max(time.monotonic() - self._start, 1e-9)
        self._advance(1, partial("{:.1f} images/s".format, speed))
        if problem:
            self.problems.append(problem)


def tell_unreadable(
    folder: PhotoFolder,
    problems: Sequence[str],
    listed: str,
    reporter: Reporter,
    kind: str = "images",
) -> None:
    """Show what could not be read.

    Args:
        folder: all images.
        problems: a line for each that could not be read.
        listed: file that lists all of them.
        reporter: shows them.
        kind: what the message calls the images.

    Raises:
        DataError: none could be read.
    """
    in_vain = bool(problems) and len(problems) == len(folder)
    if not in_vain or len(problems) > 1:  # the error says a single one
        reporter.enumerate(problems, rest="" if in_vain else listed)
    if in_vain:
        raise folder.none_read(problems[0], kind)


def predict_each(
    model: Segmenter,
    folder: PhotoFolder,
    work: Callable[[Prediction], Then],
    done: Done,
    *,
    batch_size: int = 8,
    size: int | None = None,
    tile: int = TILE,
    workers: int = -1,
    min_region: int = 0,
    confidence: bool = False,
) -> None:
    """Call `work` with every image, readable or not, from several threads.

    Args:
        model: a trained model.
        folder: images.
        work: as for `work_on`; regions are filled already.
        done: as for `work_on`.
        batch_size: as in `Segmenter.predict_folder`, like the next three.
        size: as there.
        tile: as there.
        workers: threads that read, and as many that work.
        min_region: give the pixels of smaller regions to the classes around them; 0 = keep all.
        confidence: also give the confidence of each pixel.

    Raises:
        ConfigError: an impossible option.
        Exception: whatever `work` or `done` raises; pending work is cancelled.
    """
    predictions = model.predict_folder(
        folder, batch_size=batch_size, size=size, tile=tile, workers=workers, confidence=confidence
    )
    threads = photo_workers(workers, model.device)
    work_on(predictions, lambda one: work(filled(one, min_region)), done, threads=threads)


def filled(prediction: Prediction, min_region: int) -> Prediction:
    """A prediction whose small regions belong to the classes around them.

    Args:
        prediction: with or without a mask.
        min_region: smallest region that is kept, in pixels; 0 = all.
    """
    if prediction.mask is None or not min_region:
        return prediction
    mask, confidence = fill_small_regions(prediction.mask, min_region), prediction.confidence
    if confidence is not None:
        confidence = limited(confidence, prediction.mask, mask)
    return replace(prediction, mask=mask, confidence=confidence)


def work_on(
    predictions: Iterable[Prediction],
    work: Callable[[Prediction], Then],
    done: Done,
    *,
    threads: int,
) -> None:
    """Call a function with every image, from several threads.

    Args:
        predictions: the images, readable or not.
        work: called in any order. What it returns is called later, in the order of the images, one
            at a time.
        done: called with name and problem ("" = none) of each image, in their order, when `work`
            has ended.
        threads: 0 = none.

    Raises:
        Exception: whatever `work` or `done` raises; pending work is cancelled.
    """

    def worked(prediction: Prediction) -> Then:
        return partial(
            _finish, work(prediction), partial(done, prediction.name, prediction.problem)
        )

    with _in_threads(threads) as call:
        for prediction in predictions:
            call(partial(worked, prediction))


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


def _finish(*calls: Then) -> None:
    for call in calls:
        if call is not None:
            call()
