"""The pyramid decoder: 1x1 lateral convolutions, summed from coarse to fine (PiCIE, section 4)."""

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["FeaturePyramid"]


class FeaturePyramid(nn.Module):
    """Project every stage to D channels; from the coarsest on, upsample and add the next finer one.

    There is no smoothing, normalisation or activation, so the features are linear in the stages and
    `start_from` can initialise the decoder to exactly a PCA of the stacked stages.

    Args:
        channels: channels of the stages, from the finest to the coarsest.
        feature_size: D.
    """

    def __init__(self, channels: Sequence[int], feature_size: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(c, feature_size, 1) for c in channels)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Sum the laterals.

        Args:
            maps: (B, C_i, h_i, w_i) per stage, from the finest to the coarsest.

        Returns:
            (B, D, h_0, w_0), on the grid of the finest stage; not normalised.
        """
        total: Tensor | None = None
        for lateral, features in zip(
            reversed(list(self.laterals)), reversed(list(maps)), strict=True
        ):
            projected = lateral(features)
            if total is not None:
                size = projected.shape[-2:]
                if total.shape[-2:] != size:  # equal for the blocks of a plain transformer
                    total = F.interpolate(total, size=size, mode="bilinear", align_corners=False)
                projected += total
            total = projected
        assert total is not None  # a backbone has at least one stage
        return total

    @torch.no_grad()
    def start_from(self, mean: Tensor, directions: Tensor, origin: Tensor | None = None) -> None:
        """Set the laterals to f = directions (x - mean) - origin of the stacked stages x.

        Args:
            mean: (sum of C_i,) mean of the stacked stages, finest first.
            directions: (d, sum of C_i) with d <= D; channels beyond d become 0.
            origin: (d,); None = 0.
        """
        start = 0
        for lateral in cast(Iterable[nn.Conv2d], self.laterals):
            bias, stop = cast(Tensor, lateral.bias), start + lateral.weight.shape[1]
            lateral.weight.zero_()
            bias.zero_()
            block = directions[:, start:stop]
            lateral.weight[: len(block)] = block[..., None, None]
            bias[: len(block)] = -block @ mean[start:stop]
            start = stop
        if origin is not None:
            cast(Tensor, cast(nn.Conv2d, self.laterals[-1]).bias)[: len(origin)] -= origin
