"""Every example runs on a few tiny scenes, offline, and leaves behind what it says."""

import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from picie.config import PRESETS
from picie.evaluation.scoring import evaluate
from picie.export.formats.layout import Options
from picie.export.masks import export_masks
from picie.inference.segmenter import Segmenter
from picie.models.class_names import ClassNames

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
Run = Callable[..., None]

_TINY: dict[str, Any] = {
    "batch_size": 3,
    "backbone": "test_efficientnet",
    "pretrained": False,
    "feature_size": 8,
    "overclusters": 16,
    "kmeans_pixels": 32,
    "workers": 0,
    "device": "cpu",
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs an example as a program, with tiny settings where it gives none."""
    for name, values in list(PRESETS.items()):
        monkeypatch.setitem(PRESETS, name, values | _TINY)
    monkeypatch.chdir(tmp_path)

    def call(name: str, *args: object) -> None:
        monkeypatch.setattr(sys, "argv", [name, *map(str, args)])
        runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")

    return call


def test_train_on_folder(run: Run, scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("train_on_folder", scenes, "out", "--clusters", 3, "--size", 32)
    for kind in ("masks", "overlays"):
        assert len(list(Path("out", kind).glob("*.png"))) == 9
    with Image.open("out/masks/scene_0000.png") as mask:
        assert mask.size == (64, 48)
    assert "of 3 clusters are effectively used" in capsys.readouterr().out


def test_name_and_export_coco(
    run: Run, runs: dict[str, Path], scenes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pycocotools")
    before = sorted(runs["default"].iterdir())
    run("name_and_export_coco", runs["default"], scenes, "coco", "road=0,2", "the sky=1")
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "9 photos in coco, with 2 classes"
    counts = {line[:16].strip(): int(line[16:].split()[0].replace(",", "")) for line in told[1:]}
    assert list(counts) == ["road", "the sky"]
    assert sum(counts.values()) == 9 * 48 * 64
    assert sorted(runs["default"].iterdir()) == before


def test_swap_backbone(run: Run, scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("test_efficientnet", "test_resnet")
    run("swap_backbone", scenes, "out", *names, "--clusters=3", "--size=32", "--no-pretrained")
    told = capsys.readouterr().out
    assert all(f"{name}: two views agree on" in told for name in names)
    assert told.count(": adjusted Rand index ") == 9


def test_predict_in_notebook(
    run: Run, runs: dict[str, Path], scenes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("predict_in_notebook", runs["default"], scenes / "images" / "scene_0006.jpg", "cuts.png")
    with Image.open("cuts.png") as image:
        assert image.size == (4 * 64, 48)
    assert capsys.readouterr().out.splitlines()[1].startswith("3 clusters; here ")


def test_compare_objectives(run: Run, scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ("--objectives", "frozen", "picie", "iic")
    run("compare_objectives", scenes, "out", "--clusters=3", "--epochs=1", "--size=32", *chosen)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [row[0] for row in rows] == ["frozen", "picie", "iic"]
    assert all(0 <= float(number) <= 100 for row in rows for number in row[1:])


def test_student(
    run: Run, model: Segmenter, scenes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    named = model.named(ClassNames.of(3, {"sky": [0], "grass": [1, 2]}))
    export_masks(named, "segmentation", scenes, "data", options=Options(val="val"))
    short = ("--minutes", 1e-4, "--size", 64)
    run("student", "data", "student.pt", *short, "--labelled", scenes)
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"\d+ steps; the student against the masks of val: accuracy ", lines[0])
    assert [line.split(":")[0] for line in lines[1:]] == [
        "masks against labels of val", "student against labels of val",
    ]  # fmt: skip
    scores = evaluate(named, scenes, split="val").scores
    shown = [float(number) for number in re.findall(r"[\d.]+(?= %)", lines[1])]
    assert shown == pytest.approx([scores.accuracy, scores.miou], abs=0.2)
    assert len(torch.load("student.pt", weights_only=True)) > 100
    for paths in (("gone", "new.pt"), ("data", "gone/new.pt"), ("data", "new.pt", "gone")):
        with pytest.raises(SystemExit):
            run("student", *paths[:2], *short, *(f"--labelled={one}" for one in paths[2:]))
        assert re.search(r"error: gone.*: does not exist; check", capsys.readouterr().err)
    assert not Path("new.pt").exists()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short_and_says_what_it_shows(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= (140 if path.stem == "student" else 60)
    docstring = text.split('"""')[1]
    assert re.search(rf"python (examples/)?{path.name} ", docstring)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_has_a_test(path: Path) -> None:
    tests = "".join(one.read_text(encoding="utf-8") for one in (ROOT / "tests").rglob("test_*.py"))
    assert f"def test_{path.stem}(" in tests or f"'examples' / '{path.name}'" in tests
