"""Full disks: one line says so, what was there stays, and with more space the work goes on."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.storm.field import Command, Field, Outcome, Tally, is_calm, tree

__all__ = ["storms"]

SIZES = ("64k", "400k", "2m")
FORMATS = ("png", "coco", "voc", "cvat", "labelstudio", "yolo", "cityscapes", "huggingface")


def storms(field: Field) -> Iterator[Tally]:
    """One tally for all verbs."""
    tally = Tally("full disk of 64 kB to 2 MB, then more space: every verb")
    if os.geteuid() != 0 or shutil.which("mount") is None:
        tally.skipped = "mounting a small disk needs root"
    else:
        try:
            for size in SIZES[-field.times(len(SIZES)) :]:
                _try(field, tally, size)
        except subprocess.CalledProcessError as error:
            tally.skipped = f"a small disk cannot be mounted here ({error.stderr.strip()})"
    yield tally


def commands(field: Field) -> list[Command]:
    """Every verb that writes, with OUT for a path on the disk."""
    named, photos = field.named, field.photos
    lean = ("--quiet", "--device=cpu")
    found = [
        field.train(Path("OUT/run")),
        field.predict(named, photos, Path("OUT/masks"), "--overlay"),
        Command(["name", Path("OUT/model"), "--set", "0=water", "--quiet"]),
        Command(["evaluate", named, field.labelled, "--json", Path("OUT/scores.json"), *lean]),
        Command(["evaluate", named, field.labelled, "--confusion", Path("OUT/matrix.png"), *lean]),
        Command(["report", named, photos, "--out", Path("OUT/report.html"), *lean]),
        Command(["export", named, "--model", "torch", "--out", Path("OUT/model.pt2"), *lean]),
        Command(["export", named, "--model", "onnx", "--out", Path("OUT/model.onnx"), *lean]),
        Command(["bench", field.root / "suite.toml", "--out", Path("OUT/bench"), "--quiet"]),
    ]
    return found + [
        Command(["export", named, "--format", form, "--images", photos, "--out",
                 Path(f"OUT/{form}"), "--workers=0", *lean])
        for form in FORMATS
    ]  # fmt: skip


def _try(field: Field, tally: Tally, size: str) -> None:
    """Run each command on a full disk of its own, and once more when it has space."""
    with ExitStack() as disks:
        trials = []
        for command in commands(field):
            folder = field.new("disk")
            disks.enter_context(_disk(folder, size))
            if "name" not in command.args or _with_model(field, folder):
                trials.append((folder, command, tree(folder / "model")))
        outcomes = field.do_all([_on(command, folder) for folder, command, _ in trials])
        for (folder, command, before), outcome in zip(trials, outcomes, strict=True):
            problem = is_calm(outcome)
            if not problem and outcome.code and before and tree(folder / "model") != before:
                problem = "changed what was there"
            left = [name for name in tree(folder) if "ballast" not in name]
            subprocess.run(["mount", "-o", "remount,size=200m", folder], check=True)
            again = _again(field, command, outcome, folder)
            if again is not None and not problem and (problem := is_calm(again, (0,))):
                problem = f"{problem} with more space (left: {left[:3]!a})"
            tally.note(problem, f"{size} {outcome} THEN {again}")


def _with_model(field: Field, folder: Path) -> bool:
    """Fill a disk with a model and what is left; False if the model does not fit."""
    try:
        shutil.copytree(field.named, folder / "model")
    except (OSError, shutil.Error):
        return False
    (folder / "ballast").write_bytes(bytes(_free(folder)))
    return True


def _again(field: Field, command: Command, outcome: Outcome, folder: Path) -> Outcome | None:
    """What the message advises: the same command, or to resume."""
    if outcome.code == 0:
        return None
    again = field.do(_on(command, folder))
    if "train" in command.args and f"--resume {folder / 'run'}" in again.err:
        return field.do(Command(["train", "--resume", folder / "run", "--quiet"]))
    return again


def _on(command: Command, folder: Path) -> Command:
    return Command(
        [folder / arg.relative_to("OUT") if isinstance(arg, Path) and arg.parts[:1] == ("OUT",)
         else arg for arg in command.args]
    )  # fmt: skip


def _free(folder: Path) -> int:
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize


@contextmanager
def _disk(folder: Path, size: str) -> Iterator[None]:
    """A disk in memory of this size at the folder."""
    options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs"]
    subprocess.run(["mount", *options, folder], check=True, capture_output=True, text=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
