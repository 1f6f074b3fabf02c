"""CVAT's archive "Segmentation mask 1.1"."""

import shutil
import zipfile
from pathlib import Path

from PIL import Image

from picie.export.formats.layout import (
    ClassTable,
    Labelled,
    Options,
    in_folder,
    put_photo,
)
from picie.export.formats.voc import LabelMap, object_colours
from picie.inference.predict_each import Then

__all__ = ["CvatWriter"]

_MASKS = ("SegmentationClass", "SegmentationObject")


class CvatWriter:
    """OUT/annotations.zip to upload, and the photos in OUT/images/ to make the task from.

    The archive contains labelmap.txt, ImageSets/Segmentation/default.txt, and SegmentationClass and
    SegmentationObject in the colours of the label map; each class of an image is one object.
    Ignored pixels are background, which CVAT leaves unlabelled.

    Args:
        out: the folder.
        classes: ids.
        options: photos.

    Raises:
        ConfigError: too many classes.
    """

    def __init__(self, out: Path, classes: ClassTable, options: Options) -> None:
        self._out, self._options = out, options
        self._labels = LabelMap.of(classes, "cvat")
        self._names: list[str] = []

    def add(self, labelled: Labelled) -> Then:
        """Write one photo and its two masks; `close` adds the masks to the archive."""
        put_photo(labelled, self._out / "images" / labelled.file, self._options.photos)
        values = self._labels.apply(labelled.mask, 0)
        colours = (self._labels.colours, object_colours(256))
        for folder, painted in zip(_MASKS, colours, strict=True):
            path = in_folder(self._out / folder / f"{labelled.name}.png")
            Image.fromarray(painted[values]).save(path, format="PNG")
        return lambda: self._names.append(labelled.name)

    def close(self) -> None:
        """Write the archive."""
        names = "".join(f"{name}\n" for name in self._names)
        # PNG files are compressed already.
        with zipfile.ZipFile(self._out / "annotations.zip", "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("labelmap.txt", self._labels.text())
            archive.writestr("ImageSets/Segmentation/default.txt", names)
            for folder in _MASKS:
                for name in self._names:
                    archive.write(self._out / folder / f"{name}.png", f"{folder}/{name}.png")
                shutil.rmtree(self._out / folder, ignore_errors=True)
