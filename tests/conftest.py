"""Shared data: a tiny labelled folder, and tiny runs trained on it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from picie.cli.app import main
from picie.data.synthetic.scenes import write_scenes
from picie.inference.segmenter import Segmenter, load
from picie.training.loop import train

Settings = dict[str, dict[str, Any]]

_COMMON: dict[str, Any] = {
    "split": "train",
    "clusters": 3,
    "epochs": 3,
    "batch_size": 3,
    "size": 32,
    "base_size": 40,
    "backbone": "test_efficientnet",
    "pretrained": False,
    "feature_size": 8,
    "learning_rate": 1e-2,
    "workers": 0,
    "device": "cpu",
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Sums in one order, so that bytes can be compared with those of other processes."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six training and three validation scenes, (48, 64) pixels."""
    return write_scenes(tmp_path_factory.mktemp("scenes"), train=6, val=3, size=(48, 64))


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Arguments of `train`, by preset."""
    return {
        "default": _COMMON | {"preset": "default", "overclusters": 8, "kmeans_pixels": 16},
        "reference": _COMMON | {"preset": "reference", "kmeans_images": 6, "kmeans_pixels": 16},
    }


@pytest.fixture(scope="session")
def flags(settings: Settings) -> Callable[[str], list[str]]:
    """The same as flags of the command line."""

    def of(preset: str) -> list[str]:
        values = {name: v for name, v in settings[preset].items() if not isinstance(v, bool)}
        named = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]
        return [*named, "--no-pretrained", "--quiet"]

    return of


@pytest.fixture(scope="session")
def runs(
    scenes: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """An unbroken run of each preset; not to be changed."""
    folder = tmp_path_factory.mktemp("runs")
    for preset, values in settings.items():
        train(scenes, folder / preset, **values)
    return {preset: folder / preset for preset in settings}


@pytest.fixture(scope="session")
def model(runs: dict[str, Path]) -> Segmenter:
    """The trained model of the preset `default`; not to be changed."""
    return load(runs["default"])


@pytest.fixture
def failure(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a command line that must fail with one line; gives its exit code and that line."""

    def run(*args: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(arg) for arg in args])
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.endswith("\n")
        assert captured.err.count("\n") == 1, captured.err
        assert ": error: " in captured.err
        assert isinstance(caught.value.code, int)
        return caught.value.code, captured.err

    return run
