"""A trained model as one module from pictures to ids, which an exporter can trace."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from picie.clustering.pseudo_labels import scores
from picie.config import Config
from picie.models.folding import folded
from picie.models.padding import fix_padding
from picie.models.picie import PiCIE

__all__ = ["LEAST_SIDE", "Graph"]

LEAST_SIDE = 64
"""Sides of pictures that the graph takes, in pixels, at the least."""

_CELL = 32  # pixels of the coarsest grid that the network works on


class Graph(nn.Module):
    """Everything that prediction does to a picture, without border refinement.

    No operation depends on the values or, but for shapes, on the size of the pictures. The network
    sees sides that are multiples of 32: others are brought to the nearest such size first.

    Args:
        network: with centroids; stays as it is.
        config: its settings.
        view: which set of centroids, from 0.
        ids: id of each cluster in the output.
    """

    centroids: Tensor
    offsets: Tensor
    order: Tensor
    ids: Tensor

    def __init__(
        self, network: PiCIE, config: Config, *, view: int = 0, ids: Sequence[int] = ()
    ) -> None:
        super().__init__()
        centroids, groups, offsets = (one.cpu() for one in network.view_centroids(view))
        lean: Any = folded(network)
        lean = lean.cpu()
        fix_padding(lean)
        self.backbone, self.decoder = lean.backbone, lean.decoder
        self.stride = network.stride
        self.rule, self.scales = config.predict_rule, config.predict_scales
        self.unit = config.unit_features and config.predict_rule != "cosine"
        # Centroids of one cluster stand side by side, so that its best score is that of a slice.
        order = torch.argsort(groups, stable=True)
        self.members: list[int] = torch.bincount(groups).tolist()
        self.register_buffer("centroids", centroids[order].clone())
        self.register_buffer("offsets", offsets[order][:, None, None].clone())
        self.has_offsets = bool(offsets.any())
        self.register_buffer("ids", torch.tensor(list(ids), dtype=torch.int64))
        self.renumbers = list(ids) not in ([], list(range(len(self.members))))
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Ids and logits.

        Args:
            images: (B, H, W, 3) uint8 RGB, sides of 64 pixels or more.

        Returns:
            ids (B, H, W) int64, and the logits (B, K, h, w) float32 that they are enlarged from.
        """
        height, width = images.shape[1:3]
        pixels = images.permute(0, 3, 1, 2).float().div(255)
        pixels = _resized(pixels, [_whole_cells(height), _whole_cells(width)])
        logits = self._averaged(pixels) if self.scales != (1.0,) else self._classified(pixels)
        found = _resized(logits, [height, width]).argmax(1)
        return (self.ids[found] if self.renumbers else found), logits

    def _classified(self, pixels: Tensor) -> Tensor:
        features = self.decoder(self.backbone(pixels))
        if self.unit:
            features = F.normalize(features, dim=1)
        found = scores(features, self.centroids, self.rule)
        if self.has_offsets:
            found = found + self.offsets
        if max(self.members) == 1:
            return found
        parts = found.split(self.members, 1)
        return torch.cat([part.amax(1, keepdim=True) for part in parts], 1)

    def _averaged(self, pixels: Tensor) -> Tensor:
        """As `postprocessing.average_scales`, with sizes that may be symbols."""
        sides = pixels.shape[2:]
        total: Tensor | None = None
        for scale in self.scales:
            scaled = [_scaled(side, scale) for side in sides]
            found = self._classified(_resized(pixels, scaled, antialias=scale < 1))
            half = [side // 2 for side in sides]
            found = _resized(found, half, antialias=2 * scale > self.stride)
            total = found if total is None else total + found
        assert total is not None  # settings hold one scale at least
        return total / len(self.scales)


def _resized(maps: Tensor, size: Sequence[int], *, antialias: bool = False) -> Tensor:
    return F.interpolate(
        maps, size=list(size), mode="bilinear", align_corners=False, antialias=antialias
    )


def _whole_cells(side: int) -> int:
    """The nearest multiple of 32."""
    return (side + _CELL // 2) // _CELL * _CELL


def _scaled(side: int, scale: float) -> int:
    """The multiple of 32 next to side * scale, the even one of two, at least 32.

    `round` in whole numbers, which stays in the graph where `side` is a symbol.
    """
    share = Fraction(scale).limit_denominator(1000)
    above, below = side * share.numerator, _CELL * share.denominator
    up, down = ((2 * above + below - less) // (2 * below) for less in (0, 1))
    cells = up - (up % 2) * (up - down)
    return _CELL * (max(1, cells) if isinstance(cells, int) else torch.sym_max(1, cells))
