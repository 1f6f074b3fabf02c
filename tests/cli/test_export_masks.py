"""`picie export --format`: which flags reach the export, and which are refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie.cli.app import main
from picie.export.formats.labelstudio import LabelStudioWriter
from picie.export.formats.layout import Labelled
from picie.inference.segmenter import Segmenter
from picie.postprocessing.regions import fill_small_regions, label_regions

Failure = Callable[..., tuple[int, str]]


def export(*args: object) -> None:
    main(["export", *(str(arg) for arg in args), "--quiet"])


def test_flags_reach_the_model(
    runs: dict[str, Path], model: Segmenter, scenes: Path, tmp_path: Path
) -> None:
    args = ("--images", scenes, "--split", "val", "--size", 64, "--clusters", 2, "--refine", 2)
    export(runs["default"], "--format", "png", *args, "--out", tmp_path / "out")
    changed = model.cut(2).post_processed(refine=2)
    names = [f"scene_{index:04d}" for index in (6, 7, 8)]
    assert sorted(path.stem for path in (tmp_path / "out").glob("*.png")) == names
    for name in names:
        expected = changed.predict(scenes / "images" / f"{name}.jpg", size=64)
        with Image.open(tmp_path / "out" / f"{name}.png") as image:
            assert np.array_equal(np.asarray(image), expected)


def test_flags_reach_the_layout(runs: dict[str, Path], scenes: Path, tmp_path: Path) -> None:
    args = ("--images", scenes, "--split", "val", "--photos", "link", "--out", tmp_path / "out")
    export(runs["default"], "--format", "yolo", *args)
    photo = tmp_path / "out/images/train/scene_0006.jpg"
    assert photo.samefile(scenes / "images" / "scene_0006.jpg")


def test_small_polygons_and_regions(
    runs: dict[str, Path], model: Segmenter, scenes: Path, tmp_path: Path
) -> None:
    def polygons(*flags: object) -> int:
        out = tmp_path / "out"
        args = ("--images", scenes, "--split", "val", "--out", out, "--overwrite", *flags)
        export(runs["default"], "--format", "yolo", *args)
        texts = (path.read_text() for path in (out / "labels" / "train").glob("*.txt"))
        return sum(text.count("\n") for text in texts)

    masks = [model.predict(path) for path in sorted((scenes / "images").glob("*.jpg"))[6:]]
    for area, flags in ((20, ()), (0, ("--min-area", 0)), (300, ("--min-area", 300))):
        filled = [fill_small_regions(mask, area) for mask in masks]
        assert polygons(*flags) == sum(len(label_regions(mask)[1]) for mask in filled)
    assert polygons("--min-area", 0, "--min-region", 300) == polygons("--min-area", 300)


@pytest.mark.parametrize(
    ("format", "flags", "message"),
    [
        ("yolo", ["--polygons"], "--polygons has no effect with --format yolo; it is for coco"),
        (
            "coco",
            ["--tolerance", "1"],
            "--tolerance has no effect with --format coco; it is for co",
        ),
        (
            "coco",
            ["--min-area", "5"],
            "--min-area has no effect with --format coco; it is for coco",
        ),
        ("yolo", ["--min-area", "-1"], "--min-area -1: give 0 or more pixels"),
        ("png", ["--min-region", "-1"], "--min-region -1: give 0 or more pixels"),
        ("geotiff", ["--min-region", "9"], "--min-region has no effect with --format geotiff"),
        ("png", ["--batch-size", "0"], "--batch-size 0: give 1 to 65536"),
        ("png", ["--workers", "-2"], "--workers -2: give a whole number from -1 to 1024"),
    ],
)
def test_flags_that_cannot_be(
    failure: Failure, scenes: Path, tmp_path: Path, format: str, flags: list[str], message: str
) -> None:
    args = ("run", "--format", format, "--images", scenes, "--out", tmp_path / "out", *flags)
    code, text = failure("export", *args)
    assert code == 2
    assert message in text


def test_the_folder_is_looked_at_before_the_model(failure: Failure, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    code, text = failure("export", "none", "--format=png", "--images=x", "--out", tmp_path)
    assert code == 2
    assert "contains files that picie did not export" in text


def test_stopping_says_so_and_leaves_nothing_but_masks_to_go_on_with(
    failure: Failure,
    runs: dict[str, Path],
    scenes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(self: LabelStudioWriter, one: Labelled) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LabelStudioWriter, "add", stop)
    args = ("--images", scenes, "--out", tmp_path / "out", "--quiet")
    code, text = failure("export", runs["default"], "--format", "labelstudio", *args)
    assert code == 130
    assert "error: stopped; an export appears whole or not at all" in text
    [kept] = tmp_path.iterdir()
    assert kept.name.startswith(".part-")
