"""Signs of life between the processes of a run, so that none waits for one that has ended.

A collective operation waits for 10 minutes or more, and some backends wait for ever. Therefore each
process keeps a number in a store that all can reach (a `TCPStore`, which the launcher or the first
process serves), raises it every second, and looks at that of the next process. Why a run has ended
is written there too, once, for all to read.
"""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

from picie.errors import PicieError
from picie.runtime.printable import printable

__all__ = ["ARRIVAL", "Heartbeat", "Member"]

ARRIVAL = 300.0
"""Seconds in which all processes must have come."""

_BEAT = 1.0  # seconds
_SILENT = 30  # beats after which a process counts as gone
_GRACE = 15.0  # seconds for the main thread to notice the end of the run
_POLL = 0.02  # seconds
_LONGEST = 2_000  # characters of an error that others show
_TERMINATED = "if you did not stop it, another process has ended, and its node says more"
_AGAIN = "run the same command again"


@dataclass(frozen=True)
class Member:
    """One process of a run, as it introduces itself.

    Attributes:
        rank: its number, from 0.
        host: name of its machine.
        node: number of its group of processes, as the launcher counts them.
        backend: what it would use to talk to the others: gloo or nccl.
        version: of picie.
    """

    rank: int
    host: str
    node: str
    backend: str
    version: str

    @classmethod
    def here(cls, rank: int, backend: str, version: str) -> "Member":
        """This process."""
        node = os.environ.get("GROUP_RANK", os.environ.get("NODE_RANK", ""))
        return cls(rank, socket.gethostname(), node, backend, version)

    def __str__(self) -> str:
        """Number, machine and node, for messages."""
        node = f", node {self.node}" if self.node else ""
        return f"process {self.rank} (on {self.host}{node})"


class Heartbeat:
    """Shows that this process lives, and notices within a minute if another does not.

    Two threads run from `start` to the end of `beating`. If the main thread does not end within 15
    seconds after a loss, because it waits for a process that will never answer, the program ends
    with exit code 1; files are written atomically, so none is damaged.

    Args:
        store: of `torch.distributed`, that all processes reach, for keys of this run only.
        me: this process.
        count: number of processes.
        beat: seconds between signs of life.

    Attributes:
        advice: what to do after a loss, the end of its message.
    """

    def __init__(self, store: Any, me: Member, count: int, *, beat: float = _BEAT) -> None:
        self.advice = _AGAIN
        self._store, self._me, self._count, self._beat = store, me, count, beat
        self._reason = ""
        self._beats = 0
        self._waits = 0
        self._over = threading.Event()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Within the block, signs of life. An error in it ends the run in all processes.

        The error gets the attribute `told`: whether another process of this node tells it already.
        """
        threads = [
            threading.Thread(target=run, daemon=True, name=f"picie {run.__name__}")
            for run in (self._show_life, self._guard)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
            self._leave()
        except BaseException as error:
            if not self._reason:
                self._end(f"{self._me} {_text(error)}")
            if str(error) == "SIGTERM":
                error.add_note(_TERMINATED)
            setattr(error, "told", not self._may_tell())  # noqa: B010
            raise
        finally:
            self._over.set()

    def meet(self, *, limit: float = ARRIVAL) -> list[Member]:
        """Wait for all processes; returns them by rank.

        Raises:
            PicieError: some have not come in time, or one has ended.
        """
        self._set(f"member/{self._me.rank}", json.dumps(asdict(self._me)))
        until = time.monotonic() + limit
        keys = [f"member/{rank}" for rank in range(self._count)]
        while not self._ask(lambda: self._store.check(keys)):
            self.check()
            if time.monotonic() > until:
                late = [r for r, key in enumerate(keys) if not self._store.check([key])]
                some = ", ".join(map(str, late[:5])) + (", ..." if len(late) > 5 else "")
                raise PicieError(
                    f"{len(late)} of {self._count} processes have not come within {limit:.0f} "
                    f"seconds (number {some}); look at what they say, start all of them again, "
                    "and see that they reach each other"
                )
            time.sleep(_POLL)
        return [self._member(rank) for rank in range(self._count)]

    def wait(self) -> None:
        """Wait until all processes have made this call, however long one of them works.

        Raises:
            PicieError: one has ended.
        """
        self._waits += 1
        self._pass(f"wait/{self._waits}")

    def check(self) -> None:
        """Raise if the run has ended.

        Raises:
            PicieError: with the reason.
        """
        if self._reason:
            raise self._error()

    def explain(self, error: RuntimeError) -> PicieError:
        """The error that takes the place of that of a collective operation.

        Args:
            error: says that a connection broke; which process has ended is found out here.
        """
        before, until = self._numbers(), time.monotonic() + 4 * self._beat
        while not self._reason and time.monotonic() < until:
            time.sleep(_POLL)
        if not self._reason:
            gone = [rank for rank, number in self._numbers().items() if number == before.get(rank)]
            reason = f"the connection to another process broke ({_first_line(error)})"
            self._end(_gone(self._member(gone[0])) if gone else reason)
        return self._error()

    # --- threads

    def _show_life(self) -> None:
        following, seen, silent = (self._me.rank + 1) % self._count, "", 0
        try:
            while not self._over.wait(self._beat):
                self._beats += 1
                self._store.set(f"beat/{self._me.rank}", str(self._beats))
                number = self._get(f"beat/{following}")
                silent = 0 if number != seen or not number else silent + 1
                seen = number
                if silent >= _SILENT:
                    self._end(_gone(self._member(following)))
                self._reason = self._reason or self._get("ended")
        except RuntimeError:
            if not self._over.is_set():
                self._reason = self._reason or _cut_off()

    def _guard(self) -> None:
        """Ends a program that hangs; it uses no store, for a connection may hang as well."""
        seen, silent = -1, 0
        while not self._over.wait(self._beat):
            silent = silent + 1 if seen == self._beats else 0
            seen = self._beats
            if silent >= _SILENT:
                self._reason = self._reason or _cut_off()
            if self._reason and not self._over.wait(_GRACE):
                if silent >= _SILENT or self._may_tell():  # nothing answers, or nobody told it
                    sys.stderr.write(f"picie: error: {printable(str(self._error()))}\n")
                    sys.stderr.flush()
                os._exit(PicieError.exit_code)

    # --- the store

    def _end(self, reason: str) -> None:
        """Tell all processes why the run ends, unless another one has."""
        self._reason = reason
        with suppress(RuntimeError):
            told = self._store.compare_set("ended", "", reason[:_LONGEST])
            self._reason = _decoded(told)

    def _may_tell(self) -> bool:
        """Whether this process is the first of its node that wants to tell of the end."""
        key = f"told/{self._me.host}/{self._me.node}"
        try:
            first = _decoded(self._store.compare_set(key, "", str(self._me.rank)))
        except RuntimeError:  # better told twice than never
            return True
        return first == str(self._me.rank)

    def _leave(self) -> None:
        """The last wait: who may serve the store stays until all others have passed it."""
        self.wait()
        with suppress(RuntimeError, PicieError):
            self._store.add("left", 1)
            until = time.monotonic() + 10 * self._beat
            while not self._me.rank and time.monotonic() < until:
                if self._store.add("left", 0) >= self._count:
                    break
                time.sleep(_POLL)

    def _pass(self, gate: str) -> None:
        if self._ask(lambda: self._store.add(gate, 1)) == self._count:
            self._set(f"{gate}/open", "yes")
        while not self._ask(lambda: self._store.check([f"{gate}/open"])):
            self.check()
            time.sleep(_POLL)

    def _ask(self, question: Any) -> Any:
        try:
            return question()
        except RuntimeError:
            self._reason = self._reason or _cut_off()
            raise self._error() from None

    def _set(self, key: str, value: str) -> None:
        self._ask(lambda: self._store.set(key, value))

    def _get(self, key: str) -> str:
        """A value; "" if there is none, for which a store would wait."""
        return _decoded(self._store.get(key)) if self._store.check([key]) else ""

    def _numbers(self) -> dict[int, str]:
        """What the others have counted to; empty without a store."""
        others = [rank for rank in range(self._count) if rank != self._me.rank]
        with suppress(RuntimeError):
            return {rank: self._get(f"beat/{rank}") for rank in others}
        return {}

    def _member(self, rank: int) -> Member:
        try:
            return Member(**json.loads(self._get(f"member/{rank}")))
        except (RuntimeError, ValueError):
            return Member(rank, "an unknown machine", "", "", "")

    def _error(self) -> PicieError:
        return PicieError(f"{self._reason}; {self.advice}")


def _gone(member: Member) -> str:
    return (
        f"{member} of this run has fallen silent: killed (out of memory?), or its machine or "
        "network is down"
    )


def _cut_off() -> str:
    host, port = (os.environ.get(name, "?") for name in ("MASTER_ADDR", "MASTER_PORT"))
    return (
        f"another process of this run has ended, for nothing answers at {host}:{port} any more, "
        "where the processes meet"
    )


def _text(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return f"was stopped by {error}" if str(error) else "was stopped"
    name = "" if isinstance(error, PicieError) else f"{type(error).__name__}: "
    return f"stopped: {name}{_first_line(error)}"


def _first_line(error: BaseException) -> str:
    return "".join(str(error).splitlines()[:1])


def _decoded(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
