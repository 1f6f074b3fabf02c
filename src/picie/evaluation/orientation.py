"""Whether masks of turned images are drawn on the images as they are stored, or as they are shown.

The borders in a mask mostly follow edges of its image. In some sets they do not (blocks of text are
outlined in the blank between them), so the agreement decides only where it is strong and clear.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picie.data.opening import turned
from picie.types import VOID

__all__ = ["Agreement", "edge_agreement"]

_SIDE = 512  # at about this size, a border that is a pixel or two off still lies on its edge
_LEAST = 4  # images
_EDGY = math.log(1.2)  # mean agreement of masks whose borders follow edges
_CLEAR = 0.15  # mean difference of the logarithms
_SURE = 4.0  # standard errors of the mean difference
_SPREAD = 0.25  # least standard deviation, for images that are much alike


def edge_agreement(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float | None:
    """Mean contrast across the borders of a mask, divided by that of the image.

    Args:
        image: (H, W, 3) uint8.
        truth: (H, W) class ids, 255 = void; borders of void do not count.

    Returns:
        about 1 if the borders have nothing to do with the edges, more if they follow them; None
        without borders or contrast.
    """
    step = -(-max(truth.shape) // _SIDE)
    grey = np.asarray(Image.fromarray(image).convert("L").reduce(step), np.float32)
    ids = truth[step // 2 :: step, step // 2 :: step]
    height, width = (min(sides) for sides in zip(grey.shape, ids.shape, strict=True))
    grey, ids = grey[:height, :width], ids[:height, :width]
    across, contrast = np.zeros(0, np.float32), np.zeros(0, np.float32)
    for axis in (0, 1):
        steps = np.abs(np.diff(grey, axis=axis))
        before, after = np.delete(ids, -1, axis), np.delete(ids, 0, axis)
        border = (before != after) & (before != VOID) & (after != VOID)
        across = np.concatenate([across, steps[border]])
        contrast = np.concatenate([contrast, steps.ravel()])
    if not len(across) or not contrast.any():
        return None
    return float(across.mean() / contrast.mean())


@dataclass
class Agreement:
    """Agreement of masks with edges, as shown and as stored, over the images that leave it open.

    Attributes:
        pairs: by file of the mask, the logarithms of both.
    """

    pairs: dict[Path | str, tuple[float, float]] = field(default_factory=dict)

    def add(
        self, path: Path | str, image: NDArray[np.uint8], truth: NDArray[np.uint8], orientation: int
    ) -> None:
        """Measure an image whose mask fits both ways; each file counts once.

        Args:
            path: file of the mask.
            image: (H, W, 3) uint8, upright.
            truth: (H, W) class ids, read as drawn on the upright image.
            orientation: EXIF orientation of the image, 2..8.
        """
        if path in self.pairs:
            return
        values = [edge_agreement(image, mask) for mask in (truth, turned(truth, orientation))]
        if all(values):
            shown, stored = (math.log(value) for value in values if value)
            self.pairs[path] = (shown, stored)

    @property
    def better(self) -> Literal["shown", "stored", ""]:
        """The reading that fits, if that is sure; else ""."""
        if len(self.pairs) < _LEAST:
            return ""
        shown, stored = np.array(list(self.pairs.values())).T
        gain = stored - shown
        error = max(float(gain.std(ddof=1)), _SPREAD) / math.sqrt(len(gain))
        if max(shown.mean(), stored.mean()) < _EDGY or abs(gain.mean()) < max(
            _CLEAR, _SURE * error
        ):
            return ""
        return "stored" if gain.mean() > 0 else "shown"
