"""Polygons for Ultralytics YOLO."""

import json
from pathlib import Path

import numpy as np

from picie.export.formats.layout import (
    ClassTable,
    Labelled,
    Options,
    in_folder,
    put_photo,
)
from picie.export.formats.polygons import one_ring, regions, simplified
from picie.postprocessing.regions import fill_small_regions

__all__ = ["YoloWriter"]


class YoloWriter:
    """OUT/labels/train/<name>.txt, the photos in OUT/images/train/, and data.yaml.

    One line per connected region: its id, then x y of each corner as fractions of width and height;
    holes are cut open (polygons.py). YOLO finds labels by replacing images/ in the path of a photo.

    Args:
        out: the folder.
        classes: ids.
        options: photos, tolerance, min_area.
    """

    def __init__(self, out: Path, classes: ClassTable, options: Options) -> None:
        self._out, self._classes, self._options = out, classes, options

    def add(self, labelled: Labelled) -> None:
        """Write one photo and its polygons."""
        options = self._options
        put_photo(labelled, self._out / "images" / "train" / labelled.file, options.photos)
        size = np.array(labelled.mask.shape[::-1])
        lines = []
        for region in regions(fill_small_regions(labelled.mask, options.min_area)):
            ring = one_ring(simplified(region.rings, options.tolerance))
            places = " ".join(f"{value:.7g}" for value in (ring / size).ravel().tolist())
            lines.append(f"{region.id} {places}\n")
        path = in_folder(self._out / "labels" / "train" / f"{labelled.name}.txt")
        path.write_text("".join(lines), encoding="ascii")

    def close(self) -> None:
        """Write data.yaml."""
        names = "".join(
            f"  {number}: {json.dumps(name, ensure_ascii=False)}\n"
            for number, name in enumerate(self._classes.names)
        )
        text = (
            "# Masks predicted by picie. Paths are relative to this file. There is one split:\n"
            "# set val to labelled images of your own before you trust a score.\n"
            f"train: images/train\nval: images/train\nnames:\n{names}"
        )
        (self._out / "data.yaml").write_text(text, encoding="utf-8")
