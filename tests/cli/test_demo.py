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
    main(["demo", "--out", str(tmp_path), "--quiet"])
    capsys.readouterr()
    (tmp_path / "notes.txt").write_text("mine")
    before = (tmp_path / "sheet.png").read_bytes()
    code, text = failure("demo", "--out", tmp_path)
    assert code == 2
    assert "already holds a demo; choose another --out or pass --overwrite" in text
    capsys.readouterr()
    main(["demo", "--out", str(tmp_path), "--overwrite", "--quiet", "--seed", "3"])
    assert capsys.readouterr().err == ""
    assert (tmp_path / "sheet.png").read_bytes() != before
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "file",
    ["sheet.png", "masks/scene_0006.png", "masks/mine.png", "model/notes", "scenes/mine.jpg"],
)
def test_files_of_others_are_not_replaced_by_a_demo(
    failure: Callable[..., tuple[int, str]], tmp_path: Path, file: str
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("mine")
    code, text = failure("demo", "--out", tmp_path, "--overwrite", "--quiet")
    assert code == 2
    assert "choose another --out" in text
    assert (tmp_path / file).read_text() == "mine"
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == 1


@pytest.mark.usefixtures("small")
def test_a_corrected_mask_is_not_replaced_by_a_demo(
    failure: Callable[..., tuple[int, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["demo", "--out", str(tmp_path), "--quiet"])
    capsys.readouterr()
    for mask in ("masks/scene_0006.png", "scenes/masks/scene_0001.png"):
        before = (tmp_path / mask).read_bytes()
        (tmp_path / mask).write_bytes(before + b"corrected")
        code, text = failure("demo", "--out", tmp_path, "--overwrite", "--quiet")
        assert code == 2
        assert f"{mask}: was not written by the demo, or was changed since" in text
        (tmp_path / mask).write_bytes(before)


@pytest.mark.usefixtures("small")
def test_a_demo_of_an_early_version_is_replaced(tmp_path: Path) -> None:
    main(["demo", "--out", str(tmp_path), "--quiet"])
    (tmp_path / "scenes" / ".picie-scenes.json").unlink()
    (tmp_path / "masks" / "masks.jsonl").unlink()
    with Image.open(tmp_path / "sheet.png") as image:
        image.copy().save(tmp_path / "sheet.png")
    main(["demo", "--out", str(tmp_path), "--overwrite", "--quiet"])
    assert (tmp_path / "masks" / "masks.jsonl").exists()
