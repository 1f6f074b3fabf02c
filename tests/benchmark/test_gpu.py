"""The script for GPUs in benchmarks/: it runs on a CPU, and no part of it can end the others."""

import sys
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from picie.cli.app import main

SPEEDS = ("training", "waiting", "prediction", "kmeans")


@pytest.fixture(scope="module")
def gpu(load_script: Callable[[str], ModuleType]) -> Any:
    """The script as a module."""
    return load_script("benchmarks/gpu.py")


@pytest.fixture
def quick(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Runs some parts in small, in this process."""
    monkeypatch.setattr(gpu, "_in_process", gpu.run_part)

    def run(folder: Path, *parts: str, minutes: float = 5.0) -> dict[str, Any]:
        flags = ["--device=cpu", "--quick", f"--minutes={minutes}", "--parts", *parts]
        found: dict[str, Any] = gpu.measure(gpu.arguments(flags), folder)
        return found

    return run


def test_checks_hold_between_the_cpu_and_itself(
    gpu: Any,
    quick: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gpu, "_picie", lambda *flags: main(list(flags)))
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)  # the script turns it off
    found = quick(tmp_path, "agreement", "precision")
    assert found["failed"] == found["skipped"] == {}
    assert found["checks"] == {"agreement": True, "precision": True}
    same = found["parts"]["agreement"]
    assert [same[name] for name in ("views", "features", "loss", "centroids")] == [0, 0, 0, 0]
    assert same["masks"] == 1


def test_speeds_are_measured_and_projected(
    quick: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    found = quick(tmp_path, *SPEEDS)
    assert found["failed"] == found["skipped"] == {}
    parts = found["parts"]
    steps = parts["training"]["images/s"]
    assert {key: one["step"] > 0 for key, one in steps.items()} == dict.fromkeys(steps, True)
    assert 0 <= parts["waiting"]["default"]["decoding"] <= 1
    assert min(parts["waiting"]["reading, images/s"].values()) > 0
    assert all("batches of 4" in one for one in parts["prediction"]["images/s"].values())
    assert parts["kmeans"]["K = 27"]["seconds"] > 0
    assert set(steps) < set(parts["projection"])


def test_a_projection_takes_the_slower_of_network_and_reading(gpu: Any) -> None:
    speed = {"step": 1000.0, "clustering": 2000.0}
    reading = {"8 threads, 320 px": 500.0, "8 threads, 640 px": 400.0, "1 threads, 320 px": 90.0}
    parts = {
        "training": {
            "images/s": {"lite0 default bf16": speed, "lite0 default fp32": {"failed": "x"}}
        },
        "waiting": {"reading, images/s": reading},
    }
    found = gpu.project(parts)["lite0 default bf16"]
    assert found["network"] == pytest.approx(10 * (118_287 / 1000 + 512 / 2000) / 60, abs=0.1)
    assert found["all"] == found["reading"] == pytest.approx(118_799 / 500 / 6, abs=0.1)
    assert not found["meets_goal"]


def test_failures_and_lack_of_time_are_named(
    gpu: Any,
    quick: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(bench: Any) -> dict[str, Any]:
        raise RuntimeError("CUDA error:\n an illegal address")

    def late(bench: Any) -> dict[str, Any]:
        return {"done": bench.has_time("setting", 1e6)}

    monkeypatch.setattr(gpu, "draw", lambda *_: None)
    monkeypatch.setattr(gpu, "PARTS", {"agreement": (broken, 1), "kmeans": (late, 1)})
    found = quick(tmp_path, "agreement", "kmeans")
    assert found["failed"] == {"agreement": "RuntimeError: CUDA error: an illegal address"}
    assert found["skipped"] == {"kmeans": ["setting"]}
    assert quick(tmp_path, "kmeans", minutes=0.01)["skipped"] == {"kmeans": ["all"]}


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("import time; print('{}', flush=True); time.sleep(60)", "ran longer than 0 s"),
        ("raise SystemExit('out of memory')", "ended with status 1: out of memory"),
    ],
)
def test_a_process_that_hangs_or_dies_is_named(
    gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, problem: str
) -> None:
    path = tmp_path / "script.py"
    path.write_text(script)
    monkeypatch.setattr(gpu, "__file__", str(path))
    monkeypatch.setattr(gpu, "GRACE", 0.5 if "sleep" in script else 30.0)
    args = Namespace(data=None, device="cpu", quick=True)
    began = time.monotonic()
    assert gpu._in_process("kmeans", args, tmp_path, 0.1) == {"failed": problem}
    assert time.monotonic() - began < 30


def test_without_a_gpu_it_says_how_to_try_it(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    with pytest.raises(SystemExit, match="--device cpu --quick"):
        gpu.main()
