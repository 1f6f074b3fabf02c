"""COCO's instances JSON: run-lengths of classes, or polygons of regions."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from picie.errors import MissingExtraError
from picie.export.formats.layout import (
    ClassTable,
    Labelled,
    Options,
    append,
    in_folder,
    put_photo,
)
from picie.export.formats.polygons import one_ring, regions, simplified
from picie.inference.predict_each import Then
from picie.postprocessing.regions import boxes_of, fill_small_regions
from picie.postprocessing.upsampling import Mask

__all__ = ["CocoWriter"]


class CocoWriter:
    """OUT/annotations/instances_default.json, and the photos in OUT/images/.

    Category i + 1 is id i: COCO's categories count from 1. With run-lengths, each class of
    an image is one annotation; with polygons, each connected region is one, with holes cut open
    (polygons.py).
    Ignored pixels have no annotation. The lists are kept in files, not in memory.

    Args:
        out: the folder.
        classes: ids.
        options: photos, polygons, tolerance, min_area.

    Raises:
        MissingExtraError: pycocotools is missing.
        OSError: the lists cannot be created.
    """

    def __init__(self, out: Path, classes: ClassTable, options: Options) -> None:
        if not options.polygons:
            _pycocotools()
        self._out, self._classes, self._options = out, classes, options
        self._path = in_folder(out / "annotations" / "instances_default.json")
        self._images = self._path.with_name("images.part")
        self._annotations = self._path.with_name("annotations.part")
        for part in (self._images, self._annotations):
            append(part, "")
        self._number = self._annotation = 0

    def add(self, labelled: Labelled) -> Then:
        """Write one photo; the follow-up adds its entries to the lists."""
        name, options = labelled.file, self._options
        put_photo(labelled, self._out / "images" / name, options.photos)
        if options.polygons:
            mask = fill_small_regions(labelled.mask, options.min_area)
            annotations = list(_polygons(mask, options.tolerance))
        else:
            annotations = list(_runs(labelled.mask))
        height, width = labelled.mask.shape
        return lambda: self._list(
            {"file_name": name, "width": width, "height": height}, annotations
        )

    def close(self) -> None:
        """Join the lists into the JSON file."""
        categories = [
            {"id": number, "name": name, "supercategory": ""}
            for number, name in enumerate(self._classes.names, 1)
        ]
        with self._path.open("w", encoding="ascii") as file:
            file.write('{"info": {"description": "masks predicted by picie"}, "licenses": [],\n')
            file.write(f'"categories": {json.dumps(categories)},\n')
            for key, part, end in (
                ("images", self._images, ","),
                ("annotations", self._annotations, "}"),
            ):
                file.write(f'"{key}": [\n')
                with part.open(encoding="ascii") as entries:
                    shutil.copyfileobj(entries, file, 1 << 20)
                part.unlink()
                file.write(f"\n]{end}\n")

    def _list(self, image: dict[str, Any], annotations: list[dict[str, Any]]) -> None:
        comma = ",\n" * (self._number > 0)
        self._number += 1
        append(self._images, comma + json.dumps({"id": self._number} | image))
        parts = []
        for annotation in annotations:
            parts.append(",\n" * (self._annotation > 0))
            self._annotation += 1
            entry = {"id": self._annotation, "image_id": self._number, "iscrowd": 0} | annotation
            parts.append(json.dumps(entry))
        append(self._annotations, "".join(parts))


def _runs(mask: Mask) -> Iterator[dict[str, Any]]:
    """One annotation for each class, compressed run-lengths."""
    coding = _pycocotools()
    for number, box in enumerate(boxes_of(mask)):
        if box is None:
            continue
        inside = np.asfortranarray(mask == number, dtype=np.uint8)
        runs = coding.encode(inside)
        rows, columns = box
        yield {
            "category_id": number + 1,
            "segmentation": {"size": list(mask.shape), "counts": runs["counts"].decode("ascii")},
            "area": int(inside.sum()),
            "bbox": [
                columns.start,
                rows.start,
                columns.stop - columns.start,
                rows.stop - rows.start,
            ],
        }


def _polygons(mask: Mask, tolerance: float) -> Iterator[dict[str, Any]]:
    """One annotation for each connected region."""
    for region in regions(mask):
        outer = region.rings[0]
        (left, top), (right, bottom) = outer.min(0).tolist(), outer.max(0).tolist()
        ring = one_ring(simplified(region.rings, tolerance))
        yield {
            "category_id": region.id + 1,
            "segmentation": [ring.ravel().tolist()],
            "area": region.pixels,
            "bbox": [left, top, right - left, bottom - top],
        }


def _pycocotools() -> Any:
    try:
        from pycocotools import mask
    except ImportError:
        raise MissingExtraError(
            'picie export --format coco needs pycocotools: pip install "picie[export]"; or pass '
            "--polygons, which needs no package"
        ) from None
    return mask
