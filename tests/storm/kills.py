"""Processes killed at any time: what was written is whole, and the work goes on."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.storm.field import RESULT, Command, Field, Tally, difference, is_calm, tree

__all__ = ["storms"]


def storms(field: Field) -> Iterator[Tally]:
    """One tally per verb."""
    yield training(field)
    yield predicting(field)
    yield naming(field)
    yield exporting(field)


def training(field: Field) -> Tally:
    """`train` and `train --resume`: the result has the bytes of the uninterrupted run."""
    tally = Tally("train, resume: killed at each write, and at random times")
    commands = disturbed(field, field.train(Path("OUT")), field.times(16), "train")
    outs = [field.new("run") / "run" for _ in commands]
    field.do_all([at(command, out) for command, out in zip(commands, outs, strict=True)])
    draws = field.draws("resumes")
    for out in outs:
        tally.note(*_resumed(field, out, kills=draws.choice((0, 0, 1, 2)), draws_at=draws.random()))
    return tally


def _resumed(field: Field, out: Path, *, kills: int, draws_at: float) -> tuple[str, object]:
    """Resume, or start again where nothing was begun, until it is done; kill it before."""
    resume = Command(["train", "--resume", out, "--quiet"])
    for number in range(kills):
        field.do(replace(resume, kill_at=1 + int(draws_at * 20 * (number + 1)) % 20))
    outcome = field.do(resume)
    if outcome.code and not (out / "config.toml").is_file():
        outcome = field.do(field.train(out))
    problem = is_calm(outcome, (0,)) or difference(out, field.run, names=RESULT)
    left = [name for name in tree(out.parent) if ".part-" in name]
    return problem or (f"left {left}" if left else ""), outcome


def predicting(field: Field) -> Tally:
    """`predict`: the same command goes on, and gives the same masks."""
    tally = Tally("predict: killed at each write, and at random times")
    whole = field.new("masks") / "whole"
    field.do(field.predict(field.named, field.photos, whole, "--overlay"))
    command = field.predict(field.named, field.photos, Path("OUT"), "--overlay")
    commands = disturbed(field, command, field.times(12), "predict")
    outs = [field.new("masks") / "masks" for _ in commands]
    field.do_all([at(command, out) for command, out in zip(commands, outs, strict=True)])
    again = field.do_all([at(command, out) for out in outs])
    for out, outcome in zip(outs, again, strict=True):
        tally.note(is_calm(outcome, (0,)) or difference(out, whole), outcome)
    return tally


def naming(field: Field) -> Tally:
    """`name`: the file holds the old names or the new ones, and the next change works."""
    tally = Tally("name: killed at each write")
    plain = Command(["name", Path("OUT"), "--set", "0=water", "--quiet"])
    commands = disturbed(field, plain, field.times(8), "name", source=field.named)
    outs = [_copy(field) for _ in commands]
    before = (field.named / "classes.toml").read_bytes()
    after = _copy(field)
    field.do(at(plain, after))
    field.do_all([at(command, out) for command, out in zip(commands, outs, strict=True)])
    for out in outs:
        found = (out / "classes.toml").read_bytes()
        whole = found in (before, (after / "classes.toml").read_bytes())
        outcome = field.do(at(plain, out))
        problem = is_calm(outcome, (0,)) or difference(out, after, names=("classes.toml",))
        tally.note(problem or ("" if whole else "a broken classes.toml"), outcome)
    return tally


def exporting(field: Field) -> Tally:
    """`export`: a folder appears complete or not at all, and the same command works again."""
    tally = Tally("export: killed at each write, and at random times")
    for form in ("coco", "png"):
        plain = Command(
            ["export", field.named, "--images", field.photos, "--format", form, "--out",
             Path("OUT"), "--workers=0", "--quiet"]
        )  # fmt: skip
        whole = field.new("export") / "whole"
        field.do(at(plain, whole))
        commands = disturbed(field, plain, field.times(6), f"export {form}")
        outs = [field.new("export") / "whole" for _ in commands]
        field.do_all([at(command, out) for command, out in zip(commands, outs, strict=True)])
        for out in outs:
            begun = out.exists()
            problem = difference(out, whole) if begun else ""
            outcome = field.do(at(plain, out) if not begun else at(plain, out, "--overwrite"))
            problem = problem or is_calm(outcome, (0,)) or difference(out, whole)
            left = [path.name for path in out.parent.iterdir() if path.name.startswith(".part-")]
            tally.note(problem or (f"left {left}" if left else ""), outcome)
    return tally


def disturbed(
    field: Field, command: Command, number: int, what: str, source: Path | None = None
) -> list[Command]:
    """The command, killed around its calls that write, and at random times.

    Args:
        field: of the storm.
        command: with the path OUT.
        number: of commands, one half for each kind.
        what: names the draws.
        source: folder that OUT is a copy of.
    """
    draws, folder = field.draws(what), field.new("count")
    out = folder / "out"
    if source is not None:
        shutil.copytree(source, out)
    outcome = field.do(replace(at(command, out), count=folder / "calls"))
    calls = int((folder / "calls").read_text())
    places = list(range(1, calls + 1))
    draws.shuffle(places)
    killed = [
        replace(command, kill_at=place, after=draws.random() < 0.5)
        for place in places[: (number + 1) // 2]
    ]
    rest = number - len(killed)
    times = [outcome.seconds * draws.random() for _ in range(rest)]
    return killed + [replace(command, kill_in=max(seconds, 0.01)) for seconds in times]


def at(command: Command, out: Path, *more: str) -> Command:
    """The command with its output."""
    args = [out if arg == Path("OUT") else arg for arg in command.args]
    return replace(command, args=[*args, *more])


def _copy(field: Field) -> Path:
    out = field.new("named") / "named"
    shutil.copytree(field.named, out)
    return out
