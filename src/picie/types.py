"""Types that are passed between the rooms, and the letters of their shapes.

B batch · C channels · H W image · h w feature map · D feature · K clusters · L classes · N points

Images are RGB. On disk and in loaders they are uint8 in 0..255; inside the views and the network
they are float32 in [0, 1]. Positions are fractions of the image (0 = left or top edge, 1 = right
or bottom edge), so that one geometric draw means the same for an image and for its feature map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["IGNORED", "VOID", "Batch", "Clusters", "LabelsUsed", "Losses", "ViewPair"]

VOID = 255
"""Mask value of pixels without a label: never scored, never trained on."""

IGNORED = -1
"""Id of ignored pixels in predicted masks; mask files have the void value instead."""


@dataclass(frozen=True)
class Batch:
    """Square base crops of some images.

    Attributes:
        indices: (B,) int64, positions in the folder's sorted list; they seed the views.
        images: (B, 3, S, S) uint8 RGB.
    """

    indices: Tensor
    images: Tensor


@dataclass(frozen=True)
class ViewPair:
    """Two views of the same images, in one geometric frame (PiCIE, section 3.3).

    Attributes:
        first: (B, 3, H, W) float in [0, 1], G(P1(x)): already transformed.
        second: (B, 3, H, W) float in [0, 1], P2(x): G is applied to its features later.
        rows: (B, h, h) float, the matrix of G along the rows of a feature map.
        columns: (B, w, w) float, the matrix of G along its columns.
    """

    first: Tensor
    second: Tensor
    rows: Tensor
    columns: Tensor


@dataclass(frozen=True)
class Clusters:
    """Centroids of one view, and the number of sampled pixels of each.

    Attributes:
        centroids: (K, D) float32.
        counts: (K,) int64.
    """

    centroids: Tensor
    counts: Tensor


@dataclass(frozen=True)
class Losses:
    """The loss of one training step and its parts; scalars.

    Attributes:
        total: the minimised loss, with gradients.
        parts: by name, without gradients, such as `within` and `cross` of PiCIE.
    """

    total: Tensor
    parts: dict[str, Tensor]


@dataclass(frozen=True)
class LabelsUsed:
    """How much of what a person said a model has learnt from.

    Attributes:
        marks: strokes and areas.
        images: in which they are.
        masks: labelled images, given as masks.
        names: parts of the tree with a name.
    """

    marks: int = 0
    images: int = 0
    masks: int = 0
    names: int = 0

    def __str__(self) -> str:
        """For example "24 names, 50 strokes or areas in 31 images"."""
        parts = [
            (self.names, f"{self.names} name{'s' * (self.names != 1)}"),
            (
                self.marks,
                f"{self.marks} stroke{'s' * (self.marks != 1)} or area{'s' * (self.marks != 1)} in "
                f"{self.images} image{'s' * (self.images != 1)}",
            ),
            (self.masks, f"{self.masks} labelled image{'s' * (self.masks != 1)}"),
        ]
        return ", ".join(text for count, text in parts if count) or "no labels"
