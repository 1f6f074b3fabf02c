from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from picie.data.datasets.voc import VOC21
from picie.data.folder import PhotoFolder

Opened = Callable[..., PhotoFolder]
Put = Callable[..., Path]


def test_lists_masks_and_their_palette(put: Put, opened: Opened, tmp_path: Path) -> None:
    ids = np.array([[*range(21), 255]], np.uint8)
    for name in ("2007_000001", "2007_000002", "2007_000003"):
        put(f"JPEGImages/{name}.jpg", np.zeros((1, 22, 3)))
    mask = Image.fromarray(ids)
    mask.putpalette(np.array(VOC21.palette, np.uint8).tobytes())
    (tmp_path / "SegmentationClass").mkdir()
    mask.save(tmp_path / "SegmentationClass" / "2007_000001.png")
    put("SegmentationClassAug/2007_000002.png", ids)
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("2007_000001\n")
    (lists / "trainaug.txt").write_text("2007_000002\n")
    for split in ("val", "trainaug"):
        folder = opened("voc21", split)
        [photo] = folder.photos
        assert folder.truth(photo, image_size=(22, 1))[0].tolist() == [*range(21), 255]
    assert len(opened("voc21", "pictures", labelled=False)) == 3


def test_palette_is_the_official_one() -> None:
    colours = dict(zip(VOC21.classes, VOC21.palette, strict=True))
    assert colours["background"] == (0, 0, 0)
    assert colours["aeroplane"] == (128, 0, 0)
    assert colours["tv monitor"] == (0, 64, 128)
