"""What a probe learns from, and what it is scored on."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import picie
from picie.benchmark.plan import Job, plan
from picie.benchmark.probe import check_probe, probe_features
from picie.benchmark.suite import read_suite
from picie.errors import DataError
from picie.inference.segmenter import Segmenter
from picie.runtime.progress import Reporter

WriteSuite = Callable[..., Path]
Find = Callable[..., tuple[Job, dict[str, Any]]]
PROTOCOL = {"size": 32, "match": "hungarian"}


@pytest.fixture
def find(write_suite: WriteSuite, scenes: Path, finished: Path) -> Find:
    """A run of the suite on other splits of the scenes, and its probe."""

    def found(train: str, score: str) -> tuple[Job, dict[str, Any]]:
        data = [{"name": "scenes", "path": str(scenes), "train": train, "eval": score}]
        job = plan(read_suite(write_suite(data=data)), root=Path(), out=finished)[0]
        check_probe(job)
        return job, probe_features(model(job), job, "linear", PROTOCOL, Reporter(quiet=True))

    return found


def model(job: Job) -> Segmenter:
    return picie.load(job.folder)


def test_it_is_that_of_evaluate(find: Find, scenes: Path) -> None:
    job, found = find("train", "val")
    other = picie.evaluate(
        model(job), scenes, split="val", size=32, probe="linear", probe_split="train"
    ).probes["linear"]
    assert (found["kind"], found["images"], found["halves"]) == ("linear", 6, False)
    assert found["miou"] == other.miou
    assert found["confusion"] == other.confusion
    assert found["protocol"]["uses_labels"] is True


def test_it_never_learns_from_a_scored_image(find: Find) -> None:
    _, apart = find("train", "val")
    _, overlapping = find("", "val")  # all images
    assert (overlapping["images"], overlapping["halves"]) == (6, False)
    assert overlapping["confusion"] == apart["confusion"]


def test_images_that_are_all_scored_are_halved(find: Find, scenes: Path) -> None:
    names = (scenes / "val.txt").read_text().split()
    _, halved = find("val", "val")
    assert (halved["images"], halved["halves"]) == (3, True)
    odd, even = f"!{names[1]}*+val", f"{names[1]}*"
    parts = [find(odd, even)[1], find(even, odd)[1]]
    sums = [
        [a + b for a, b in zip(*rows, strict=True)]
        for rows in zip(*(part["confusion"] for part in parts), strict=True)
    ]
    assert halved["confusion"] == sums


@pytest.mark.parametrize(
    ("train", "score", "message"),
    [
        ("train", "val", r"\[summary\] probe learns the labels of train: .*1 of 6 images have no"),
        ("one", "one", r"\[summary\] probe learns from other images .* only one; add some"),
    ],
)
def test_what_cannot_be_learnt_is_said_before_anything_runs(
    write_suite: WriteSuite, scenes: Path, tmp_path: Path, train: str, score: str, message: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(scenes, copy)
    first = (copy / "train.txt").read_text().split()[0]
    (copy / "masks" / f"{first}.png").unlink()
    (copy / "one.txt").write_text((copy / "val.txt").read_text().split()[0])
    data = [{"name": "copy", "path": str(copy), "train": train, "eval": score}]
    suite = read_suite(write_suite(data=data))
    with pytest.raises(DataError, match=message):
        check_probe(plan(suite, root=Path(), out=tmp_path)[0])
