"""Long work that a person ordered: one at a time, with progress, and an end at any moment.

Most of it is a command of picie in a process of its own, so that the page stays quick and nothing
it does can harm the server. What a job writes lies in a hidden folder until it is complete, then
gets a free name beside it: nothing is ever replaced, and nothing half-written is left.
"""

import contextlib
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from picie.errors import ConfigError, PicieError
from picie.runtime.files import PART, writing
from picie.runtime.progress import PLAIN_SECONDS

__all__ = ["Cancelled", "Job", "Jobs", "State", "free_name", "settle", "shown", "staged"]

State = Literal["waiting", "running", "done", "failed", "cancelled"]

_LOG = logging.getLogger("picie.studio")
_PROGRESS = re.compile(r"(?P<label>.+): (?P<done>\d+)/(?P<total>\d+) (?P<note>.*)\(-?\d+ s left\)")
_ERROR = re.compile(r"[\w.-]+: error: (?P<text>.+)")
_INTERVAL = "0.3"  # seconds between lines of progress
_PATIENCE = 10.0  # seconds from the request to end until a process is killed
_MOST_WAITING = 20
_MOST_KEPT = 50  # jobs that have ended
_MOST_LINES = 100
_MOST_LINE = 4096  # characters
_STALE = 86_400.0  # seconds; then no process of a killed server writes to a folder any more
_STAGES = "job-"


class Cancelled(Exception):
    """A person has cancelled the job."""


@dataclass
class Job:
    """One order.

    Attributes:
        id: number, as text.
        kind: export, model, report, teach, labelled or train.
        label: what it is, in a few words.
        state: waiting, running, done, failed or cancelled.
        done: units of work that are finished.
        total: all units of work; 0 = unknown.
        message: what it does at the moment, or why it failed.
        out: folder or file that it wrote.
        file: the result, if it is a single file.
        command: what does the same on the command line.
        lines: the last ones that its processes wrote.
    """

    id: str
    kind: str
    label: str
    work: Callable[["Job"], None]
    tell: Callable[["Job"], None]
    state: State = "waiting"
    done: int = 0
    total: int = 0
    message: str = ""
    out: Path | None = None
    file: Path | None = None
    command: str = ""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_MOST_LINES))
    began: float = 0.0
    ended: float = 0.0
    _cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def over(self) -> bool:
        """Whether it has ended in any way."""
        return self.state in ("done", "failed", "cancelled")

    def to_json(self) -> dict[str, Any]:
        """Plain values for the page."""
        end = self.ended or time.time()
        return {
            "id": self.id,
            "kind": self.kind,
            "label": self.label,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "message": self.message,
            "out": None if self.out is None else str(self.out),
            "file": None if self.file is None else self.file.name,
            "command": self.command,
            "seconds": round(end - self.began, 1) if self.began else 0,
        }

    def check(self) -> None:
        """Stop here if the job was cancelled.

        Raises:
            Cancelled: it was.
        """
        if self._cancelled.is_set():
            raise Cancelled

    def advance(self, done: int, total: int, message: str = "") -> None:
        """Show how far it is, and go on unless it was cancelled.

        Args:
            done: finished units.
            total: all units.
            message: what is being done; "" = as before.

        Raises:
            Cancelled: it was.
        """
        self.check()
        self.done, self.total = done, total
        self.message = message or self.message
        self.tell(self)

    def call(
        self,
        arguments: Sequence[str],
        *,
        module: str = "picie",
        progress: Callable[[str, int, int], tuple[int, int]] | None = None,
    ) -> None:
        """Run a command of picie, and follow its progress.

        Args:
            arguments: verb and flags.
            module: what `python -m` runs.
            progress: from label, done and total of a line to those of the job; None = as they are.

        Raises:
            Cancelled: the job was cancelled; the command has ended.
            PicieError: it failed; the message is its own.
        """
        self.check()
        process = _start([module, *arguments])
        watcher = threading.Thread(target=_end_on, args=[process, self._cancelled], daemon=True)
        watcher.start()
        problem = ""
        try:
            for line in _lines(process):
                self.lines.append(line)
                problem = self._follow(line, progress) or problem
            code = process.wait()
        finally:
            _end(process)
        self.check()
        if code:
            raise PicieError(problem or f"it ended with code {code}: {' '.join(self.lines)[-500:]}")

    def _follow(
        self, line: str, progress: Callable[[str, int, int], tuple[int, int]] | None
    ) -> str:
        """Take progress from a line; returns the text of an error."""
        error = _ERROR.fullmatch(line)
        if error is not None:
            return error["text"]
        match = _PROGRESS.fullmatch(line)
        if match is not None:
            done, total = int(match["done"]), int(match["total"])
            if progress is not None:
                done, total = progress(match["label"], done, total)
            self.done, self.total = done, total
        self.message = line
        self.tell(self)
        return ""


class Jobs:
    """The orders of one studio, in their order.

    Args:
        tell: called with plain values of a job whenever it changes, from any thread.
    """

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._number = 0
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._thread.start()

    @property
    def all(self) -> list[dict[str, Any]]:
        """Plain values of all jobs, oldest first."""
        with self._changed:
            return [job.to_json() for job in self._jobs.values()]

    def get(self, number: str) -> Job | None:
        """The job of a number."""
        with self._changed:
            return self._jobs.get(number)

    def add(self, kind: str, label: str, work: Callable[[Job], None], *, command: str = "") -> Job:
        """Order something.

        Args:
            kind: of the job.
            label: what it is, in a few words.
            work: does it, in another thread; calls `Job.check` or `Job.advance` now and then.
            command: what does the same on the command line.

        Raises:
            ConfigError: too many jobs wait, or the server ends.
        """
        with self._changed:
            if self._stopped or len(self._waiting) >= _MOST_WAITING:
                raise ConfigError("too many jobs wait; cancel some, or wait until they are done")
            self._number += 1
            tell: Callable[[Job], None] = lambda job: self._tell(job.to_json())  # noqa: E731
            job = Job(str(self._number), kind, label, work, tell, command=command)
            self._jobs[job.id] = job
            self._waiting.append(job)
            for old in [one for one in self._jobs.values() if one.over][:-_MOST_KEPT]:
                del self._jobs[old.id]
            self._changed.notify_all()
        job.tell(job)
        return job

    def busy(self, *kinds: str) -> bool:
        """Whether a job of these kinds runs or waits."""
        with self._changed:
            return any(not job.over and job.kind in kinds for job in self._jobs.values())

    def cancel(self, number: str) -> None:
        """End a job; it has ended when its state says so. One that is over stays as it is."""
        with self._changed:
            job = self._jobs.get(number)
            if job is None or job.over:
                return
            job._cancelled.set()
            waited = job in self._waiting
            if waited:
                self._waiting.remove(job)
                job.state, job.message = "cancelled", ""
        job.tell(job)

    def stop(self) -> None:
        """Cancel everything, and wait until it has ended."""
        with self._changed:
            self._stopped = True
            numbers = list(self._jobs)
            self._changed.notify_all()
        for number in numbers:
            self.cancel(number)
        self._thread.join(_PATIENCE + 2)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._waiting)
                if not self._waiting:
                    return
                job = self._waiting.popleft()
                job.state, job.began = "running", time.time()
            job.tell(job)
            state, message = _outcome(job)
            with self._changed:
                job.ended, job.message, job.state = time.time(), message, state
            job.tell(job)


def _outcome(job: Job) -> tuple[State, str]:
    """Do the work of a job; its last state, and what there is to say."""
    try:
        job.check()
        job.work(job)
    except Cancelled:
        return "cancelled", ""
    except PicieError as error:
        return "failed", str(error)
    except Exception as error:
        _LOG.exception("%s failed", job.label)
        return "failed", f"unexpected {type(error).__name__}: {error}"
    return "done", job.message


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A hidden folder inside another one, which is removed at the end with all that is left in it.

    Args:
        folder: where results go; it is created. What killed servers left in it a day ago is
            removed.

    Raises:
        PicieError: it cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob(f"{PART}{_STAGES}*"):
            if time.time() - path.stat().st_mtime > _STALE and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
        stage = folder / f"{PART}{_STAGES}{os.getpid()}-{time.monotonic_ns()}"
        stage.mkdir()
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def settle(result: Path, folder: Path) -> Path:
    """Move a complete result to a free name in a folder: its own, else with a number.

    Args:
        result: a folder in a folder of `staged`.
        folder: where it goes.

    Returns:
        its new path.

    Raises:
        PicieError: it cannot be written.
    """
    with writing(folder):
        while True:
            target = free_name(folder / result.name)
            try:
                target.mkdir()  # from now on it is ours; and an empty folder may be replaced
            except FileExistsError:
                continue
            if os.name == "nt":
                target.rmdir()
            os.replace(result, target)
            return target


def free_name(path: Path) -> Path:
    """The path, or one with a number at its end: report, report-2, report-3."""
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def shown(arguments: Sequence[str]) -> str:
    """A command as a person types it."""
    return shlex.join(["picie", *arguments])


def _start(command: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Start a command in a group of its own, so that Ctrl-C in the terminal does not reach it."""
    environment = os.environ | {PLAIN_SECONDS: _INTERVAL, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "picie.studio.child", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )


def _lines(process: "subprocess.Popen[bytes]") -> Iterator[str]:
    output: IO[bytes] | None = process.stdout
    assert output is not None
    while line := output.readline(_MOST_LINE):
        text = line.decode(errors="replace").strip()
        if text:
            yield text


def _end_on(process: "subprocess.Popen[bytes]", cancelled: threading.Event) -> None:
    """End a process when its job is cancelled."""
    while process.poll() is None:
        if cancelled.wait(0.2):
            _end(process)
            return


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end, and kill it with all that it started if it does not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            _kill(process)
            process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
