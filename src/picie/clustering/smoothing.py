"""Features without what varies inside a surface, for k-means to look at."""

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.config import Config
from picie.postprocessing.refinement import refine_boundaries

__all__ = ["cell_grid", "smooth_features"]

_CELL = 8  # pixels per cell that is clustered: the finest stride that the decoder starts with


@torch.no_grad()
def smooth_features(maps: Tensor, images: Tensor, config: Config) -> Tensor:
    """Draw each feature half-way to the mean of its surroundings of the same colour.

    A feature map says one thing inside a surface and another on its border, where it mixes what
    lies on both sides. Clusters of raw pixels hold such mixtures, and they join what they mix.
    Averaged over neighbours with a similar colour (`refine_boundaries`) a feature says what its
    surface is.

    Args:
        maps: (B, D, h, w) features of any length.
        images: (B, 3, H, W) float in [0, 1], what the features are of, in the same frame.
        config: `kmeans_smoothing`, how often features take over those of their neighbours, the
            `size` of the images, and `unit_features`.

    Returns:
        (B, D, h', w') float32 of any length, on a grid of 8 pixels where that of the maps is
        finer; the maps themselves if `kmeans_smoothing` is 0.
    """
    if not config.kmeans_smoothing:
        return maps
    features = maps.float()
    if config.unit_features:
        features = F.normalize(features, dim=1)
    features = F.adaptive_avg_pool2d(features, cell_grid(features, config.size))
    smooth = refine_boundaries(features, images.float(), config.kmeans_smoothing)
    if config.unit_features:
        features, smooth = F.normalize(features, dim=1), F.normalize(smooth, dim=1)
    return (features + smooth).div_(2)


def cell_grid(maps: Tensor, size: int) -> tuple[int, int]:
    """Rows and columns of the cells that are clustered: of 8 pixels, or larger where the maps are.

    Args:
        maps: (B, D, h, w) of square images.
        size: side of the images in pixels.
    """
    cells = size // _CELL
    return min(maps.shape[2], cells), min(maps.shape[3], cells)
