"""`picie demo` with smaller scenes and a smaller network, every part of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import picie.cli.demo as demo
from picie.cli.app import main
from picie.data.synthetic.scenes import CLASSES, write_scenes
from picie.inference.segmenter import Segmenter, load
from picie.training.loop import train


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, settings: dict[str, dict[str, Any]]) -> None:
    def few_scenes(out: Path, *, train: int, val: int, seed: int) -> Path:
        assert train > val > 0
        return write_scenes(out, train=6, val=3, size=(48, 64), seed=seed)

    def short_training(data: Path, out: Path, **options: Any) -> Segmenter:
        kept = {name: value for name, value in settings["default"].items() if name not in options}
        return train(data, out, **options, **kept | {"epochs": 1, "kmeans_pixels": 32})

    monkeypatch.setattr(demo, "write_scenes", few_scenes)
    monkeypatch.setattr(demo, "train", short_training)


def sheet_of(out: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(out / "sheet.png"))


@pytest.mark.usefixtures("small")
def test_the_demo_makes_scenes_model_masks_scores_and_a_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs" / "demo"
    main(["demo", "--out", str(out), "--seed", "3"])
    captured = capsys.readouterr()
    assert {path.name for path in out.iterdir()} == {"scenes", "model", "masks", "sheet.png"}
    model = load(out / "model")
    assert model.clusters == len(CLASSES)
    assert (model.config.seed, model.config.split) == (3, "train")
    for name in (out / "scenes" / "val.txt").read_text().split():
        mask = np.asarray(Image.open(out / "masks" / f"{name}.png"))
        assert np.array_equal(mask, model.predict(out / "scenes" / "images" / f"{name}.jpg"))
        assert (out / "masks" / "overlays" / f"{name}.png").exists()
    assert sheet_of(out).shape[0] > 100
    assert "accuracy" in captured.out
    assert all(name in captured.out for name in CLASSES)
    assert "4/4" in captured.err
    assert f"image sheet: {out / 'sheet.png'}" in captured.err


@pytest.mark.usefixtures("small")
def test_a_demo_is_replaced_only_if_asked(
    failure: Callable[..., tuple[int, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sheet.png").write_text("an earlier one")
    (tmp_path / "model").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    code, text = failure("demo", "--out", tmp_path)
    assert code == 2
    assert "already holds a demo; choose another --out or pass --overwrite" in text
    assert (tmp_path / "sheet.png").read_text() == "an earlier one"
    main(["demo", "--out", str(tmp_path), "--overwrite", "--quiet"])
    assert capsys.readouterr().err == ""
    assert sheet_of(tmp_path).shape[0] > 100
    assert (tmp_path / "notes.txt").read_text() == "mine"
