"""CVAT's archive "Segmentation mask 1.1"."""

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picie.exports.layout import ClassTable, Labelled, Options
from picie.exports.photos import photo_file, put_photo
from picie.exports.voc import LabelMap, object_colours
from picie.predicting import Then

__all__ = ["CvatWriter"]


class CvatWriter:
    """OUT/annotations.zip to upload, and the photos in OUT/images/ to make the task from.

    The archive has labelmap.txt, ImageSets/Segmentation/default.txt and, painted in the colours of
    the label map, SegmentationClass and SegmentationObject; each class of a picture is one object.
    Ignored pixels are background, which CVAT leaves empty.

    Args:
        out: the folder.
        classes: ids.
        names: of all pictures.
        options: photos.

    Raises:
        ConfigError: more classes than fit, or a name that labelmap.txt cannot hold.
        OSError: the archive cannot be begun.
    """

    def __init__(
        self, out: Path, classes: ClassTable, names: tuple[str, ...], options: Options
    ) -> None:
        self._out, self._options = out, options
        self._labels = LabelMap.of(classes, "cvat")
        self._names: list[str] = []
        # PNG files are compressed already.
        self._archive = zipfile.ZipFile(out / "annotations.zip", "w", zipfile.ZIP_STORED)

    def add(self, one: Labelled) -> Then:
        """Write one photo and make its two masks; they enter the archive later."""
        put_photo(one, self._out / "images" / photo_file(one), self._options.photos)
        values = self._labels.apply(one.mask, 0)
        classes = _png(self._labels.colours[values])
        objects = _png(object_colours(256)[values])

        def store() -> None:
            self._archive.writestr(f"SegmentationClass/{one.name}.png", classes)
            self._archive.writestr(f"SegmentationObject/{one.name}.png", objects)
            self._names.append(one.name)

        return store

    def close(self) -> None:
        """Finish the archive."""
        names = "".join(f"{name}\n" for name in self._names)
        self._archive.writestr("ImageSets/Segmentation/default.txt", names)
        self._archive.writestr("labelmap.txt", self._labels.text())
        self._archive.close()


def _png(picture: NDArray[np.uint8]) -> bytes:
    data = io.BytesIO()
    Image.fromarray(picture).save(data, format="PNG")
    return data.getvalue()
