"""Look at all photos in the background, one at a time, while nothing else is to be done."""

import time
from collections.abc import Callable

from picie.errors import DataError
from picie.studio.broadcast import Broadcast
from picie.studio.index import Index

__all__ = ["Filling"]

_PAUSE = 0.25  # seconds between two messages to the pages


class Filling:
    """Brings photos into the index; a small step at a time.

    Args:
        index: of the photos.
        look: sends a photo through the network, which ends in the index; raises `DataError` for
            one that cannot be read.
        broadcast: tells the pages.
    """

    def __init__(self, index: Index, look: Callable[[int], object], broadcast: Broadcast) -> None:
        self._index, self._look, self._broadcast = index, look, broadcast
        self._waiting = index.missing()
        self._start, self._first = time.monotonic(), index.seen
        self._told = 0.0
        self._ended = False

    def step(self) -> bool:
        """Look at the next photo, in the worker; return whether more are waiting."""
        if self._ended:
            return False
        number = next(self._waiting, None)
        if number is None:
            self._index.flush()
            self._tell()
            return False
        try:
            self._look(number)
        except DataError as error:
            self._index.fail(number, str(error))
        if time.monotonic() - self._told >= _PAUSE:
            self._tell()
        return True

    def stop(self) -> None:
        """Look at no more photos."""
        self._ended = True

    def progress(self) -> dict[str, float | int | None]:
        """How far it is; the seconds that are left are None as long as they are not known."""
        seen, total = self._index.seen, len(self._index.photos)
        done, spent = seen - self._first, time.monotonic() - self._start
        left = spent / done * (total - seen) if done else None
        return {
            "done": seen,
            "total": total,
            "failed": len(self._index.problems),
            "seconds_left": 0.0 if seen >= total else left,
        }

    def _tell(self) -> None:
        self._told = time.monotonic()
        if new := self._index.take_added():
            self._broadcast.publish("photos", {"ids": new})
        self._broadcast.publish("progress", self.progress())
