"""FiftyOne's ImageSegmentationDirectory."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from picie.export.formats.layout import ClassTable, Labelled
from picie.visualization.palette import palette

Export = Callable[..., Path]


def test_values_count_from_one(export: Export, gallery: list[Labelled], table: ClassTable) -> None:
    out = export("fiftyone")
    targets = json.loads((out / "mask_targets.json").read_text())
    for one in gallery:
        with Image.open(out / "labels" / f"{one.name}.png") as image:
            assert image.mode == "L"  # of indexed images FiftyOne reads the colours
            values = np.asarray(image)
        assert np.array_equal(values, one.mask + 1)
        photo = out / "data" / f"{one.name}{one.path.suffix}"
        assert photo.read_bytes() == one.path.read_bytes()
    assert targets == {str(number): name for number, name in enumerate(table.names, 1)}


def test_many_classes(export: Export, gallery: list[Labelled]) -> None:
    classes = ClassTable(tuple(map(str, range(300))), palette(300))
    one = replace(gallery[0], mask=gallery[0].mask + 296)
    with Image.open(export("fiftyone", [one], classes) / "labels" / "a b.png") as image:
        assert np.array_equal(np.asarray(image), one.mask + 1)
