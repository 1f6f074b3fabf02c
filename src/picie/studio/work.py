"""One thread that does everything with the model, what is most urgent first.

Calls never run at the same time, so that they share the model, and its caches, without locks. What
nobody waits for is done in small steps while there is nothing else to do.
"""

import asyncio
import heapq
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from typing import Any, TypeVar

from picie.errors import PicieError

__all__ = ["NOW", "QUEUE", "REST", "VIEW", "Worker"]

NOW, VIEW, QUEUE, REST = -1, 0, 1, 2
"""Priorities: what a stroke waits for, photos in view, the next ones in the queue, all others."""

_LOG = logging.getLogger("picie.studio")
_Result = TypeVar("_Result")


class Worker:
    """A thread with a queue of calls by priority; within one, first come first served."""

    def __init__(self) -> None:
        self._calls: list[tuple[int, int, Future[Any], Callable[[], Any]]] = []
        self._steps: deque[Callable[[], bool]] = deque()
        self._numbers = count()
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="studio-work", daemon=True)
        self._thread.start()

    def run(self, priority: int, function: Callable[[], _Result]) -> "Future[_Result]":
        """Call a function in the thread, in its turn; from any thread.

        Args:
            priority: NOW, VIEW, QUEUE or REST.
            function: what it returns or raises is the result of the future, whose `cancel` takes
                it out of the queue.
        """
        future: Future[_Result] = Future()
        with self._changed:
            if self._ended:
                future.cancel()
            else:
                heapq.heappush(self._calls, (priority, next(self._numbers), future, function))
                self._changed.notify()
        return future

    async def await_(self, priority: int, function: Callable[[], _Result]) -> _Result:
        """The result of `run`, for handlers; if the handler is cancelled, so is the call.

        Raises:
            PicieError: the thread has been ended; or what the function raises.
        """
        future = self.run(priority, function)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise PicieError("the model was closed meanwhile; reload the page") from None

    def idle(self, step: Callable[[], bool]) -> None:
        """Call a function again and again, while nothing else waits, as long as it returns true.

        Args:
            step: does a small part of the work, a tenth of a second at most: everything else waits
                for it. Several take turns.
        """
        with self._changed:
            self._steps.append(step)
            self._changed.notify()

    @property
    def waiting(self) -> int:
        """Number of calls in the queue."""
        with self._changed:
            return len(self._calls)

    def stop(self, seconds: float = 10.0) -> None:
        """End the thread after its present call; what still waits is cancelled.

        Args:
            seconds: to wait for it at most.
        """
        with self._changed:
            self._ended = True
            waiting, self._calls = self._calls, []
            self._steps.clear()
            self._changed.notify()
        for _, _, future, _ in waiting:
            future.cancel()
        if threading.current_thread() is not self._thread:
            self._thread.join(seconds)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._ended or self._calls or self._steps):
                    self._changed.wait()
                if self._ended:
                    return
                call = heapq.heappop(self._calls) if self._calls else None
                step = None if call else self._steps.popleft()
            if call is not None:
                _finish(*call[2:])
            elif step is not None and _goes_on(step):
                with self._changed:
                    if not self._ended:
                        self._steps.append(step)


def _finish(future: "Future[Any]", function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:
        if not isinstance(error, PicieError):
            _LOG.debug("a call of the studio failed", exc_info=True)
        future.set_exception(error)
    else:
        future.set_result(result)


def _goes_on(step: Callable[[], bool]) -> bool:
    try:
        return step()
    except PicieError as error:
        _LOG.warning("work in the background has ended: %s", error)
    except Exception:
        _LOG.exception("work in the background has ended")
    return False
