"""Signals that stop a verb (Ctrl-C, SIGTERM, SIGHUP), and what each verb says then."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Stopped", "stoppable", "stopped_text"]

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
_SAME = 1.0  # seconds: launchers and terminals may both pass on one signal
_PATIENCE = 10.0  # seconds between what is said and the end

_ADVICE = {
    "train": "training had not begun; run the same command again",
    "predict": "finished masks are kept; run the same command again to write the others",
    "name": "names change completely or not at all; see them with picie name RUN",
    "teach": "the taught model is written at the end; run the same command again",
    "queue": "nothing was changed",
    "audit": "answers are kept; run the same command again to go on",
    "studio": "everything you did is saved; run the same command again to go on",
    "serve": "what Label Studio sent is saved; run the same command again to go on",
    "evaluate": "scores are written at the end; run the same command again",
    "report": "the page is written at the end; run the same command again",
    "export": "an export appears whole or not at all; run the same command again to go on",
    "measure": "the table is written at the end; run the same command again to go on",
    "completion": "nothing was changed",
    "bench": "finished runs are kept; run the same command again to go on",
    "demo": "run the same command again with --overwrite",
    "info": "nothing was changed",
}
_WHOLE = ("bench", "demo")  # their advice replaces that of the training within them


class Stopped(KeyboardInterrupt):
    """A signal asks the program to end; everything cleans up as after Ctrl-C.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def stoppable(*, last: bool = False) -> Iterator[None]:
    """Within the block, signals raise `Stopped`; another one, a second later, ends it at once.

    Signals that the program was told to ignore or to handle are left alone, and so is everything
    in other threads than the main one.

    Args:
        last: the program ends after the block. Once it was stopped, nothing disturbs its end, and
            nothing delays it for long.
    """
    before: dict[int, Any] = {}
    first: list[tuple[int, float]] = []

    def stop(number: int, _: object) -> None:
        now = time.monotonic()
        if not first:
            first.append((number, now))
            raise Stopped(number)
        if now - first[0][1] > _SAME:
            os._exit(128 + number)  # all files are written atomically

    if threading.current_thread() is threading.main_thread():
        for name in _SIGNALS:
            number = getattr(signal, name, None)  # Windows lacks SIGHUP
            usual = (signal.SIG_DFL, signal.default_int_handler)
            if number is not None and signal.getsignal(number) in usual:
                before[number] = signal.signal(number, stop)
    try:
        yield
    except Exception as error:
        if first:  # an import that was interrupted may fail in any way
            raise Stopped(first[0][0]) from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if first and last else handler)
        if first and last:
            # At its end, Python waits for threads, one of which may wait for a dead network drive.
            timer = threading.Timer(_PATIENCE, os._exit, [128 + first[0][0]])
            timer.daemon = True
            timer.start()


def stopped_text(verb: str, error: KeyboardInterrupt) -> tuple[str, int]:
    """What to say after an interrupt, and the exit code.

    Args:
        verb: that was stopped; "" before it is known.
        error: its notes say how to go on, if the function that was stopped knows better.
    """
    number = getattr(error, "number", signal.SIGINT)
    how = "stopped" if number == signal.SIGINT else f"stopped by {error}"
    notes = [] if verb in _WHOLE else getattr(error, "__notes__", [])
    advice = "; ".join(notes) or _ADVICE.get(verb, "")
    return f"{how}; {advice}" if advice else how, 128 + number
