"""Compute results ahead of their consumer, in threads; how many threads read images."""

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

import torch

__all__ = ["Prefetch", "available_cores", "crop_workers", "photo_workers"]

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")
_Todo = queue.SimpleQueue[tuple[Future[_Result], _Task] | None]
_PATIENCE = 5.0  # seconds
_MOST_WORKERS = 8


def available_cores() -> int:
    """Number of CPU cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def crop_workers(workers: int) -> int:
    """Threads that read training crops: the number itself, or for -1 one less than the cores.

    -1 gives 1 to 8: training reads ahead on any device.
    """
    return max(1, min(available_cores() - 1, _MOST_WORKERS)) if workers < 0 else workers


def photo_workers(workers: int, device: torch.device) -> int:
    """Threads that read whole photos: the number itself, or for -1 two less than the cores.

    -1 gives at most 8, and at least 1 except beside a network on a CPU of a single core.
    """
    if workers >= 0:
        return workers
    cores = available_cores()
    return max(int(device.type != "cpu" or cores > 1), min(cores - 2, _MOST_WORKERS))


class Prefetch(Generic[_Task, _Result]):
    """An iterator over the results of a function, in the order of its tasks.

    Tasks are taken from their iterable in the consuming thread. An exception of the function is
    raised in place of its result. `close` must always be called.
    """

    def __init__(
        self,
        work: Callable[[_Task], _Result],
        tasks: Iterable[_Task],
        *,
        threads: int,
        ahead: int,
        room: Callable[[Sequence[Future[_Result]]], bool] = lambda waiting: True,
    ) -> None:
        """Start the threads; they wait for the first `next`.

        Args:
            work: the function, called from several threads at once.
            tasks: its arguments.
            threads: number of threads; 0 = compute each result in the consuming thread.
            ahead: maximum number of tasks submitted beyond the one whose result is requested.
            room: whether a task may be submitted beyond these, which wait.
        """
        self._work, self._tasks, self._ahead, self._room = work, iter(tasks), ahead, room
        self._closed = threading.Event()
        self._todo: _Todo[_Result, _Task] = queue.SimpleQueue()
        self._waiting: deque[Future[_Result]] = deque()
        # Daemon threads, so that a blocked read does not keep the program from exiting.
        self._threads = [
            threading.Thread(
                target=_serve, args=(work, self._todo, self._closed), name="picie-read", daemon=True
            )
            for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def __iter__(self) -> "Prefetch[_Task, _Result]":
        return self

    def __next__(self) -> _Result:
        if self._closed.is_set():
            raise StopIteration
        if not self._threads:
            return self._work(next(self._tasks))
        while len(self._waiting) <= self._ahead and self._room(self._waiting):
            try:
                task = next(self._tasks)
            except StopIteration:
                break
            self._waiting.append(Future())
            self._todo.put((self._waiting[-1], task))
        if not self._waiting:
            raise StopIteration
        return self._waiting.popleft().result()

    def close(self) -> None:
        """Stop the threads: each finishes its current task, and no other task starts."""
        self._closed.set()
        for _ in self._threads:
            self._todo.put(None)
        until = time.monotonic() + _PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))


def _serve(
    work: Callable[[_Task], _Result], todo: _Todo[_Result, _Task], closed: threading.Event
) -> None:
    while (job := todo.get()) is not None and not closed.is_set():
        future, task = job
        try:
            future.set_result(work(task))
        except BaseException as error:  # raised in the consuming thread
            future.set_exception(error)
