"""Work that threads do ahead of whoever wants its results."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Generic, TypeVar

__all__ = ["Prefetch"]

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")
_Todo = queue.SimpleQueue[tuple[Future[_Result], _Task] | None]
_PATIENCE = 5.0  # seconds


class Prefetch(Generic[_Task, _Result]):
    """An iterator over the results of a function, in the order of its tasks.

    Tasks are taken from their iterable in the thread that asks for results. What the function
    raises comes where its result would have come. `close` must be called, however it ends.
    """

    def __init__(
        self,
        work: Callable[[_Task], _Result],
        tasks: Iterable[_Task],
        *,
        threads: int,
        ahead: int,
    ) -> None:
        """Start the threads; they wait for the first `next`.

        Args:
            work: the function, called from several threads at once.
            tasks: what it is called with.
            threads: number of threads; 0 = the thread that asks for a result computes it.
            ahead: most tasks that are begun beyond the one whose result is asked for.
        """
        self._work, self._tasks, self._ahead = work, iter(tasks), ahead
        self._closed = threading.Event()
        self._todo: _Todo[_Result, _Task] = queue.SimpleQueue()
        self._waiting: deque[Future[_Result]] = deque()
        # Daemons: a reader that hangs in the system must not keep the program from ending.
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
        while len(self._waiting) <= self._ahead:
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
        """End the threads: each finishes the task it is at, and no other is begun."""
        self._closed.set()
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join(_PATIENCE)


def _serve(
    work: Callable[[_Task], _Result], todo: _Todo[_Result, _Task], closed: threading.Event
) -> None:
    while (job := todo.get()) is not None and not closed.is_set():
        future, task = job
        try:
            future.set_result(work(task))
        except BaseException as error:  # it belongs to whoever asked
            future.set_exception(error)
