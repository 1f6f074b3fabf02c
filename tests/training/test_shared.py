"""Training by two processes: the same as by one, up to the order of sums."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from picie.inference.segmenter import load
from picie.training.loop import resume, train


def records(run: Path) -> list[dict[str, Any]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def test_two_processes_learn_what_one_learns(pair: Path, runs: dict[str, Path]) -> None:
    # Six images in batches of three: the processes have two and one of each.
    run = pair / "learnt"
    assert_close(run, runs["default"])
    assert {path.name for path in run.iterdir()} == {
        path.name for path in runs["default"].iterdir()
    }
    assert_same_records(run, runs["default"])
    assert load(run).clusters == 3


def test_two_processes_share_batch_statistics_and_gradients(
    pair: Path, scenes: Path, settings: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    # Adam makes steps of one length from gradients of any, so what is rounded apart drifts apart.
    # With short steps all but these directions must agree; without a shared gradient few would.
    values = settings["reference"] | {"learning_rate": 1e-6, "epochs": 2}
    train(scenes, tmp_path / "one", **values)
    train(scenes, tmp_path / "start", **values | {"epochs": 0})
    assert_close(pair / "steps", tmp_path / "one")
    assert_same_records(pair / "steps", tmp_path / "one")
    ours, theirs = (moves(run, tmp_path / "start") for run in (pair / "steps", tmp_path / "one"))
    assert float(torch.cosine_similarity(ours, theirs, dim=0)) > 0.98


def moves(run: Path, start: Path) -> torch.Tensor:
    """What training did to the weights, as one vector."""
    after, before = (load_file(path / "model.safetensors") for path in (run, start))
    names = [name for name in after if name.endswith(("weight", "bias"))]
    return torch.cat([(after[name] - before[name]).flatten().double() for name in names])


def assert_close(run: Path, other: Path) -> None:
    ours, theirs = (load_file(path / "model.safetensors") for path in (run, other))
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=2e-3, atol=2e-4, msg=name)


def assert_same_records(run: Path, other: Path) -> None:
    for one, two in zip(records(run), records(other), strict=True):
        assert one["images"] == two["images"] == 6
        for key in ("loss", "within", "cross", "kmeans_objective", "effective_clusters"):
            assert one[key] == pytest.approx(two[key], rel=2e-3), key


def test_a_run_cut_off_can_be_resumed_by_another_number_of_processes(
    pair: Path, runs: dict[str, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(pair / "short", run)
    config = run / "config.toml"
    config.write_text(config.read_text().replace("epochs = 1\n", "epochs = 3\n"))
    resume(run)
    assert_close(run, runs["default"])
    assert len(records(run)) == 3


def test_unreadable_images_of_every_process_are_named(pair: Path) -> None:
    log = (pair / "unreadable" / "train.log").read_text()
    assert "skipped 3 of 7 images that could not be read:" in log
    assert all(log.count(f"bad{number}.jpg: cannot be read") == 1 for number in range(3))
    assert records(pair / "unreadable")[0]["images"] == 4
