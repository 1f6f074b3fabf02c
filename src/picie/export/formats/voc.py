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
    put_photo,
)
from picie.inference.predict_each import Then
from picie.postprocessing.upsampling import Mask
from picie.visualization.palette import Colours

__all__ = ["LabelMap", "VocWriter", "object_colours"]

_BACKGROUND = "background"
_BLACK = (0, 0, 0)  # of background, in masks and in labelmap.txt
_MOST = 254  # classes that fit between background (0) and void (255)
_VOID = 255
_VOID_COLOUR = (224, 224, 192)  # of object boundaries in VOC's own masks


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Mask values with 0 = background.

    Attributes:
        names: M names, without background.
        colours: (M + 1, 3) uint8, all different; black first, for background.
        values: (N,) uint8 value of each id: 1..M in order, or 0 for a class named background.
    """

    names: tuple[str, ...]
    colours: Colours
    values: NDArray[np.uint8]

    @classmethod
    def of(cls, classes: ClassTable, format: str) -> "LabelMap":
        """The values for ids.

        Raises:
            ConfigError: too many classes.
        """
        classes.at_most(_MOST, format)
        shown = np.array([name != _BACKGROUND for name in classes.names])
        values = np.where(shown, shown.cumsum(), 0).astype(np.uint8)
        colours = distinct(classes.colours[shown], (_BLACK, _VOID_COLOUR))
        names = tuple(name for name in classes.names if name != _BACKGROUND)
        return cls(names, np.vstack([[_BLACK], colours]).astype(np.uint8), values)

    def apply(self, mask: Mask, void: int) -> NDArray[np.uint8]:
        """(H, W) uint8 values of (H, W) ids; `void` for ignored pixels."""
        values: NDArray[np.uint8] = np.append(self.values, np.uint8(void))[mask]
        return values

    def text(self) -> str:
        """labelmap.txt: lines "name:red,green,blue::"."""
        lines = ["# label:color_rgb:parts:actions"]
        for name, row in zip((_BACKGROUND, *self.names), self.colours.tolist(), strict=True):
            lines.append(f"{name}:{','.join(map(str, row))}::")
        return "\n".join(lines) + "\n"


class VocWriter:
    """JPEGImages, SegmentationClass, SegmentationObject, ImageSets/Segmentation, labelmap.txt.

    Masks are indexed PNG: 0 = background, 1 and more the classes in the order of labelmap.txt,
    255 = ignored. Only a class named background has 0. Single objects are unknown, so each class of
    an image is one object in SegmentationObject. Photos in other formats are re-encoded as JPEG.

    Args:
        out: the folder.
        classes: ids.
        options: photos.

    Raises:
        ConfigError: too many classes.
    """

    def __init__(self, out: Path, classes: ClassTable, options: Options) -> None:
        self._out, self._options = out, options
        self._labels = LabelMap.of(classes, "voc")
        self._names: list[str] = []

    def add(self, labelled: Labelled) -> Then:
        """Write one photo and its two masks."""
        out = self._out
        photo = out / "JPEGImages" / f"{labelled.name}.jpg"
        put_photo(labelled, photo, self._options.photos)
        values = self._labels.apply(labelled.mask, _VOID)
        for folder, colours in (
            ("SegmentationClass", self._labels.colours),
            ("SegmentationObject", object_colours(255)),
        ):
            image = Image.fromarray(values)
            image.putpalette(colours.tobytes().ljust(3 * 255, b"\0") + bytes(_VOID_COLOUR))
            image.save(in_folder(out / folder / f"{labelled.name}.png"), format="PNG")
        return lambda: self._names.append(labelled.name)

    def close(self) -> None:
        """Write the list of images and the names."""
        path = in_folder(self._out / "ImageSets" / "Segmentation" / "default.txt")
        text = "".join(f"{name}\n" for name in self._names)
        path.write_text(text, encoding="utf-8")
        (self._out / "labelmap.txt").write_text(self._labels.text(), encoding="utf-8")


def object_colours(count: int) -> Colours:
    """(count, 3) uint8, the standard colours of object numbers in VOC.

    Each group of three bits of the number, lowest first, sets one bit of red, green and blue,
    highest first.
    """
    numbers = np.arange(count)
    colours = np.zeros((count, 3), np.uint8)
    for place in range(3):
        for channel in range(3):
            bits = (numbers >> (3 * place + channel) & 1) << (7 - place)
            colours[:, channel] |= bits.astype(np.uint8)
    return colours
