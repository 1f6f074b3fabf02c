"""FiftyOne's ImageSegmentationDirectory."""

import json
from pathlib import Path

import numpy as np

from picie.export.formats.layout import (
    ClassTable,
    Labelled,
    Options,
    in_folder,
    photo_file,
    put_photo,
)
from picie.visualization.masks import mask_image

__all__ = ["FiftyOneWriter"]


class FiftyOneWriter:
    """OUT/data/, OUT/labels/ and mask_targets.json.

    FiftyOne treats 0 as background and hides it, so id i has value i + 1, and 0 = ignored. Masks
    are indexed PNG, or 16-bit PNG for more than 254 classes.

    Args:
        out: the folder.
        classes: ids.
        names: of all images.
        options: photos.
    """

    def __init__(
        self, out: Path, classes: ClassTable, names: tuple[str, ...], options: Options
    ) -> None:
        self._out, self._classes, self._options = out, classes, options
        self._colours = np.vstack([np.zeros((1, 3), np.uint8), classes.colours])

    def add(self, labelled: Labelled) -> None:
        """Write one photo and its mask."""
        put_photo(labelled, self._out / "data" / photo_file(labelled), self._options.photos)
        image = mask_image(labelled.mask + 1, self._colours)
        image.save(in_folder(self._out / "labels" / f"{labelled.name}.png"), format="PNG")

    def close(self) -> None:
        """Write the names by value."""
        targets = dict(enumerate(self._classes.names, 1))
        text = json.dumps(targets, indent=1) + "\n"
        (self._out / "mask_targets.json").write_text(text, encoding="ascii")
