"""Training by two processes: the same as by one, up to the order of sums."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from picie.inference.segmenter import load
from picie.training.loop import train

Flags = Callable[[str], list[str]]


def train_by_two(*args: str) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [sys.executable, *launcher, "-m", "picie", "train", *args]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)


def records(run: Path) -> list[dict[str, Any]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def test_two_processes_learn_what_one_learns(
    scenes: Path, flags: Flags, runs: dict[str, Path], tmp_path: Path
) -> None:
    # Six images in batches of three: the processes have two and one of each.
    run = tmp_path / "run"
    done = train_by_two(str(scenes), f"--out={run}", *flags("default"))
    assert done.returncode == 0, done.stderr
    assert_close(run, runs["default"])
    assert {path.name for path in run.iterdir()} == {
        path.name for path in runs["default"].iterdir()
    }
    assert_same_records(run, runs["default"])
    assert load(run).clusters == 3


def test_two_processes_share_batch_statistics_and_gradients(
    scenes: Path, settings: dict[str, dict[str, Any]], flags: Flags, tmp_path: Path
) -> None:
    # Adam makes steps of one length from gradients of any, so what is rounded apart drifts apart.
    # With short steps all but these directions must agree; without a shared gradient few would.
    values = settings["reference"] | {"learning_rate": 1e-6, "epochs": 2}
    train(scenes, tmp_path / "one", **values)
    train(scenes, tmp_path / "start", **values | {"epochs": 0})
    options = [f for f in flags("reference") if not f.startswith(("--learning-rate", "--epochs"))]
    two = tmp_path / "two"
    done = train_by_two(str(scenes), f"--out={two}", *options, "--learning-rate=1e-6", "--epochs=2")
    assert done.returncode == 0, done.stderr
    assert_close(two, tmp_path / "one")
    assert_same_records(two, tmp_path / "one")
    ours, theirs = (moves(tmp_path / name, tmp_path / "start") for name in ("two", "one"))
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
    scenes: Path, flags: Flags, runs: dict[str, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    short = [flag for flag in flags("default") if not flag.startswith("--epochs")]
    done = train_by_two(str(scenes), f"--out={run}", *short, "--epochs=1")
    assert done.returncode == 0, done.stderr
    config = run / "config.toml"
    config.write_text(config.read_text().replace("epochs = 1\n", "epochs = 3\n"))
    command = [sys.executable, "-m", "picie", "train", f"--resume={run}", "--quiet"]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=600)
    assert_close(run, runs["default"])


def test_unreadable_images_of_every_process_are_named(
    scenes: Path, flags: Flags, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(4):
        (photos / f"good{number}.jpg").write_bytes(
            (scenes / "images" / f"scene_000{number}.jpg").read_bytes()
        )
    for number in range(3):
        (photos / f"bad{number}.jpg").write_text("no image")
    run = tmp_path / "run"
    options = [f for f in flags("reference") if not f.startswith(("--split", "--epochs"))]
    done = train_by_two(str(photos), f"--out={run}", *options, "--epochs=1")
    assert done.returncode == 0, done.stderr
    log = (run / "train.log").read_text()
    assert "3 of 7 images could not be read, left out:" in log
    assert all(log.count(f"bad{number}.jpg: cannot be read") == 1 for number in range(3))
    assert records(run)[0]["images"] == 4
