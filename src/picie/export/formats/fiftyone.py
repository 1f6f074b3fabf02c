"""FiftyOne's ImageSegmentationDirectory."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from picie.export.formats.layout import (
    ClassTable,
    Labelled,
    Options,
    in_folder,
    put_photo,
)

__all__ = ["FiftyOneWriter"]


class FiftyOneWriter:
    """OUT/data/, OUT/labels/ and mask_targets.json.

    FiftyOne treats 0 as background and hides it, so id i has value i + 1, and 0 = ignored. Masks
    are grey PNG, 16-bit for more than 255 classes: of indexed PNG FiftyOne reads the colours.

    Args:
        out: the folder.
        classes: ids.
        options: photos.
    """

    def __init__(self, out: Path, classes: ClassTable, options: Options) -> None:
        self._out, self._classes, self._options = out, classes, options
        self._kind = np.uint8 if len(classes.names) <= 255 else np.uint16

    def add(self, labelled: Labelled) -> None:
        """Write one photo and its mask."""
        put_photo(labelled, self._out / "data" / labelled.file, self._options.photos)
        image = Image.fromarray((labelled.mask + 1).astype(self._kind))
        image.save(in_folder(self._out / "labels" / f"{labelled.name}.png"), format="PNG")

    def close(self) -> None:
        """Write the names by value."""
        targets = dict(enumerate(self._classes.names, 1))
        text = json.dumps(targets, indent=1) + "\n"
        (self._out / "mask_targets.json").write_text(text, encoding="ascii")
