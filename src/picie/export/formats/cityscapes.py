"""The folder layout of Cityscapes."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from picie.export.formats.layout import (
    ClassTable,
    Labelled,
    Options,
    distinct,
    in_folder,
    indexed,
    put_photo,
)
from picie.visualization.masks import colour_mask

__all__ = ["CityscapesWriter"]

_VOID = 255
_BLACK = (0, 0, 0)
_TREE = "train"


class CityscapesWriter:
    """leftImg8bit/train/<city>/<name>_leftImg8bit.png, gtFine/train/<city>/<name>_gtFine_*.png.

    The city is the first folder of a photo's name, or "photos". _labelIds has the ids, 255 =
    ignored; _color has the mask in colours, black = ignored. labels.json has names and colours.
    Photos in other formats are re-encoded as PNG.

    Args:
        out: the folder.
        classes: ids.
        options: photos.

    Raises:
        ConfigError: too many classes.
    """

    def __init__(self, out: Path, classes: ClassTable, options: Options) -> None:
        classes.at_most(_VOID, "cityscapes")
        self._out, self._options = out, options
        self._classes = ClassTable(classes.names, distinct(classes.colours, (_BLACK,)))

    def add(self, labelled: Labelled) -> None:
        """Write one photo and its two masks."""
        photo = self._out / "leftImg8bit" / _TREE / f"{labelled.name}_leftImg8bit.png"
        put_photo(labelled, photo, self._options.photos)
        start = self._out / "gtFine" / _TREE / labelled.name
        ids = in_folder(start.with_name(f"{start.name}_gtFine_labelIds.png"))
        Image.fromarray(indexed(labelled.mask, first=0, void=_VOID)).save(ids, format="PNG")
        painted = colour_mask(labelled.mask, self._classes.colours)
        painted[labelled.mask < 0] = _BLACK
        colour = start.with_name(f"{start.name}_gtFine_color.png")
        Image.fromarray(painted).save(colour, format="PNG")

    def close(self) -> None:
        """Write the names."""
        rows = np.asarray(self._classes.colours).tolist()
        labels = [
            {"id": number, "name": name, "color": colour}
            for number, (name, colour) in enumerate(zip(self._classes.names, rows, strict=True))
        ]
        (self._out / "labels.json").write_text(
            json.dumps(labels, indent=1) + "\n", encoding="ascii"
        )
