"""A tiny suite, and a benchmark of it that is done."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from picie.benchmark.run import open_benchmark
from picie.runtime.progress import Reporter

Values = dict[str, Any]
MakeRecord = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def values(scenes: Path) -> Values:
    """A suite of two systems and two seeds, as `tomllib` would read it; not to be changed."""
    return {
        "title": "Tiny",
        "defaults": {
            "clusters": 3,
            "epochs": 2,
            "batch_size": 3,
            "size": 32,
            "base_size": 40,
            "pretrained": False,
            "feature_size": 8,
            "learning_rate": 1e-2,
            "kmeans_images": 6,
            "kmeans_pixels": 16,
            "workers": 0,
            "device": "cpu",
            "eval_split": "val",
        },
        "data": [{"name": "scenes", "path": str(scenes)}],
        "systems": [
            {"name": "default", "overclusters": 8},
            {"name": "the reference", "preset": "reference"},
        ],
        "grid": {"seeds": [0, 1], "backbones": ["test_efficientnet"]},
        "evaluate": {"size": 32},
    }


@pytest.fixture
def write_suite(tmp_path: Path, values: Values) -> Callable[..., Path]:
    """Writes the suite with some tables replaced; None leaves one out."""

    def write(**changes: Any) -> Path:
        path = tmp_path / "tiny.toml"
        kept = {key: value for key, value in (values | changes).items() if value is not None}
        path.write_text(tomli_w.dumps(kept), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def finished(values: Values, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the suite's results, all done; not to be changed."""
    folder = tmp_path_factory.mktemp("bench")
    suite = folder / "tiny.toml"
    suite.write_text(tomli_w.dumps(values), encoding="utf-8")
    assert open_benchmark(suite, folder / "out").run(Reporter(quiet=True)) == []
    return folder / "out"


@pytest.fixture
def make_record() -> MakeRecord:
    """A finished run; keyword arguments replace parts of it."""

    def make(
        *,
        system: str = "mine",
        data: str = "photos",
        seed: int = 0,
        accuracy: float = 50.0,
        miou: float = 20.0,
        protocol: dict[str, Any] | None = None,
        scores: dict[str, Any] | None = None,
        **other: Any,
    ) -> dict[str, Any]:
        named = {
            "data": f"/somewhere/{data}",
            "split": "val",
            "images": 3,
            "size": 320,
            "crop": "center",
            "clusters": 11,
            "K": 11,
            "matching": "hungarian (one-to-one)",
            "post_processing": "none",
            "centroids": "trained model, clean images",
            "unreadable": 0,
        }
        record = {
            "system": system,
            "backbone": "resnet18",
            "seed": seed,
            "data": {
                "name": data,
                "train": "train",
                "eval": "val",
                "pictures": {"train": {"images": 6}, "eval": {"images": 3}},
            },
            "scores": {
                "accuracy": accuracy,
                "miou": miou,
                "protocol": named | (protocol or {}),
                **(scores or {}),
            },
            "curves": [],
            "health": None,
            "seconds": {"train": 60.0, "evaluate": 1.0, "resumed": False, "parts": {}},
            "versions": {"picie": "0.2.0", "torch": "2.14.1", "python": "3.12.1"},
            "commit": None,
            "machine": {
                "system": "Linux",
                "processor": "x86_64",
                "cores": 2,
                "threads": 1,
                "accelerator": "",
            },
        }
        return record | other

    return make
