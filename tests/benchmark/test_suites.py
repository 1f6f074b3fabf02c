"""The suites in benchmarks/: they can be read, and the smallest one runs."""

import tomllib
from pathlib import Path

import pytest

from picie.benchmark.plan import plan
from picie.benchmark.records import State
from picie.benchmark.run import open_benchmark
from picie.benchmark.suite import read_suite
from picie.runtime.progress import Reporter

SUITES = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.toml"))
NAMES = {"camvid", "camvid_short", "cityscapes", "cocostuff27", "msrc", "msrc_short", "smoke"}


def test_all_are_there() -> None:
    assert {path.stem for path in SUITES} == NAMES


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_suite_can_be_read(path: Path, tmp_path: Path) -> None:
    suite = read_suite(path)
    jobs = plan(suite, root=tmp_path, out=tmp_path / "out")
    assert len(jobs) == len(suite.systems) * len(suite.grid.seeds)
    assert suite.evaluate["size"] == (32 if path.stem == "smoke" else 320)


@pytest.mark.parametrize("name", ["camvid", "msrc"])
def test_trained_systems_see_the_same_images_as_often(name: str) -> None:
    [path] = [path for path in SUITES if path.stem == name]
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    seen = {"size", "base_size", "batch_size", "epochs"}
    assert seen <= set(values["defaults"])
    trained = [one for one in values["systems"] if one.get("epochs") != 0]
    assert len(trained) == len(values["systems"]) - 2
    assert [one["name"] for one in trained if seen & set(one)] == []


def test_the_smoke_suite_runs(tmp_path: Path) -> None:
    [path] = [path for path in SUITES if path.stem == "smoke"]
    bench = open_benchmark(path, tmp_path / "out", only="seed0")
    assert bench.run(Reporter(quiet=True)) == []
    assert {job.system.name for job in bench.chosen} == {one.name for one in bench.suite.systems}
    assert {bench.status(job).state for job in bench.chosen} == {State.DONE}
    assert (tmp_path / "out" / "table.html").stat().st_size > 10_000
