"""The layout of Pascal VOC's segmentation task."""

from pathlib import Path

import numpy as np
from PIL import Image

from picie.exports.layout import (
    ClassTable,
    Labelled,
    Options,
    distinct,
    in_folder,
    indexed,
)
from picie.exports.photos import put_photo_as
from picie.predicting import Then
from picie.report.palette import Colours

__all__ = ["BACKGROUND", "MOST", "VocWriter", "label_map", "object_colours"]

BACKGROUND = (0, 0, 0)
"""Colour of pixels that belong to no class: value 0 of masks."""

MOST = 254
"""Classes that fit between background (0) and void (255)."""

_VOID = 255
_VOID_COLOUR = (224, 224, 192)  # of the borders in VOC's own masks


class VocWriter:
    """JPEGImages, SegmentationClass, SegmentationObject, ImageSets/Segmentation, labelmap.txt.

    Masks are indexed PNG: 0 = background (no pixel has it), i + 1 = id i, 255 = ignored. Nothing
    is known of single objects, so in SegmentationObject each class of a picture is one. Photos that
    are no JPEG are written anew as such.

    Args:
        out: the folder.
        classes: ids.
        names: of all pictures.
        options: photos.

    Raises:
        ConfigError: more classes than fit, or a name that labelmap.txt cannot hold.
    """

    def __init__(
        self, out: Path, classes: ClassTable, names: tuple[str, ...], options: Options
    ) -> None:
        classes.at_most(MOST, "voc")
        classes.without(":", "voc")
        self._out, self._classes, self._options = out, classes, options
        self._colours = distinct(classes.colours, (BACKGROUND, _VOID_COLOUR))
        self._names: list[str] = []

    def add(self, one: Labelled) -> Then:
        """Write one photo and its two masks."""
        out = self._out
        photo = out / "JPEGImages" / f"{one.name}.jpg"
        put_photo_as(one, photo, self._options.photos, ".jpg", ".jpeg")
        values = indexed(one.mask, first=1, void=_VOID)
        painted = np.vstack([[BACKGROUND], self._colours]).astype(np.uint8)
        for folder, colours in (
            ("SegmentationClass", painted),
            ("SegmentationObject", object_colours(255)),
        ):
            picture = Image.fromarray(values)
            picture.putpalette(colours.tobytes().ljust(3 * 255, b"\0") + bytes(_VOID_COLOUR))
            picture.save(in_folder(out / folder / f"{one.name}.png"), format="PNG")
        return lambda: self._names.append(one.name)

    def close(self) -> None:
        """Write the list of pictures and the names."""
        path = in_folder(self._out / "ImageSets" / "Segmentation" / "default.txt")
        text = "".join(f"{name}\n" for name in self._names)
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
        text = label_map(self._classes.names, self._colours)
        (self._out / "labelmap.txt").write_text(text, encoding="utf-8")


def label_map(names: tuple[str, ...], colours: Colours) -> str:
    """Lines "name:red,green,blue::", background first.

    Args:
        names: N names.
        colours: (N, 3) uint8.
    """
    lines = ["# label:color_rgb:parts:actions", f"background:{','.join(map(str, BACKGROUND))}::"]
    rows = colours.tolist()
    lines += [f"{name}:{','.join(map(str, row))}::" for name, row in zip(names, rows, strict=True)]
    return "\n".join(lines) + "\n"


def object_colours(count: int) -> Colours:
    """(count, 3) uint8 colours by which VOC numbers objects.

    From the lowest bits of the number on, three at a time give a bit of red, green and blue each,
    the highest first.
    """
    numbers = np.arange(count)
    colours = np.zeros((count, 3), np.uint8)
    for place in range(3):
        for channel in range(3):
            colours[:, channel] |= ((numbers >> (3 * place + channel) & 1) << (7 - place)).astype(
                np.uint8
            )
    return colours
