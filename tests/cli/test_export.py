"""`picie export`: which of its two halves is meant."""

from collections.abc import Callable
from pathlib import Path

import pytest

Failure = Callable[..., tuple[int, str]]


def test_nothing_to_export(failure: Failure, tmp_path: Path) -> None:
    code, text = failure("export", "run", "--out", tmp_path / "x")
    assert code == 2
    assert "what to export? Give --format" in text
    assert "or --model" in text


def test_not_both(failure: Failure, tmp_path: Path) -> None:
    code, text = failure(
        "export", "run", "--format", "coco", "--model", "onnx", "--out", tmp_path / "x"
    )
    assert code == 2
    assert "--format coco exports masks and --model onnx the network; give one of them" in text


@pytest.mark.parametrize("name", ["png", "geotiff"])
def test_masks_need_photos(failure: Failure, tmp_path: Path, name: str) -> None:
    code, text = failure("export", "a run", "--format", name, "--out", tmp_path / "x")
    assert code == 2
    assert f"which photos? Give them: picie export a run --format {name} --images PHOTOS" in text
