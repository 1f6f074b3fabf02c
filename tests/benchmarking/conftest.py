"""A tiny suite, and a benchmark of it that is done."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from picie.benchmarking.running import open_benchmark
from picie.runtime.progress import Reporter

Values = dict[str, Any]


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
            "eval_size": 32,
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
