"""Photos and masks in two parts, read back by the rules of the programs that train on them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from picie.errors import ConfigError
from picie.export.formats.layout import ClassTable, Labelled, Options
from picie.export.masks import export_masks
from picie.inference.segmenter import Segmenter
from picie.visualization.palette import palette

Export = Callable[..., Path]


def test_photos_and_masks_pair_by_name(export: Export, gallery: list[Labelled]) -> None:
    out = export("segmentation", validation=frozenset({"plain"}))
    for one in gallery:
        part = "val" if one.name == "plain" else "train"
        with Image.open(out / "masks" / part / f"{one.name}.png") as mask:
            assert mask.mode == "L"
            assert np.array_equal(np.asarray(mask), np.where(one.mask < 0, 255, one.mask))
        with Image.open(out / "images" / part / f"{one.name}.jpg") as image:
            assert (image.format, image.size) == ("JPEG", one.mask.shape[::-1])
    assert len(list(out.rglob("*.jpg"))) == len(list(out.rglob("*.png"))) == len(gallery)


def test_lightly_train_finds_files_and_names(export: Export, table: ClassTable) -> None:
    yaml = pytest.importorskip("yaml")
    out = export("segmentation", validation=frozenset({"plain"}))
    data = yaml.safe_load((out / "lightly_train.yaml").read_text())
    for part in ("train", "val"):  # paths are relative to the file, masks are PNG of one stem
        for photo in (out / data[part]["images"]).rglob("*.*"):
            inside = photo.relative_to(out / data[part]["images"])
            assert (out / data[part]["masks"] / inside).with_suffix(".png").is_file()
    names = json.loads((out / data["classes"]).read_text())
    assert names == {str(number): name for number, name in enumerate(table.names)}


def test_mmsegmentation_finds_files_and_names(export: Export) -> None:
    names = ("it's", 'a "b"', "日本")
    out = export("segmentation", classes=ClassTable(names, palette(3)))
    text = (out / "mmseg_dataset.py").read_text()
    # As mmengine reads a config: the folder of the file is put in its place first.
    values: dict[str, Any] = {}
    exec(re.sub(r"\{\{\s*fileDirname\s*\}\}", out.as_posix(), text), values)
    assert values["metainfo"] == {"classes": names, "palette": palette(3).tolist()}
    for part, kind in (("train", "train_dataloader"), ("val", "val_dataloader")):
        data = values[kind]["dataset"]
        assert data["type"] == "BaseSegDataset"  # .jpg, .png, 255 ignored, id 0 kept by default
        assert data["metainfo"] is values["metainfo"]
        assert data["data_root"] == out.as_posix()
        prefix = {"img_path": f"images/{part}", "seg_map_path": f"masks/{part}"}
        assert data["data_prefix"] == prefix


def test_names_survive_that_the_extension_is_replaced_wherever_it_is(
    model: Segmenter, tmp_path: Path
) -> None:
    for name in ("a.jpg.png", "a.png", "b.jpeg"):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(np.full((32, 40, 3), 90, np.uint8)).save(tmp_path / "in" / name)
    export_masks(
        model, "segmentation", tmp_path / "in", tmp_path / "out", options=Options(val="b*")
    )
    photos = sorted((tmp_path / "out" / "images").rglob("*.jpg"))
    assert [one.parent.name for one in photos] == ["train", "train", "val"]
    for one in photos:
        mask = str(one).replace(".jpg", ".png").replace("/images/", "/masks/")
        assert Path(mask).is_file()


def test_it_needs_photos_and_room_for_void(export: Export) -> None:
    with pytest.raises(ConfigError, match="--photos none: --format segmentation contains its"):
        export("segmentation", photos="none")


def test_it_holds_255_classes(export: Export) -> None:
    names = tuple(f"class {number}" for number in range(256))
    with pytest.raises(ConfigError, match="--format segmentation holds at most 255"):
        export("segmentation", classes=ClassTable(names, palette(256)))
