"""Exporting takes seconds: each file is made once."""

from pathlib import Path

import pytest

from picie.cli.app import main
from picie.models.class_names import ClassNames, NamedClass, write_classes

NAMES = ClassNames(
    3, (NamedClass("sky", (0,), colour="#102030"), NamedClass("rest", (2,), ignore=True))
)


@pytest.fixture(scope="session")
def named_run(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose clusters have names, one of them ignored, in a folder with a space."""
    folder = tmp_path_factory.mktemp("a run")
    for name in ("model.safetensors", "config.json"):
        (folder / name).write_bytes((runs["default"] / name).read_bytes())
    write_classes(folder / "classes.toml", NAMES)
    return folder


@pytest.fixture(scope="session")
def onnx_file(named_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That run as .onnx."""
    pytest.importorskip("onnxruntime")
    path = tmp_path_factory.mktemp("onnx") / "new" / "model.onnx"
    main(["export", str(named_run), "--model", "onnx", "--out", str(path), "--quiet"])
    return path


@pytest.fixture(scope="session")
def torch_file(named_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That run as .pt2."""
    path = tmp_path_factory.mktemp("torch") / "model.pt2"
    main(["export", str(named_run), "--model", "torch", "--out", str(path), "--quiet"])
    return path
