"""What every storm needs: commands in processes of their own, a tiny model, and tallies.

The imports of picie take seconds, so that commands run in forks of a process that has imported
everything and computed nothing. Each begins like a new `picie`.
"""

import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

__all__ = ["RESULT", "Command", "Field", "Outcome", "Tally", "difference", "is_calm", "tree"]

MEMORY = 3_000  # MB that a command may take; the imports alone take 500
SECONDS = 120.0
TINY = (
    *("--backbone=test_efficientnet", "--no-pretrained", "--feature-size=8", "--size=32"),
    *("--base-size=40", "--batch-size=3", "--clusters=3", "--overclusters=8", "--epochs=2"),
    *("--kmeans-pixels=16", "--learning-rate=0.01", "--workers=0", "--device=cpu", "--quiet"),
)
"""Settings of a training of half a second."""

RESULT = ("model.safetensors", "config.json", "health.json", "metrics.jsonl", "config.toml")
"""Files of a run that do not depend on the time."""

SUITE = """\
title = "A small suite"

[defaults]
clusters = 3
epochs = 1
size = 32
base_size = 40
batch_size = 3
feature_size = 8
overclusters = 8
kmeans_pixels = 16
pretrained = false
workers = 0
device = "cpu"

[[data]]
name = "tiny scenes"
synthetic = { train = 3, val = 2, size = [48, 64] }

[[systems]]
name = "tiny"

[grid]
seeds = [0]
backbones = ["test_efficientnet"]
"""


@dataclass(frozen=True)
class Command:
    """A command line of picie, and what disturbs it.

    Attributes:
        args: after `picie`.
        kill_at: kill the process at this call, from 1, that flushes or renames a file; 0 = never.
        after: kill it after the call instead of before.
        kill_in: kill it after so many seconds; 0 = never.
        count: file for the number of these calls; None = none.
        run: called instead of picie.
    """

    args: Sequence[str | Path]
    kill_at: int = 0
    after: bool = False
    kill_in: float = 0.0
    count: Path | None = None
    run: Callable[[], object] | None = None


@dataclass(frozen=True)
class Outcome:
    """How a command ended: exit code or minus the signal, its output, seconds, memory in MB."""

    command: Command
    code: int
    out: str
    err: str
    seconds: float
    memory: float

    @property
    def text(self) -> str:
        """What it printed."""
        return self.out + self.err

    def __str__(self) -> str:
        args = " ".join(map(str, self.command.args))[:300]
        said = self.text.strip()[-400:]
        return f"{args!a}: {self.code} in {self.seconds:.1f} s, {self.memory:.0f} MB: {said!a}"


def is_calm(outcome: Outcome, codes: Iterable[int] = (0, 1, 2)) -> str:
    """Why an outcome is not one of a command that works, or refuses in one line; "" if it is."""
    if outcome.code not in codes:
        return f"exit code {outcome.code}"
    for word in ("Traceback", "unexpected ", "Logging error", "Warning:"):
        if word in outcome.text:
            return f"says {word!r}"
    if outcome.code in (1, 2) and "error: " not in outcome.err:
        return "fails without a message"
    if any(not line.isprintable() for line in outcome.text.split("\n")):
        return "prints control characters"
    if outcome.seconds > SECONDS:
        return "takes too long"
    if outcome.memory > MEMORY:
        return "takes too much memory"
    return ""


@dataclass
class Tally:
    """How many of a kind were tried, and what fell."""

    kind: str
    tried: int = 0
    fallen: list[str] = field(default_factory=list)
    skipped: str = ""

    def note(self, problem: str, outcome: object = "") -> None:
        """Count one; `problem` is "" if it stood."""
        self.tried += 1
        if problem:
            self.fallen.append(f"{problem}: {outcome}")


@dataclass
class Field:
    """A folder with photos, a labelled folder, a run and its model, for all storms.

    Attributes:
        root: an empty folder.
        seed: of all random draws.
        count: how many times as much is tried.
        parallel: processes at once.
    """

    root: Path
    seed: int = 0
    count: float = 1.0
    parallel: int = 2

    def __post_init__(self) -> None:
        self.photos, self.labelled = self.root / "photos", self.root / "scenes"
        self.run, self.named = self.root / "run", self.root / "named"

    def draws(self, what: str) -> random.Random:
        """Random draws of one storm."""
        return random.Random(f"{self.seed} {what}")

    def times(self, number: int) -> int:
        """A number of trials, scaled."""
        return max(1, round(number * self.count))

    def new(self, name: str) -> Path:
        """A path that does not exist."""
        folder = self.root / "trials"
        folder.mkdir(exist_ok=True)
        numbers = len(list(folder.iterdir()))
        while (path := folder / f"{name}{numbers}").exists():
            numbers += 1
        path.mkdir()
        return path

    def clear(self) -> None:
        """Remove what the trials of a storm left."""
        shutil.rmtree(self.root / "trials", ignore_errors=True)

    def train(self, out: Path, *more: str) -> Command:
        """A short training on the photos."""
        return Command(["train", self.photos, "--out", out, *TINY, *more])

    def predict(self, model: Path, photos: Path, out: Path, *more: str) -> Command:
        """Masks of a folder."""
        places: list[str | Path] = ["predict", model, photos, "--out", out]
        return Command([*places, "--workers=0", "--device=cpu", *more])

    def prepare(self) -> None:
        """Write photos and labels, and train the model."""
        import_everything()
        scenes = Command([], run=lambda: write_all(self.labelled, self.photos))
        for command in (scenes, self.train(self.run)):
            must(self.do(command))
        (self.root / "suite.toml").write_text(SUITE)
        shutil.copytree(self.run, self.named)
        must(self.do(Command(["name", self.named, "--set", "0=road", "1=sky", "--quiet"])))

    def do(self, command: Command) -> Outcome:
        """Run one command to its end."""
        return self.do_all([command])[0]

    def do_all(self, commands: Sequence[Command], *, at_once: int = 0) -> list[Outcome]:
        """Run commands, several at once, to their end.

        Args:
            commands: in the order of their start.
            at_once: number of processes; 0 = `parallel`.
        """
        waiting = list(enumerate(commands))
        running: dict[int, tuple[int, float]] = {}
        found: dict[int, Outcome] = {}
        while waiting or running:
            while waiting and len(running) < (at_once or self.parallel):
                number, command = waiting.pop(0)
                running[_start(command, self.root / f"log{number}")] = number, time.monotonic()
            for process, (number, began) in list(running.items()):
                outcome = _ended(process, commands[number], began, self.root / f"log{number}")
                if outcome is not None:
                    found[number] = outcome
                    del running[process]
            time.sleep(0.003)
        return [found[number] for number in range(len(commands))]


def must(outcome: Outcome) -> None:
    """Stop the storm if its preparation fails."""
    if outcome.code:
        raise SystemExit(f"the storm cannot begin: {outcome}")


def import_everything() -> None:
    """Import what commands need, so that forks have it."""
    from importlib import import_module

    from picie.cli.parsing import VERBS

    for verb in VERBS:
        import_module(f"picie.cli.{verb}")
    for name in ("accelerate", "timm", "picie.training.loop", "torchvision"):
        import_module(name)


def write_all(labelled: Path, photos: Path) -> None:
    """Twelve photos, and six of them with labels."""
    from picie.data.synthetic.scenes import write_scenes

    write_scenes(labelled, train=6, val=6, size=(48, 64))
    photos.mkdir()
    for number, path in enumerate(sorted((labelled / "images").iterdir())):
        kind = (".jpg", ".png", ".webp")[number % 3]
        with Image.open(path) as image:
            image.save(photos / f"{path.stem}{kind}")


def _start(command: Command, log: Path) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        return process
    code = 70
    try:
        for stream, suffix in ((1, ".out"), (2, ".err")):
            file = os.open(log.with_suffix(suffix), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(file, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        code = _run(command)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(command: Command) -> int:
    import torch

    from picie.cli.app import main

    torch.set_num_threads(1)
    sys.argv = ["picie"]
    _watch_files(command)
    try:
        if command.run is not None:
            command.run()
        else:
            main([str(arg) for arg in command.args])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _watch_files(command: Command) -> None:
    """Count the calls that make files durable or visible, and kill the process at one of them."""
    calls = 0

    def watched(name: str) -> Callable[..., object]:
        plain = getattr(os, name)

        def call(*args: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if command.count is not None:
                command.count.write_text(str(calls))
            if calls == command.kill_at and not command.after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = plain(*args, **options)
            if calls == command.kill_at and command.after:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    if command.kill_at or command.count is not None:
        for name in ("fsync", "replace", "rename", "link", "unlink", "mkdir", "rmdir"):
            setattr(os, name, watched(name))


def _ended(process: int, command: Command, began: float, log: Path) -> Outcome | None:
    """How a process ended; None if it runs."""
    seconds = time.monotonic() - began
    if seconds > SECONDS or (command.kill_in and seconds > command.kill_in):
        os.kill(process, signal.SIGKILL)
    found, status, used = os.wait4(process, os.WNOHANG)
    if not found:
        return None
    said = [
        log.with_suffix(suffix).read_bytes().decode("utf-8", "surrogateescape")
        for suffix in (".out", ".err")
    ]
    code = os.waitstatus_to_exitcode(status)
    return Outcome(command, code, said[0], said[1], seconds, used.ru_maxrss / 1000)


def tree(folder: Path) -> dict[str, bytes]:
    """The files of a folder by their path; hidden locks do not count."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith((".picie-lock-", ".picie-export"))
    }


def difference(found: Path, wanted: Path, *, names: Iterable[str] = ()) -> str:
    """How the files of two folders differ; "" if they are equal. Times in lists do not count.

    Args:
        found: a folder.
        wanted: another.
        names: files to compare, if not all.
    """
    one, other = tree(found), tree(wanted)
    if names:
        one, other = ({k: v for k, v in files.items() if k in names} for files in (one, other))
    if one.keys() != other.keys():
        return f"other files: {sorted(one.keys() ^ other.keys())[:4]!a}"
    for name, data in one.items():
        if data != other[name] and _timeless(data) != _timeless(other[name]):
            return f"{name!a} differs"
    return ""


def _timeless(data: bytes) -> object:
    """JSON lines without what depends on the clock, or on the number of attempts."""
    try:
        lines = [json.loads(line) for line in data.splitlines()]
    except ValueError:
        return data
    plain = [_without(line, ("seconds", "since", "date", "finished")) for line in lines]
    # Of a list of masks the last line of an image counts.
    return {line.get("image", str(line)): line for line in plain if isinstance(line, dict)}


def _without(value: Any, keys: Sequence[str]) -> Any:
    if isinstance(value, dict):
        return {k: _without(one, keys) for k, one in value.items() if k not in keys}
    return value
