"""News for all open pages, as server-sent events.

Each page has a queue of its own with a bound. Of news that only the last matters of, such as
progress, an older one that still waits is replaced. A page that reads too slowly is dropped: its
stream ends, it connects again by itself, and then asks for the present state.
"""

import asyncio
import json
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from typing import Any

__all__ = ["Broadcast"]

_MOST_WAITING = 256  # news
_MOST_BYTES = 1_000_000  # of all news that wait for one page
_MOST_PAGES = 64
_HEARTBEAT = 15.0  # seconds; a connection that was lost is noticed when something is sent
_REPLACED = {"phase", "progress", "state", "head", "check"}


class Broadcast:
    """Sends news from any thread to all open pages."""

    def __init__(self) -> None:
        self._pages: set[_Page] = set()
        self._lock = threading.Lock()
        self._closed = False

    def publish(self, kind: str, data: Mapping[str, Any]) -> None:
        """Send news to all pages; from any thread, without waiting.

        Args:
            kind: of the event, one word.
            data: plain values.
        """
        text = f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()
        key = kind if kind in _REPLACED else f"job {data['id']}" if kind == "job" else ""
        with self._lock:
            pages = list(self._pages)
        for page in pages:
            page.put(key, text)

    def subscribe(self) -> "AsyncIterator[bytes] | None":
        """The stream of one page, in the running event loop; None if there are too many pages."""
        page = _Page(asyncio.get_running_loop())
        with self._lock:
            if self._closed or len(self._pages) >= _MOST_PAGES:
                return None
            self._pages.add(page)
        return self._stream(page)

    def close(self) -> None:
        """End all streams."""
        with self._lock:
            self._closed = True
            pages = list(self._pages)
        for page in pages:
            page.end()

    async def _stream(self, page: "_Page") -> AsyncIterator[bytes]:
        try:
            yield b"retry: 1000\n\n"
            while not page.ended:
                yield await page.take(_HEARTBEAT) or b": still here\n\n"
        finally:
            with self._lock:
                self._pages.discard(page)


class _Page:
    """The news that wait for one page."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ended = False
        self._loop = loop
        self._ready = asyncio.Event()
        self._waiting: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._bytes = 0
        self._number = 0
        self._lock = threading.Lock()

    def put(self, key: str, text: bytes) -> None:
        """Add news; those of the same key that still wait are removed, unless it is empty."""
        with self._lock:
            self._number += 1
            name = (key, 0 if key else self._number)
            self._bytes += len(text) - len(self._waiting.pop(name, b""))
            self._waiting[name] = text
            if len(self._waiting) > _MOST_WAITING or self._bytes > _MOST_BYTES:
                self._waiting.clear()
                self._bytes = 0
                self.ended = True
        self._wake()

    def end(self) -> None:
        """Let the stream end, without what still waits."""
        self.ended = True
        self._wake()

    async def take(self, seconds: float) -> bytes:
        """All news that wait, as soon as there are any; b"" after some seconds without."""
        try:
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        except TimeoutError:
            return b""
        with self._lock:
            self._ready.clear()
            news = b"".join(self._waiting.values())
            self._waiting.clear()
            self._bytes = 0
        return news

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._ready.set)
        except RuntimeError:  # the loop has ended, and with it the page
            self.ended = True
