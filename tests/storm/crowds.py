"""Several processes write to one place: each succeeds as if alone, or is refused in one line."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.storm.field import RESULT, Command, Field, Outcome, Tally, difference, is_calm

__all__ = ["storms"]


def storms(field: Field) -> Iterator[Tally]:
    """One tally per verb."""
    yield names(field)
    yield trainings(field)
    yield folders(field)


def names(field: Field) -> Tally:
    """Of 20 names that are set at once, none whose command succeeds is lost."""
    tally = Tally("20 picie name --set at once: no name is lost")
    from picie.models.class_names import read_classes

    for _ in range(field.times(2)):
        model = field.new("model") / "model"
        shutil.copytree(field.run, model)
        commands = [
            Command(["name", model, "--set", f"n{number % 8}=class {number}", "--quiet"])
            for number in range(20)
        ]
        outcomes = field.do_all(commands, at_once=20)
        found = {one.name for one in read_classes(model / "classes.toml").merged}
        # A later command may take the node from an earlier one, whose class stays without it.
        for number, outcome in enumerate(outcomes):
            lost = outcome.code == 0 and f"class {number}" not in found
            tally.note("is lost" if lost else is_calm(outcome), outcome)
    return tally


def trainings(field: Field) -> Tally:
    """Two trainings or two resumes of one folder: the result is that of one."""
    tally = Tally("2 trainings, 2 with --overwrite, 2 --resume of one folder")
    for _ in range(field.times(2)):
        out = field.new("run") / "run"
        _judge(
            tally, field.do_all([field.train(out)] * 2), difference(out, field.run, names=RESULT)
        )
        outcomes = field.do_all([field.train(out, "--overwrite")] * 2)
        _judge(tally, outcomes, difference(out, field.run, names=RESULT))
        cut = field.new("run") / "run"
        field.do(Command(field.train(cut).args, kill_at=24))
        if not (cut / "config.toml").is_file():
            continue
        outcomes = field.do_all([Command(["train", "--resume", cut, "--quiet"])] * 2)
        _judge(tally, outcomes, difference(cut, field.run, names=RESULT))
    return tally


def folders(field: Field) -> Tally:
    """Two predicts, exports, reports or benches into one place."""
    tally = Tally("2 predicts, 2 exports, 2 reports, 2 benches into one place")
    lean = ("--quiet", "--device=cpu")
    kinds: dict[str, Sequence[str | Path]] = {
        "masks": field.predict(field.named, field.photos, Path("OUT")).args,
        "coco": ["export", field.named, "--format", "coco", "--images", field.photos, *lean],
        "report.html": ["report", field.named, field.photos, *lean],
        "bench": ["bench", field.root / "suite.toml", "--quiet"],
    }
    for name, args in kinds.items():
        alone = field.new(name) / name
        field.do(_into(args, alone))
        for _ in range(field.times(2)):
            out = field.new(name) / name
            outcomes = field.do_all([_into(args, out)] * 2)
            if name == "masks":
                problem = difference(out, alone)
            elif name == "coco":
                problem = difference(out, alone, names=("annotations.json",))
            elif name == "bench":
                table = (out / "table.md").read_text()
                problem = "" if table.count("| tiny | 1 |") == 1 else f"other lines in {table!a}"
            else:
                problem = "" if out.stat().st_size == alone.stat().st_size else "another page"
            _judge(tally, outcomes, problem)
    return tally


def _judge(tally: Tally, outcomes: Sequence[Outcome], problem: str) -> None:
    """At least one succeeds, the others say why not, and the result is whole."""
    problem = problem or "".join(is_calm(outcome) for outcome in outcomes)
    if all(outcome.code for outcome in outcomes):
        problem = problem or "none succeeds"
    tally.note(problem, " AND ".join(map(str, outcomes)))


def _into(args: Sequence[str | Path], out: Path) -> Command:
    args = list(args)
    if Path("OUT") in args:
        return Command([out if arg == Path("OUT") else arg for arg in args])
    return Command([*args, "--out", out])
