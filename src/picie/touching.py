"""Cells of pictures kept until there are clusters, to see where those touch."""

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.clustering.contacts import count_contacts, neighbour_contrasts
from picie.clustering.pseudo_labels import nearest
from picie.config import Config
from picie.smoothing import cell_grid

__all__ = ["TouchingCells"]

_MOST_CELLS = 2**18  # 67 MB of 128 features


class TouchingCells:
    """Features of the cells of some pictures, and how much each cell differs from its neighbours.

    Args:
        config: the `size` of the pictures.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._features: list[Tensor] = []  # (D, h, w) of each picture, unit vectors
        self._contrasts: list[Tensor] = []  # (2, n) of each picture, of colours and of features

    def add(self, maps: Tensor, images: Tensor, places: Tensor) -> None:
        """Keep pictures, unless there are enough before them.

        Args:
            maps: (B, D, h, w) features, as k-means sees them.
            images: (B, 3, H, W) what they are of, in the same frame.
            places: (B,) the place of each picture in the sample; which pictures are kept depends on
                nothing else, so processes that share a sample keep those that one alone would.
        """
        grid = cell_grid(maps, self._config)
        near = places.to(maps.device) < max(1, _MOST_CELLS // (grid[0] * grid[1]))
        if not bool(near.any()):
            return
        maps, images = maps[near].float(), images[near]
        features = F.normalize(F.adaptive_avg_pool2d(maps, grid), dim=1)
        colours = F.adaptive_avg_pool2d(images.float(), grid)
        contrasts = [neighbour_contrasts(one) for one in (colours, features)]
        self._features += features.half()
        self._contrasts += torch.stack(contrasts, 1)

    def contacts(self, centroids: Tensor) -> Tensor:
        """Where clusters touch in the pictures that were kept.

        Args:
            centroids: (P, D); a cell belongs to the one of the nearest direction.

        Returns:
            (3, P, P) float64 on the CPU as `count_contacts` gives it, of the contrasts of colours
            and of features; 0 without any picture.
        """
        count = len(centroids)
        total = torch.zeros(3, count, count, dtype=torch.float64)
        for features, contrasts in zip(self._features, self._contrasts, strict=True):
            rows = features.flatten(1).T
            labels = nearest(rows, centroids.to(rows.device), "cosine").view(features.shape[1:])
            total += count_contacts(labels[None], [one[None] for one in contrasts], count)
        return total
