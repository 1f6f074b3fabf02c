"""The suites in benchmarks/: they can be read, and the smallest one runs."""

import tomllib
from pathlib import Path

import pytest

from picie.benchmark.plan import plan
from picie.benchmark.records import State
from picie.benchmark.run import open_benchmark
from picie.benchmark.suite import read_suite
from picie.config import DEFAULT_BACKBONE
from picie.runtime.progress import Reporter

SUITES = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.toml"))
NAMES = {
    "backbones",
    "camvid",
    "camvid_short",
    "cityscapes",
    "cocostuff27",
    "kinds",
    "msrc",
    "msrc_short",
    "smoke",
}


def test_all_are_there() -> None:
    assert {path.stem for path in SUITES} == NAMES


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_suite_can_be_read(path: Path, tmp_path: Path) -> None:
    suite = read_suite(path)
    jobs = plan(suite, root=tmp_path, out=tmp_path / "out")
    seeds, backbones = suite.grid.seeds, suite.grid.backbones
    assert len(jobs) == len(suite.data) * len(suite.systems) * len(seeds) * len(backbones)
    assert suite.evaluate.get("size") == {"smoke": 32, "backbones": None}.get(path.stem, 320)


@pytest.mark.parametrize("name", ["camvid", "msrc"])
def test_trained_systems_see_the_same_images_as_often(name: str) -> None:
    [path] = [path for path in SUITES if path.stem == name]
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    seen = {"size", "base_size", "batch_size", "epochs"}
    assert seen <= set(values["defaults"])
    trained = [one for one in values["systems"] if one.get("epochs") != 0]
    assert len(trained) == len(values["systems"]) - 2
    assert [one["name"] for one in trained if seen & set(one)] == []


def test_backbones_are_compared_at_their_own_sizes(tmp_path: Path) -> None:
    [path] = [path for path in SUITES if path.stem == "backbones"]
    jobs = plan(read_suite(path), root=tmp_path, out=tmp_path / "out")
    assert {job.backbone: (job.config.size, job.config.base_size) for job in jobs} == {
        DEFAULT_BACKBONE: (320, 320),
        "vit_small_patch14_dinov2.lvd142m": (448, 448),
        "vit_base_patch14_dinov2.lvd142m": (448, 448),
        "vit_small_patch16_dinov3.lvd1689m": (512, 512),
        "convnext_tiny.fb_in22k_ft_in1k": (320, 320),
    }
    changed = [job.config.model_dump() for job in jobs if job.backbone != DEFAULT_BACKBONE]
    assert all(one["pretrained"] and not one["backbone_layers"] for one in changed)


def test_the_smoke_suite_runs(tmp_path: Path) -> None:
    [path] = [path for path in SUITES if path.stem == "smoke"]
    bench = open_benchmark(path, tmp_path / "out", only="seed0")
    assert bench.run(Reporter(quiet=True)) == []
    assert {job.system.name for job in bench.chosen} == {one.name for one in bench.suite.systems}
    assert {bench.status(job).state for job in bench.chosen} == {State.DONE}
    assert (tmp_path / "out" / "table.html").stat().st_size > 10_000
