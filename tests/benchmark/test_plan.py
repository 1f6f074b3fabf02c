"""Runs of a suite: their order, names and images."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from picie.benchmark.plan import (
    Job,
    absence,
    describe_images,
    draw_scenes,
    is_at_hand,
    plan,
    select,
)
from picie.benchmark.suite import read_suite
from picie.errors import ConfigError, DataError

WriteSuite = Callable[..., Path]


def jobs_of(suite: Path, root: Path = Path(), out: Path = Path("out")) -> list[Job]:
    return plan(read_suite(suite), root=root, out=out)


def test_every_system_has_its_first_seed_before_any_has_its_second(
    write_suite: WriteSuite,
) -> None:
    names = [job.slug for job in jobs_of(write_suite())]
    assert names == [
        "scenes--default--test_efficientnet--seed0",
        "scenes--the-reference--test_efficientnet--seed0",
        "scenes--default--test_efficientnet--seed1",
        "scenes--the-reference--test_efficientnet--seed1",
    ]


def test_a_system_may_have_seeds_and_backbones_of_its_own(write_suite: WriteSuite) -> None:
    systems = [{"name": "a"}, {"name": "b", "seeds": [5], "backbones": ["resnet18", "resnet34"]}]
    jobs = jobs_of(write_suite(systems=systems))
    assert [(job.backbone, job.seed) for job in jobs if job.system.name == "b"] == [
        ("resnet18", 5),
        ("resnet34", 5),
    ]
    assert len(jobs) == 4


def test_data_sets_come_one_after_another(write_suite: WriteSuite) -> None:
    jobs = jobs_of(write_suite(data=[{"name": "b"}, {"name": "a"}]))
    assert [job.data.name for job in jobs] == ["b"] * 4 + ["a"] * 4


def test_where_the_images_are(write_suite: WriteSuite, tmp_path: Path) -> None:
    data = [{"name": "a"}, {"name": "b", "path": "x/y"}, {"name": "c", "path": "/absolute"}]
    suite = write_suite(data=[*data, {"name": "d d", "synthetic": {}}])
    places = [job.images for job in jobs_of(suite, tmp_path, tmp_path / "out")[::4]]
    assert places[:3] == [tmp_path / "a", tmp_path / "x" / "y", Path("/absolute")]
    assert places[3] == tmp_path / "out" / "data" / "d-d"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"systems": [{"name": "a b"}, {"name": "a-B"}]},
            "two runs would be called 'scenes--a-b--test_efficientnet--seed0'",
        ),
        ({"grid": {"seeds": [1, 1]}}, "two runs would be called"),
        ({"grid": {"backbones": ["resnet1"]}}, "backbone 'resnet1': timm knows no such model"),
    ],
)
def test_runs_that_cannot_be(
    write_suite: WriteSuite, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        jobs_of(write_suite(**changes))


def test_selection_by_a_part_of_the_name(write_suite: WriteSuite) -> None:
    jobs = jobs_of(write_suite())
    assert select(jobs, "reference") == [jobs[1], jobs[3]]
    assert select(jobs, "Default*seed1") == [jobs[2]]
    with pytest.raises(
        ConfigError, match=r"--only 'x': no run has such a name; the first is 'scenes"
    ):
        select(jobs, "x")


def test_absent_data_is_said_to_be_where_it_was_expected(
    write_suite: WriteSuite, tmp_path: Path
) -> None:
    job = jobs_of(write_suite(data=[{"name": "a", "path": "gone"}]), tmp_path)[0]
    assert absence(job) == f"data 'a': expected at {tmp_path / 'gone'}"
    assert not is_at_hand(job)


def test_scenes_are_drawn_once_and_again_when_they_change(
    write_suite: WriteSuite, tmp_path: Path
) -> None:
    def job(train: int) -> Job:
        scenes = {"train": train, "val": 1, "size": [32, 48]}
        suite = write_suite(data=[{"name": "a", "synthetic": scenes}])
        return jobs_of(suite, out=tmp_path / "out")[0]

    first = job(2)
    assert (absence(first), is_at_hand(first)) == ("", False)
    draw_scenes(first)
    assert is_at_hand(first)
    images = describe_images(first)
    assert (images["train"]["images"], images["eval"]["images"]) == (2, 1)
    (first.images / "images" / "scene_0000.jpg").unlink()
    draw_scenes(first)  # nothing is done
    assert not (first.images / "images" / "scene_0000.jpg").exists()
    assert not is_at_hand(job(3))
    draw_scenes(job(3))
    assert describe_images(job(3))["train"]["images"] == 3
    (first.images / "mine.jpg").write_text("mine")
    with pytest.raises(ConfigError, match=r"mine\.jpg: was not written by picie, or was changed"):
        draw_scenes(job(4))
    assert describe_images(job(3))["train"]["images"] == 3


def test_the_digest_follows_images_and_labels_but_not_the_place(
    write_suite: WriteSuite, scenes: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(scenes, copy)
    [first, second] = [
        jobs_of(write_suite(data=[{"name": "a", "path": str(path)}]))[0] for path in (scenes, copy)
    ]
    before = describe_images(first)
    assert describe_images(second) == before
    with (copy / "masks" / "scene_0008.png").open("ab") as file:  # of val
        file.write(b"0")
    assert describe_images(second)["train"] == before["train"]
    assert describe_images(second)["eval"] != before["eval"]
    lines = (copy / "train.txt").read_text().splitlines()
    (copy / "train.txt").write_text("\n".join(lines[1:]))
    assert describe_images(second)["train"]["images"] == 5
    shutil.rmtree(copy / "masks")
    with pytest.raises(DataError, match="labels are needed"):
        describe_images(second)
