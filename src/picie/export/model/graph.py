"""A trained model as one traceable module from images to ids."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from picie.clustering.pseudo_labels import scores
from picie.inference.segmenter import Segmenter
from picie.models.folding import fix_padding, folded
from picie.postprocessing.refinement import STEP

__all__ = ["LEAST_SIDE", "Graph", "ignored_id"]

LEAST_SIDE = 64
"""Smallest side of images for the graph, in pixels."""

_CELL = 32  # pixels of the coarsest grid that the network works on


class Graph(nn.Module):
    """All of prediction except boundary refinement.

    Control flow does not depend on the values or the size of an image. Sides that are not multiples
    of 32 are first resized to the nearest one.

    Args:
        model: trained; its network is not changed.
    """

    centroids: Tensor
    offsets: Tensor

    def __init__(self, model: Segmenter) -> None:
        super().__init__()
        network, config = model.network, model.config
        centroids, _, offsets = (tensor.cpu() for tensor in network.view_centroids(0))
        lean: Any = folded(network, fuse=False).cpu().to(memory_format=torch.contiguous_format)
        fix_padding(lean)
        self.backbone, self.decoder = lean.backbone, lean.decoder
        self.stride = network.stride
        self.rule, self.scales = config.predict_rule, config.predict_scales
        self.unit = config.unit_features and config.predict_rule != "cosine"
        # Sort the centroids by id, so that the score of an id is the maximum of a slice.
        ids = model.centroid_ids
        order = torch.argsort(ids, stable=True)
        self.members: list[int] = torch.bincount(ids, minlength=model.clusters).tolist()
        self.register_buffer("centroids", centroids[order].clone())
        self.register_buffer("offsets", offsets[order][:, None, None].clone())
        self.has_offsets = bool(offsets.any())
        self.count, self.void = model.clusters, ignored_id(model.clusters)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Ids and logits.

        Args:
            images: (B, H, W, 3) uint8 RGB, sides of at least 64 pixels.

        Returns:
            ids (B, H, W) int64, and their logits (B, N, h, w) float32 before upsampling. If a class
            is ignored, its score is an extra last channel.
        """
        height, width = images.shape[1:3]
        # Exporters need several times as long for the layout of a permuted tensor.
        pixels = images.permute(0, 3, 1, 2).contiguous().float().div(255)
        pixels = _resized(pixels, [_whole_cells(height), _whole_cells(width)])
        logits = self._classified(pixels) if self.scales == (1.0,) else self._averaged(pixels)
        ids = _resized(logits, [height, width]).argmax(1)
        if len(self.members) > self.count:
            ids = torch.where(ids == self.count, self.void, ids)
        return ids, logits

    def _classified(self, pixels: Tensor) -> Tensor:
        features = self.decoder(self.backbone(pixels))
        if self.unit:
            features = F.normalize(features, dim=1)
        logits = scores(features, self.centroids, self.rule)
        if self.has_offsets:
            logits = logits + self.offsets
        if all(number == 1 for number in self.members):
            return logits
        parts = logits.split([number for number in self.members if number], 1)
        best = iter([part.amax(1, keepdim=True) for part in parts])
        # An id without centroids scores below every other, as in `Outputs.scores`.
        lowest = None if all(self.members) else logits.amin(1, keepdim=True) - 1
        rows = [next(best) if number else lowest for number in self.members]
        return torch.cat([row for row in rows if row is not None], 1)

    def _averaged(self, pixels: Tensor) -> Tensor:
        """As `postprocessing.average_scales`, for sizes that may be symbolic."""
        sides = pixels.shape[2:]
        total: Tensor | None = None
        for scale in self.scales:
            scaled = [_scaled(side, scale) for side in sides]
            logits = self._classified(_resized(pixels, scaled, antialias=scale < 1))
            cells = [side // STEP for side in sides]
            logits = _resized(logits, cells, antialias=STEP * scale > self.stride)
            total = logits if total is None else total + logits
        assert total is not None  # settings have at least one scale
        return total / len(self.scales)


def ignored_id(count: int) -> int:
    """The id of ignored pixels in masks with `count` other ids: 255, or 65535."""
    return 255 if count <= 255 else 65535


def _resized(maps: Tensor, size: Sequence[int], *, antialias: bool = False) -> Tensor:
    return F.interpolate(
        maps, size=list(size), mode="bilinear", align_corners=False, antialias=antialias
    )


def _whole_cells(side: int) -> int:
    """The nearest multiple of 32."""
    return _CELL * _opaque((side + _CELL // 2) // _CELL)


def _scaled(side: int, scale: float) -> int:
    """The multiple of 32 nearest to side * scale, at least 32; ties go to the even multiple.

    Integer arithmetic instead of `round`, which cannot be traced for a symbolic side.
    """
    share = Fraction(scale).limit_denominator(1000)
    above, below = side * share.numerator, _CELL * share.denominator
    up, down = ((2 * above + below - less) // (2 * below) for less in (0, 1))
    return _CELL * _opaque(up - (up % 2) * (up - down), least=1)


def _opaque(number: Any, *, least: int = 0) -> int:
    """The number, or `least` if that is larger; in a traced graph a new symbol.

    Shapes are then multiples of one symbol, which exporters handle in seconds, instead of
    expressions of rounded fractions.
    """
    if isinstance(number, int):
        return max(number, least)
    held = torch.scalar_tensor(number, dtype=torch.int64)
    symbol: Any = (held.clamp_min(least) if least else held).item()
    torch._check(symbol >= 1)
    return cast(int, symbol)
