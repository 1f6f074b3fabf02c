"""FiftyOne's ImageSegmentationDirectory."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from picie.export.formats.layout import ClassTable, Labelled

Export = Callable[..., Path]


def test_values_count_from_one(export: Export, gallery: list[Labelled], table: ClassTable) -> None:
    out = export("fiftyone")
    targets = json.loads((out / "mask_targets.json").read_text())
    for one in gallery:
        with Image.open(out / "labels" / f"{one.name}.png") as image:
            values = np.asarray(image)
        assert np.array_equal(values, one.mask + 1)
        photo = out / "data" / f"{one.name}{one.path.suffix}"
        assert photo.read_bytes() == one.path.read_bytes()
    assert targets == {str(number): name for number, name in enumerate(table.names, 1)}
