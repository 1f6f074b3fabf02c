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

from picie.inference import load

Flags = Callable[[str], list[str]]


def train_by_two(*args: str) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [sys.executable, *launcher, "-m", "picie", "train", *args]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)


def records(run: Path) -> list[dict[str, Any]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


@pytest.mark.parametrize("preset", ["default", "reference"])
def test_two_processes_learn_what_one_learns(
    scenes: Path, flags: Flags, runs: dict[str, Path], tmp_path: Path, preset: str
) -> None:
    # Six pictures in batches of three: the processes have two and one of each.
    run = tmp_path / "run"
    done = train_by_two(str(scenes), f"--out={run}", *flags(preset))
    assert done.returncode == 0, done.stderr
    ours, theirs = (load_file(path / "model.safetensors") for path in (run, runs[preset]))
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=2e-3, atol=2e-4, msg=name)
    assert {path.name for path in run.iterdir()} == {path.name for path in runs[preset].iterdir()}
    for one, other in zip(records(run), records(runs[preset]), strict=True):
        assert one["images"] == other["images"] == 6
        for key in ("loss", "within", "cross", "kmeans_objective", "effective_clusters"):
            assert one[key] == pytest.approx(other[key], rel=2e-3), key
    assert load(run).clusters == 3


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
    ours, theirs = (load_file(path / "model.safetensors") for path in (run, runs["default"]))
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=2e-3, atol=2e-4, msg=name)


def test_unreadable_pictures_of_every_process_are_named(
    scenes: Path, flags: Flags, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(4):
        (photos / f"good{number}.jpg").write_bytes(
            (scenes / "images" / f"scene_000{number}.jpg").read_bytes()
        )
    for number in range(3):
        (photos / f"bad{number}.jpg").write_text("no picture")
    run = tmp_path / "run"
    options = [f for f in flags("reference") if not f.startswith(("--split", "--epochs"))]
    done = train_by_two(str(photos), f"--out={run}", *options, "--epochs=1")
    assert done.returncode == 0, done.stderr
    log = (run / "train.log").read_text()
    assert "3 of 7 pictures could not be read, left out:" in log
    assert all(log.count(f"bad{number}.jpg: cannot be read") == 1 for number in range(3))
    assert records(run)[0]["images"] == 4
