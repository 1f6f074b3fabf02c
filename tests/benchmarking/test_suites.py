"""The suites in benchmarks/: they can be read, and the smallest one runs."""

import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from picie.benchmarking.plan import plan
from picie.benchmarking.running import open_benchmark
from picie.benchmarking.standing import State
from picie.benchmarking.suite_file import read_suite
from picie.config import Config
from picie.progress import Reporter

SUITES = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.toml"))
NAMES = {"camvid", "cityscapes", "cocostuff27", "msrc", "smoke"}
OWN = {"name", "preset", "seeds", "backbones", "path", "synthetic", "train", "eval", "dataset"}
FAST = 180  # seconds


def test_all_are_there() -> None:
    assert {path.stem for path in SUITES} == NAMES


def readable(path: Path, folder: Path) -> Path:
    """The suite without the systems, and the layouts, that this version does not know yet."""
    values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    known = OWN | set(Config.model_fields)
    values["systems"] = [
        system for system in values["systems"] if set(system) <= known and _allowed(system)
    ]
    for data in values["data"]:
        if "dataset" not in Config.model_fields:
            data.pop("dataset", None)
    written = folder / path.name
    written.write_text(tomli_w.dumps(values), encoding="utf-8")
    return written


def _allowed(system: dict[str, Any]) -> bool:
    rule = system.get("logit_rule", "cosine")
    return rule in str(Config.model_fields["logit_rule"].annotation)


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_suite_can_be_read(path: Path, tmp_path: Path) -> None:
    written = readable(path, tmp_path)
    if not tomllib.loads(written.read_text())["systems"]:
        pytest.skip("this version knows none of its systems yet")
    suite = read_suite(written)
    jobs = plan(suite, root=tmp_path, out=tmp_path / "out")
    assert len(jobs) == len(suite.systems) * len(suite.grid.seeds)
    assert suite.evaluate["size"] == (32 if path.stem == "smoke" else 320)


@pytest.mark.parametrize("name", ["camvid", "msrc"])
def test_trained_systems_see_the_same_pictures_as_often(name: str) -> None:
    [path] = [path for path in SUITES if path.stem == name]
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    seen = {"size", "base_size", "batch_size", "epochs"}
    assert seen <= set(values["defaults"])
    trained = [one for one in values["systems"] if one.get("epochs") != 0]
    assert len(trained) == len(values["systems"]) - 2
    assert [one["name"] for one in trained if seen & set(one)] == []


def test_the_smoke_suite_runs(tmp_path: Path) -> None:
    [path] = [path for path in SUITES if path.stem == "smoke"]
    began = time.monotonic()
    bench = open_benchmark(readable(path, tmp_path), tmp_path / "out")
    assert bench.run(Reporter(quiet=True)) == []
    assert time.monotonic() - began < FAST
    assert {bench.standing(job).state for job in bench.jobs} == {State.DONE}
    assert (tmp_path / "out" / "table.html").stat().st_size > 10_000
