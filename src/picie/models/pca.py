"""A linear projection of stacked backbone stages by PCA, to start the pyramid decoder from.

A decoder that starts at random forgets what the backbone knows, and a few epochs on a few hundred
images do not learn it again. Started as the PCA of the stages, its features are those of the
pretrained backbone from the first step on.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["StageMoments", "stage_weights"]


def stage_weights(strides: Sequence[int]) -> tuple[float, ...]:
    """How much each stage takes part.

    Of several strides the two coarsest carry the meaning and count 1, the next finer one adds
    detail and counts 1/2, finer ones are left to training (they hold edges and colours). Stages of
    one stride count the same.

    Args:
        strides: of the stages, finest first.
    """
    coarsest_first = sorted(set(strides), reverse=True)
    weights = dict(zip(coarsest_first, (1.0, 1.0, 0.5), strict=False))
    return tuple(weights.get(stride, 0.0) for stride in strides)


class StageMoments:
    """Mean and covariance of the stacked stages, gathered batch by batch in float64.

    Args:
        channels: channels of each stage, finest first.
        strides: of each stage.
        reduce: adds a tensor up over all processes; the default is that of a single one.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        reduce: Callable[[Tensor], Tensor] = torch.clone,
    ) -> None:
        self.channels, self.strides = tuple(channels), tuple(strides)
        self.reduce = reduce
        total = sum(channels)
        self.count = 0
        self.origin: Tensor | None = None
        self.sum = torch.zeros(total, dtype=torch.float64)
        self.product = torch.zeros(total, total, dtype=torch.float64)

    def update(self, maps: Sequence[Tensor]) -> Tensor:
        """Add the feature maps of a batch, all brought to the grid of the second coarsest stage.

        The first call shares a point near the data with the other processes.

        Args:
            maps: one (B, C_i, h_i, w_i) per stage, finest first; B may be 0.

        Returns:
            (B, h w, sum of C_i) the stacked stages on that grid.
        """
        size = maps[max(0, len(maps) - 2)].shape[-2:]
        stacked = torch.cat([_to_grid(one, size) for one in maps], dim=1)
        cells = stacked.permute(0, 2, 3, 1).flatten(1, 2)  # (B, h w, sum of C_i)
        rows = cells.flatten(0, 1)
        if self.origin is None:
            self.origin = self._shared_mean(rows)
        rows = rows - self.origin  # products of large means would cancel in float32
        self.count += len(rows)
        self.sum += rows.sum(0, dtype=torch.float64).cpu()
        # float32 products of one batch are exact enough; only their sum over batches is long.
        self.product += (rows.T @ rows).double().cpu()
        return cells

    def projection(self, size: int) -> tuple[Tensor, Tensor]:
        """The principal directions of the stages, each stage scaled to its weight.

        Args:
            size: most directions d.

        Returns:
            mean (sum of C_i,) and directions (d, sum of C_i), float32, largest variance first; the
            mean squared length of a projected vector is about 1.
        """
        count = self.total
        mean = self.reduce(self.sum) / count  # from the origin
        covariance = self.reduce(self.product) / count - torch.outer(mean, mean)
        scale = self._scale(covariance.diagonal())
        covariance = scale[:, None] * covariance * scale
        values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
        largest = vectors.flip(1)[:, :size].T  # (d, sum of C_i)
        # The sign of an eigenvector is arbitrary; fix it, so that machines agree.
        peak = largest.gather(1, largest.abs().argmax(1, keepdim=True))
        length = values.clamp_min(0).sum().clamp_min(1e-12).sqrt()  # equal images: no spread
        directions = largest * peak.sign() * scale / length
        if self.origin is not None:
            mean = mean + self.origin.double().cpu()
        return mean.float(), directions.float()

    @property
    def total(self) -> int:
        """Feature cells that all processes have seen."""
        return int(self.reduce(torch.tensor(self.count)))

    def _shared_mean(self, rows: Tensor) -> Tensor:
        sums = torch.cat([rows.sum(0), rows.new_full((1,), len(rows))])
        sums = self.reduce(sums)
        return sums[:-1] / sums[-1].clamp_min(1)

    def _scale(self, variance: Tensor) -> Tensor:
        blocks = []
        for weight, block in zip(
            stage_weights(self.strides),
            torch.split(variance, list(self.channels)),
            strict=True,
        ):
            size = block.sum().clamp_min(1e-12).sqrt()
            blocks.append((weight / size).expand(len(block)))
        return torch.cat(blocks)


def _to_grid(maps: Tensor, size: torch.Size) -> Tensor:
    if maps.shape[-2:] == size:
        return maps
    if maps.shape[-1] > size[-1]:
        return F.adaptive_avg_pool2d(maps, (size[0], size[1]))
    return F.interpolate(maps, size=(size[0], size[1]), mode="bilinear", align_corners=False)
