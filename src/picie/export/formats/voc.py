"""The layout of Pascal VOC's segmentation task."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picie.export.formats.layout import (
    ClassTable,
    Labelled,
    Options,
    distinct,
    in_folder,
    put_photo_as,
)
from picie.inference.predict_folder import Then
from picie.postprocessing.upsampling import Mask
from picie.visualization.palette import Colours

__all__ = ["LabelMap", "VocWriter", "object_colours"]

_BACKGROUND = "background"
_BLACK = (0, 0, 0)  # of background, in masks and in labelmap.txt
_MOST = 254  # classes that fit between background (0) and void (255)
_VOID = 255
_VOID_COLOUR = (224, 224, 192)  # of the borders in VOC's own masks


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Values of masks in which 0 is background.

    Attributes:
        names: M names, without background.
        colours: (M + 1, 3) uint8, all different; black first, for background.
        values: (N,) uint8 value of each id: 1..M in their order, or 0 for a class that is called
            background.
    """

    names: tuple[str, ...]
    colours: Colours
    values: NDArray[np.uint8]

    @classmethod
    def of(cls, classes: ClassTable, format: str) -> "LabelMap":
        """The values for ids.

        Raises:
            ConfigError: more classes than fit, or a name that labelmap.txt cannot hold.
        """
        classes.at_most(_MOST, format)
        classes.without(":", format)
        shown = np.array([name != _BACKGROUND for name in classes.names])
        values = np.where(shown, shown.cumsum(), 0).astype(np.uint8)
        colours = distinct(classes.colours[shown], (_BLACK, _VOID_COLOUR))
        names = tuple(name for name in classes.names if name != _BACKGROUND)
        return cls(names, np.vstack([[_BLACK], colours]).astype(np.uint8), values)

    def apply(self, mask: Mask, void: int) -> NDArray[np.uint8]:
        """(H, W) uint8 values of (H, W) ids; `void` where a class is ignored."""
        found: NDArray[np.uint8] = np.append(self.values, np.uint8(void))[mask]
        return found

    def text(self) -> str:
        """labelmap.txt: lines "name:red,green,blue::"."""
        lines = ["# label:color_rgb:parts:actions"]
        for name, row in zip((_BACKGROUND, *self.names), self.colours.tolist(), strict=True):
            lines.append(f"{name}:{','.join(map(str, row))}::")
        return "\n".join(lines) + "\n"


class VocWriter:
    """JPEGImages, SegmentationClass, SegmentationObject, ImageSets/Segmentation, labelmap.txt.

    Masks are indexed PNG: 0 = background, 1 and more the classes in the order of labelmap.txt,
    255 = ignored. Only a class that is called background has 0. Nothing is known of single objects,
    so in SegmentationObject each class of an image is one. Photos that are no JPEG are written
    anew as such.

    Args:
        out: the folder.
        classes: ids.
        names: of all images.
        options: photos.

    Raises:
        ConfigError: more classes than fit, or a name that labelmap.txt cannot hold.
    """

    def __init__(
        self, out: Path, classes: ClassTable, names: tuple[str, ...], options: Options
    ) -> None:
        self._out, self._options = out, options
        self._labels = LabelMap.of(classes, "voc")
        self._names: list[str] = []

    def add(self, one: Labelled) -> Then:
        """Write one photo and its two masks."""
        out = self._out
        photo = out / "JPEGImages" / f"{one.name}.jpg"
        put_photo_as(one, photo, self._options.photos, ".jpg", ".jpeg")
        values = self._labels.apply(one.mask, _VOID)
        for folder, colours in (
            ("SegmentationClass", self._labels.colours),
            ("SegmentationObject", object_colours(255)),
        ):
            image = Image.fromarray(values)
            image.putpalette(colours.tobytes().ljust(3 * 255, b"\0") + bytes(_VOID_COLOUR))
            image.save(in_folder(out / folder / f"{one.name}.png"), format="PNG")
        return lambda: self._names.append(one.name)

    def close(self) -> None:
        """Write the list of images and the names."""
        path = in_folder(self._out / "ImageSets" / "Segmentation" / "default.txt")
        text = "".join(f"{name}\n" for name in self._names)
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
        (self._out / "labelmap.txt").write_text(self._labels.text(), encoding="utf-8")


def object_colours(count: int) -> Colours:
    """(count, 3) uint8 colours by which VOC numbers objects.

    From the lowest bits of the number on, three at a time give a bit of red, green and blue each,
    the highest first.
    """
    numbers = np.arange(count)
    colours = np.zeros((count, 3), np.uint8)
    for place in range(3):
        for channel in range(3):
            bits = (numbers >> (3 * place + channel) & 1) << (7 - place)
            colours[:, channel] |= bits.astype(np.uint8)
    return colours
