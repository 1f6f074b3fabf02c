"""Indexed PNG masks and a list of class names."""

from pathlib import Path

from picie.data.lists import class_lines
from picie.export.formats.layout import ClassTable, Labelled, Options, in_folder
from picie.visualization.masks import mask_image

__all__ = ["PngWriter"]


class PngWriter:
    """OUT/<name>.png, the value of a pixel its id; classes.txt, line i names id i.

    Up to 255 classes: 8-bit with a palette, 255 = ignored. More: 16-bit grey, 65535 = ignored.

    Args:
        out: the folder.
        classes: ids.
        options: unused.
    """

    def __init__(self, out: Path, classes: ClassTable, options: Options) -> None:
        self._out, self._classes = out, classes

    def add(self, labelled: Labelled) -> None:
        """Write one mask."""
        image = mask_image(labelled.mask, self._classes.colours)
        image.save(in_folder(self._out / f"{labelled.name}.png"), format="PNG")

    def close(self) -> None:
        """Write the names."""
        text = class_lines(self._classes.names)
        (self._out / "classes.txt").write_text(text, encoding="utf-8")
