"""Polygons for Ultralytics YOLO."""

import json
from pathlib import Path

import numpy as np

from picie.export.formats.layout import (
    ClassTable,
    Labelled,
    Options,
    flat_names,
    in_folder,
    put_photo,
)
from picie.export.formats.polygons import one_ring, regions, simplified

__all__ = ["YoloWriter"]


class YoloWriter:
    """OUT/labels/train/<name>.txt, the photos in OUT/images/train/, and data.yaml.

    A line for each connected region: its id, then x y of each corner as shares of width and height;
    holes are cut open (polygons.py). Subfolders become part of the name (a/b is a__b), because the
    trainer finds labels by replacing the folder images/ in the path of the photo.

    Args:
        out: the folder.
        classes: ids.
        names: of all images.
        options: photos, tolerance.
    """

    def __init__(
        self, out: Path, classes: ClassTable, names: tuple[str, ...], options: Options
    ) -> None:
        self._out, self._classes, self._options = out, classes, options
        self._names = flat_names(names)

    def add(self, one: Labelled) -> None:
        """Write one photo and its polygons."""
        name = self._names[one.name]
        photo = self._out / "images" / "train" / f"{name}{one.path.suffix}"
        put_photo(one, photo, self._options.photos)
        size = np.array(one.mask.shape[::-1])
        lines = []
        for region in regions(one.mask):
            ring = one_ring(simplified(region.rings, self._options.tolerance))
            places = " ".join(f"{value:.7g}" for value in (ring / size).ravel().tolist())
            lines.append(f"{region.id} {places}\n")
        path = in_folder(self._out / "labels" / "train" / f"{name}.txt")
        path.write_text("".join(lines), encoding="ascii")

    def close(self) -> None:
        """Write data.yaml."""
        names = "".join(
            f"  {number}: {json.dumps(name, ensure_ascii=False)}\n"
            for number, name in enumerate(self._classes.names)
        )
        text = (
            "# Masks predicted by picie. Paths start from this file. There is one split: set val\n"
            "# to images of your own before you trust a score.\n"
            f"train: images/train\nval: images/train\nnames:\n{names}"
        )
        (self._out / "data.yaml").write_text(text, encoding="utf-8")
