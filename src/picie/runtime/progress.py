"""Progress on standard error: bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

__all__ = ["Advance", "Reporter"]

_PLAIN_SECONDS = 20.0
_NOTE_SECONDS = 0.5
_MOST_LINES = 20


class Advance(Protocol):
    """Reports finished work."""

    def __call__(self, done: int, note: Callable[[], str] | None = None) -> None:
        """Add `done` to the finished work and show `note()` beside it.

        `note` is called only when its text is shown, at most a few times per second, because it may
        have to wait for the device.
        """


class Reporter:
    """Shows the progress of long tasks.

    Args:
        quiet: show nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.console = Console(stderr=True, quiet=quiet, highlight=False)

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Advance]:
        """Show a bar (or lines) for `total` items.

        Yields:
            A function to call with the number of items finished since the last call.
        """
        if self.quiet or not self.console.is_terminal:
            yield _silent if self.quiet else self._plain(label, total)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as bars:
            bar = bars.add_task(label, total=total, note="")
            shown = 0.0

            def advance(done: int, note: Callable[[], str] | None = None) -> None:
                nonlocal shown
                bars.update(bar, advance=done)
                if note is not None and time.monotonic() - shown > _NOTE_SECONDS:
                    bars.update(bar, note=note())
                    shown = time.monotonic()

            yield advance

    def say(self, text: str) -> None:
        """Show one line."""
        self.console.print(text, markup=False, soft_wrap=True)

    def enumerate(self, texts: Collection[str]) -> None:
        """Show one line per text, at most 20, and the number of the others."""
        for text in list(texts)[:_MOST_LINES]:
            self.say(f"  {text}")
        if len(texts) > _MOST_LINES:
            self.say(f"  ... and {len(texts) - _MOST_LINES} more")

    def _plain(self, label: str, total: int) -> Advance:
        start = last = time.monotonic()
        count = 0

        def advance(done: int, note: Callable[[], str] | None = None) -> None:
            nonlocal last, count
            count += done
            now = time.monotonic()
            if now - last < _PLAIN_SECONDS:
                return
            last = now
            left = (now - start) / max(count, 1) * (total - count)
            said = note() if note is not None else ""
            self.say(f"{label}: {count}/{total} {said} ({left:.0f} s left)")

        return advance


def _silent(done: int, note: Callable[[], str] | None = None) -> None:
    """Does nothing."""
