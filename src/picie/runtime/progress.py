"""Progress: bars on a terminal, one line that changes in a notebook, plain lines elsewhere."""

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from picie.runtime import notebook
from picie.runtime.notebook import Line, in_notebook
from picie.runtime.printable import printable

__all__ = ["PLAIN_SECONDS", "Advance", "PlainConsole", "Reporter"]

PLAIN_SECONDS = "PICIE_PROGRESS_SECONDS"
"""Environment variable: time between plain lines of one task, for programs that read them."""

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


class PlainConsole(Console):
    """Prints lines and tables as they are, without markup; plain strings are escaped.

    A `Text` is taken as it is; make it from `printable` text.

    Args:
        stderr: print on standard error.
        quiet: print nothing.
    """

    def __init__(self, *, stderr: bool = False, quiet: bool = False) -> None:
        super().__init__(
            stderr=stderr, quiet=quiet, highlight=False, markup=False, emoji=False, soft_wrap=True
        )

    def render_str(self, text: str, **options: Any) -> Text:
        """The text of a line or a cell of a table."""
        return super().render_str(printable(text), **options)


class Reporter:
    """Shows the progress of long tasks.

    Args:
        quiet: show nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._told: set[str] = set()
        self.console: Console = PlainConsole(stderr=True, quiet=quiet)
        self._line = Line()

    @contextmanager
    def task(self, label: str, total: int, *, finished: int = 0) -> Iterator[Advance]:
        """Show a bar (or lines) for `total` items.

        Args:
            label: what is done.
            total: number of items.
            finished: how many of them an earlier call did; they say nothing about the time left.

        Yields:
            A function to call with the number of items finished since the last call.
        """
        if self.quiet or not self.console.is_terminal:
            changing = self._changing if in_notebook() else self._plain
            yield _silent if self.quiet else changing(label, total, finished)
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as bars:
            bar = bars.add_task(printable(label), total=total, completed=finished, note="")
            shown = 0.0

            def advance(done: int, note: Callable[[], str] | None = None) -> None:
                nonlocal shown
                bars.update(bar, advance=done)
                if note is not None and time.monotonic() - shown > _NOTE_SECONDS:
                    bars.update(bar, note=printable(note()))
                    shown = time.monotonic()

            yield advance

    def say(self, text: str) -> None:
        """Show one line; what a terminal would take for commands is escaped."""
        if not self.quiet and in_notebook():
            notebook.say(text)
        else:
            self.console.print(text)

    def tell(self, notes: Iterable[str]) -> None:
        """Show notes, one line each, and each of them only once: folders are opened repeatedly."""
        for note in notes:
            if note not in self._told:
                self._told.add(note)
                self.say(note)

    def enumerate(self, texts: Collection[str], *, rest: str = "") -> None:
        """Show one line per text, at most 20, and the number of the others.

        Args:
            texts: the lines.
            rest: file that lists all of them; "" = none, so that all are shown here.
        """
        if not rest:
            for text in texts:
                self.say(f"  {text}")
            return
        for text in list(texts)[:_MOST_LINES]:
            self.say(f"  {text}")
        if len(texts) > _MOST_LINES:
            self.say(f"  ... and {len(texts) - _MOST_LINES} more; {rest} lists all")

    def _changing(self, label: str, total: int, finished: int) -> Advance:
        shown = 0.0
        count = finished
        said = ""

        def advance(done: int, note: Callable[[], str] | None = None) -> None:
            nonlocal shown, count, said
            count += done
            now = time.monotonic()
            if now - shown < _NOTE_SECONDS and count < total:
                return
            shown = now
            said = note() if note is not None else said
            self._line.write(f"{label}: {count}/{total} {said}", count / max(total, 1))

        return advance

    def _plain(self, label: str, total: int, finished: int) -> Advance:
        start = last = time.monotonic()
        pause = _plain_seconds()
        count = finished

        def advance(done: int, note: Callable[[], str] | None = None) -> None:
            nonlocal last, count
            count += done
            now = time.monotonic()
            if now - last < pause:
                return
            last = now
            left = (now - start) / max(count - finished, 1) * (total - count)
            said = note() if note is not None else ""
            self.say(f"{label}: {count}/{total} {said} ({left:.0f} s left)")

        return advance


def _plain_seconds() -> float:
    try:
        return max(0.0, float(os.environ.get(PLAIN_SECONDS, "")))
    except ValueError:
        return _PLAIN_SECONDS


def _silent(done: int, note: Callable[[], str] | None = None) -> None:
    """Does nothing."""
