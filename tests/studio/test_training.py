"""Training from the page, what stands in for it, and what was interrupted."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from picie.data.folder import open_folder
from picie.runs import Run
from picie.studio import training
from picie.studio.photos import Photos
from picie.studio.training import interrupted

Serving = Callable[..., Any]


@pytest.fixture
def setup(serving: Serving, scenes: Path, tmp_path: Path) -> Any:
    """A studio without a model."""
    served = serving(scenes, tmp_path / "run", split="train", device="cpu")
    served.wait_for_phase("setup")
    return served


@pytest.fixture
def half(runs: dict[str, Path], tmp_path: Path) -> Path:
    """A run that was interrupted after its last checkpoint."""
    run = tmp_path / "run"
    shutil.copytree(runs["default"], run)
    (run / "config.json").unlink()
    (run / "model.safetensors").unlink()
    return run


def over(served: Any, number: str) -> Any:
    served.wait(lambda: served.studio.jobs.get(number).over, 300)
    return served.studio.jobs.get(number)


def test_from_photos_to_a_model(setup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, bool]] = []
    enter = setup.studio.enter

    def noted(phase: Any, message: str = "") -> None:
        enter(phase, message)
        seen.append((phase, setup.studio.status()["preview"]))

    monkeypatch.setattr(setup.studio, "enter", noted)
    wish = {"kind": "train", "clusters": 3, "preset": "fast", "epochs": 1}
    answer = setup.post("/api/jobs", wish)
    assert answer.status == 201
    run = setup.studio.run
    assert answer.json["command"] == (
        f"picie train {setup.studio.photos_path} --out {run} --clusters 3 --preset default "
        "--epochs 1 --split train --device cpu"
    )
    assert setup.post("/api/jobs", wish).status == 400  # one is enough
    job = over(setup, answer.json["id"])
    assert job.state == "done", job.message
    assert (job.done, job.total, job.out) == (1000, 1000, run)
    setup.wait_for_phase("ready")
    assert [phase for phase, _ in seen] == ["training"] * (len(seen) - 2) + ["starting", "ready"]
    assert ("training", True) in seen  # first masks
    config = Run.open(run).config
    assert (config.clusters, config.epochs, config.split) == (3, 1, "train")
    assert len(setup.ask("/api/maps?photos=0").body) > 16
    assert setup.ask("/api/photos").json["names"] == setup.studio.photos.names
    assert (run / "studio").is_dir()


def test_a_training_that_fails_leads_back(setup: Any) -> None:
    wish = {"kind": "train", "clusters": 4000, "epochs": 1}
    job = over(setup, setup.post("/api/jobs", wish).json["id"])
    assert job.state == "failed"
    setup.wait_for_phase("setup")
    assert setup.ask("/api/status").json["message"] == job.message
    assert "too few" in job.message


def test_a_training_that_is_cancelled_leads_back(setup: Any) -> None:
    number = setup.post("/api/jobs", {"kind": "train", "clusters": 3}).json["id"]
    setup.wait(lambda: setup.studio.jobs.get(number).state == "running")
    assert setup.ask("/api/status").json["phase"] == "training"
    setup.post(f"/api/jobs/{number}/cancel", {})
    assert over(setup, number).state == "cancelled"
    setup.wait_for_phase("setup")
    assert setup.ask("/api/status").json["message"] == ""
    assert setup.ask("/api/status").json["resumable"] is None


@pytest.mark.parametrize(
    ("wish", "problem"),
    [
        ({"clusters": 1}, "clusters: give a whole number from 2 to 4096"),
        ({"clusters": 5000}, "clusters: give a whole number"),
        ({"clusters": 3.5}, "clusters: give a whole number"),
        ({"clusters": True}, "clusters: give a whole number"),
        ({"clusters": "3; rm"}, "clusters: give a whole number"),
        ({"preset": "paper"}, "preset 'paper' is unknown; known: fast, best"),
        ({"preset": ["fast"]}, "is unknown"),
        ({"epochs": -1}, "epochs: give a whole number"),
        ({"resume": True}, "there is nothing to resume"),
        ({"resume": 1}, "resume: give true or false"),
    ],
)
def test_impossible_settings(setup: Any, wish: dict[str, Any], problem: str) -> None:
    answer = setup.post("/api/jobs", {"kind": "train"} | wish)
    assert answer.status == 400
    assert problem in answer.json["error"]
    assert setup.ask("/api/status").json["phase"] == "setup"


def test_an_interrupted_training_is_resumed(serving: Serving, scenes: Path, half: Path) -> None:
    served = serving(scenes, half, split="train")
    served.wait_for_phase("setup")
    begun = served.ask("/api/status").json["resumable"]
    assert begun["clusters"] == 3
    assert begun["done"] == begun["epochs"] > 0
    refused = served.post("/api/jobs", {"kind": "train", "clusters": 3})
    assert refused.status == 400
    assert "resume it, or say that it may be replaced" in refused.json["error"]
    answer = served.post("/api/jobs", {"kind": "train", "resume": True})
    assert answer.json["command"] == f"picie train --resume {half}"
    job = over(served, answer.json["id"])
    assert job.state == "done", job.message
    served.wait_for_phase("ready")


def test_what_was_interrupted(half: Path, runs: dict[str, Path], tmp_path: Path) -> None:
    begun = interrupted(half)
    assert begun is not None
    assert begun["clusters"] == 3
    assert interrupted(runs["default"]) is None
    assert interrupted(tmp_path / "nothing") is None
    shutil.rmtree(half / "checkpoint")
    assert interrupted(half) is None


def test_some_photos_for_first_masks(
    twelve_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_FIRST", 5)
    photos = Photos(open_folder(twelve_photos), tmp_path / "cache")
    folder = training._few(photos, tmp_path / "few")
    found = sorted(folder.iterdir())
    assert [path.name for path in found] == [f"00{n}.jpg" for n in range(5)]
    assert [path.resolve().name for path in found] == [f"{n:02d}.jpg" for n in (0, 2, 4, 7, 9)]

    def no_links(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "symlink", no_links)
    copies = training._few(photos, tmp_path / "copies")
    assert not any(path.is_symlink() for path in copies.iterdir())
    assert len(list(copies.iterdir())) == 5


@pytest.mark.parametrize(
    ("label", "part"),
    [
        ("listing images", 25),
        ("PCA of the backbone", 25),
        ("epoch 1/2, clustering view 1", 83),
        ("epoch 1/2, clustering view 2", 151),
        ("epoch 1/2", 342),
        ("epoch 2/2, clustering view 1", 533),
        ("epoch 2/2", 792),
        ("clustering", 950),
        ("health", 950),
    ],
)
def test_progress_of_the_whole(label: str, part: int) -> None:
    done, total = training._part(label, 50, 100)
    assert abs(done - part) <= 1
    assert total == 1000
