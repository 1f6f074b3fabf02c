"""Indexed PNG masks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from picie.export.formats.layout import ClassTable, Labelled
from picie.visualization.palette import palette

Export = Callable[..., Path]


def test_values_are_ids_and_the_palette_their_colours(
    export: Export, gallery: list[Labelled], table: ClassTable
) -> None:
    out = export("png")
    assert (out / "classes.txt").read_text(encoding="utf-8").splitlines() == list(table.names)
    for one in gallery:
        with Image.open(out / f"{one.name}.png") as image:
            assert image.mode == "P"
            colours = image.getpalette("RGB")
            assert np.array_equal(np.asarray(image), np.where(one.mask < 0, 255, one.mask))
        assert colours is not None
        assert colours[:12] == table.colours.ravel().tolist()


def test_many_classes_are_16_bit(export: Export, gallery: list[Labelled]) -> None:
    classes = ClassTable(tuple(f"c{number}" for number in range(300)), palette(300))
    out = export("png", gallery[:1], classes)
    with Image.open(out / f"{gallery[0].name}.png") as image:
        values = np.asarray(image)
    assert np.array_equal(values, np.where(gallery[0].mask < 0, 65535, gallery[0].mask))
