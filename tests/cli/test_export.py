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


def test_a_model_is_written_to_this_machine(failure: Failure, runs: dict[str, Path]) -> None:
    code, text = failure("export", runs["default"], "--model", "onnx", "--out", "s3://b/m.onnx")
    assert code == 2
    assert "s3://b/m.onnx: --model writes --out on this machine; give a path, and upload" in text


@pytest.mark.parametrize(
    ("flag", "values"),
    [
        ("--images", ["photos"]), ("--split", ["val"]), ("--tile", [256]), ("--min-region", [9]),
        ("--polygons", []), ("--precision", ["bf16"]),
    ],
)  # fmt: skip
def test_flags_of_masks_are_refused_for_a_model(
    failure: Failure, tmp_path: Path, flag: str, values: list[object]
) -> None:
    (tmp_path / "run").mkdir()
    out = tmp_path / "m.onnx"
    code, text = failure("export", tmp_path / "run", "--model", "onnx", "--out", out, flag, *values)
    assert code == 2
    assert f"{flag} is for masks (--format); remove it for --model" in text
