"""Predictions of a folder handed to threads that write them, while the next ones are computed."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from picie.data.folder import PhotoFolder
from picie.data.photo_loader import choose_workers
from picie.inference.segmenter import Prediction, Segmenter
from picie.runtime.progress import Advance, Reporter

__all__ = ["Then", "predict_each"]

Then = Callable[[], object] | None
"""What is left to do in the order of the pictures, by one thread at a time; None = nothing."""

_WAITING = 4  # finished pictures per thread that wait to be written


def predict_each(
    model: Segmenter,
    folder: PhotoFolder,
    work: Callable[[Prediction], Then],
    *,
    workers: int = -1,
    reporter: Reporter,
    **options: Any,
) -> int:
    """Call `work` with every picture that could be read; name the others.

    Args:
        model: a trained model.
        folder: pictures.
        work: gets a prediction with a mask, by one of several threads and in no certain order. What
            it returns is called later, in the order of the pictures, never twice at a time.
        workers: threads that read, and as many that work; 0 = none, -1 = chosen from the cores.
        reporter: shows how far it came, and which pictures could not be read.
        options: further ones of `Segmenter.predict_folder`.

    Returns:
        the number of pictures that could be read.

    Raises:
        ConfigError: an option cannot be.
        DataError: no picture could be read.
        Exception: whatever `work` raises; nothing more is begun then.
    """
    predictions = model.predict_folder(folder, workers=workers, **options)
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
    return len(folder) - len(problems)


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
