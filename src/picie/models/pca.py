"""PCA of the stacked backbone stages, to initialise the pyramid decoder.

A randomly initialised decoder discards the information of the pretrained backbone, and a few epochs
on a few hundred images do not recover it. Initialised with the PCA of the stages, the features are
those of the pretrained backbone from the first step on.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["StageMoments", "stage_weights"]


def stage_weights(strides: Sequence[int]) -> tuple[float, ...]:
    """Weight of each stage in the PCA.

    The two coarsest strides, which are the most semantic, have weight 1. The next finer one adds
    detail and has weight 1/2. Finer ones (edges and colours) have weight 0: training can add them.
    Stages of equal stride have equal weight.

    Args:
        strides: strides of the stages, finest first.
    """
    coarsest_first = sorted(set(strides), reverse=True)
    weights = dict(zip(coarsest_first, (1.0, 1.0, 0.5), strict=False))
    return tuple(weights.get(stride, 0.0) for stride in strides)


class StageMoments:
    """Mean and covariance of the stacked stages, accumulated batch by batch in float64.

    Args:
        channels: channels of each stage, finest first.
        strides: stride of each stage.
        reduce: sums a tensor over all processes; the default is for a single process.
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
        """Add the feature maps of a batch, all resized to the grid of the second coarsest stage.

        The first call computes the common origin of all processes.

        Args:
            maps: (B, C_i, h_i, w_i) per stage, finest first; B may be 0.

        Returns:
            (B, h w, sum of C_i), the stacked stages on that grid.
        """
        size = maps[max(0, len(maps) - 2)].shape[-2:]
        stacked = torch.cat([_to_grid(one, size) for one in maps], dim=1)
        cells = stacked.permute(0, 2, 3, 1).flatten(1, 2)  # (B, h w, sum of C_i)
        rows = cells.flatten(0, 1)
        if self.origin is None:
            self.origin = self._shared_mean(rows)
        rows = rows - self.origin  # avoids cancellation of large means in float32
        self.count += len(rows)
        self.sum += rows.sum(0, dtype=torch.float64).cpu()
        # float32 is precise enough within a batch; the sum over batches is float64.
        self.product += (rows.T @ rows).double().cpu()
        return cells

    def projection(self, size: int) -> tuple[Tensor, Tensor]:
        """Principal directions of the stages, after scaling each stage to its weight.

        Args:
            size: maximum number of directions d.

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
        # Fix the arbitrary sign of the eigenvectors, so that the result is reproducible.
        peak = largest.gather(1, largest.abs().argmax(1, keepdim=True))
        length = values.clamp_min(0).sum().clamp_min(1e-12).sqrt()  # constant features
        directions = largest * peak.sign() * scale / length
        if self.origin is not None:
            mean = mean + self.origin.double().cpu()
        return mean.float(), directions.float()

    @property
    def total(self) -> int:
        """Number of feature cells over all processes."""
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
