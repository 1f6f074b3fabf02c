"""Edge-preserving smoothing of the features that k-means clusters."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.config import Config
from picie.postprocessing.refinement import refine_boundaries, rings

__all__ = ["cell_grid", "cell_stages", "smooth_features"]

_NEIGHBOURS = rings(1, 2, 4, 8, 16)
_CELL = 8  # pixels per clustered cell: the finest stride that the PCA start of the decoder uses


@torch.no_grad()
def smooth_features(maps: Tensor, images: Tensor, config: Config) -> Tensor:
    """Average each feature with its mean over neighbours of similar colour.

    Features near a boundary mix the two sides. Clusters of raw features include such mixtures, and
    these make the clusters on both sides merge. Averaging over neighbours of similar colour
    (`refine_boundaries`) removes them.

    Args:
        maps: (B, D, h, w) features of any length.
        images: (B, 3, H, W) float in [0, 1], the images of these features, geometrically aligned.
        config: reads `kmeans_smoothing` (the number of iterations), `size` and `unit_features`.

    Returns:
        (B, D, h', w') float32 of any length, on a grid of 8-pixel cells or the grid of the maps,
        whichever is coarser; `maps` itself if `kmeans_smoothing` is 0.
    """
    if not config.kmeans_smoothing:
        return maps
    features = maps.float()
    if config.unit_features:
        features = F.normalize(features, dim=1)
    features = F.adaptive_avg_pool2d(features, cell_grid(features, config.size))
    smooth = refine_boundaries(features, images.float(), config.kmeans_smoothing, _NEIGHBOURS)
    if config.unit_features:
        features, smooth = F.normalize(features, dim=1), F.normalize(smooth, dim=1)
    return (features + smooth).div_(2)


def cell_stages(stages: Sequence[Tensor], config: Config) -> list[Tensor]:
    """Average the maps of a backbone that are finer than the clustered cells.

    The decoder resizes coarse maps to the grid of the finest one. Averaged over cells afterwards,
    they would be blurred, and small things would vanish.

    Args:
        stages: (B, C_i, h_i, w_i) per stage, of square images.
        config: reads `kmeans_smoothing` and `size`.

    Returns:
        The same stages, none of them finer than cells of 8 pixels; unchanged if
        `kmeans_smoothing` is 0, which clusters the cells of the feature map itself.
    """
    if not config.kmeans_smoothing:
        return list(stages)
    return [F.adaptive_avg_pool2d(one, cell_grid(one, config.size)) for one in stages]


def cell_grid(maps: Tensor, size: int) -> tuple[int, int]:
    """Rows and columns of the clustered cells: 8 pixels, or the cells of the maps if larger.

    Args:
        maps: (B, D, h, w) of square images.
        size: side of the images in pixels.
    """
    cells = size // _CELL
    return min(maps.shape[2], cells), min(maps.shape[3], cells)
