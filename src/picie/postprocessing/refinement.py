"""Refinement of predictions: averaging over scales, and boundaries aligned with image edges."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.errors import ConfigError
from picie.runtime.devices import for_each

__all__ = ["average_scales", "refine_boundaries"]

_CELL = 32  # coarsest stride of the network, in pixels
_RINGS = (1, 2, 4, 8, 16)  # distances of the eight neighbours, in cells
_SHARPNESS = 0.1  # s: differences are divided by a tenth of the local standard deviation
_TINY = 1e-4


def average_scales(
    network: Callable[[Tensor], Tensor],
    images: Tensor,
    scales: Sequence[float],
) -> Tensor:
    """Average the logits of the images over several scales.

    Larger scales help with small objects, smaller ones with context.

    Args:
        network: maps (B, 3, H, W) to (B, C, h, w).
        images: (B, 3, H, W) float in [0, 1], sides multiples of 32.
        scales: factors of the sides; resized sides are rounded to multiples of 32.

    Returns:
        (B, C, H / 2, W / 2) float32.

    Raises:
        ConfigError: no scale.
    """
    size = [side // 2 for side in images.shape[2:]]
    total: Tensor | None = None
    for scale in scales:
        sides = [max(_CELL, _CELL * round(side * scale / _CELL)) for side in images.shape[2:]]
        logits = _resized(network(_resized(images, sides)), size)
        total = logits if total is None else total.add_(logits)
    if total is None:
        raise ConfigError("no scale given; give one or more, for example 1")
    return total.div_(len(scales))


def refine_boundaries(values: Tensor, images: Tensor, iterations: int) -> Tensor:
    """Replace each value by a mean over neighbours, weighted by colour similarity; iterated.

    Pixel-adaptive refinement after Araslanov and Roth (CVPR 2020, section 3.3): the weight of a
    neighbour j of pixel i is the softmax over all neighbours of -|x_i - x_j| / (s sigma_i),
    averaged over the colour channels, with sigma_i the standard deviation over pixel and
    neighbours, and s = 0.1. Neighbours lie in eight directions at 1, 2, 4, 8 and 16 cells.

    Args:
        values: (B, K, h, w) float32.
        images: (B, 3, H, W) float in [0, 1]; averaged to the grid of the values.
        iterations: number of iterations; 0 returns `values` itself.

    Returns:
        (B, K, h, w): convex combinations of the values, so their range does not grow.
    """
    if not iterations:
        return values
    colours = F.adaptive_avg_pool2d(images, (values.shape[2], values.shape[3]))
    refined = torch.empty_like(values)

    def work(index: int) -> None:  # one image at a time: its weights stay in cache
        part = slice(index, index + 1)
        refined[part] = _refined(values[part], colours[part], iterations)

    for_each(work, len(values), values.device)
    return refined


@torch.no_grad()
def _refined(values: Tensor, colours: Tensor, iterations: int) -> Tensor:
    weights = _weights(colours)
    for _ in range(iterations):
        mixed = torch.zeros_like(values)
        for number, neighbour in enumerate(_neighbours(values)):
            mixed.addcmul_(weights[:, number : number + 1], neighbour)
        values = mixed
    return values


def _weights(colours: Tensor) -> Tensor:
    """(B, n, h, w) weights of the neighbours; they sum to 1 over n."""
    around = torch.stack(_neighbours(colours), 1)  # (B, n, 3, h, w)
    deviation = torch.cat([around, colours[:, None]], 1).std(1, keepdim=True)
    differences = (around - colours[:, None]).abs().div_(_SHARPNESS * deviation + _TINY)
    return differences.mean(2).neg_().softmax(1)


def _neighbours(maps: Tensor) -> list[Tensor]:
    """Views of (B, C, h, w) shifted to each neighbour; cells at the border are repeated."""
    height, width = maps.shape[2:]
    margin = max(_RINGS)
    padded = F.pad(maps, (margin,) * 4, mode="replicate")
    steps = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]
    return [
        padded[:, :, top : top + height, left : left + width]
        for ring in _RINGS
        for down, right in steps
        for top, left in [(margin + down * ring, margin + right * ring)]
    ]


def _resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    if list(maps.shape[2:]) == list(size):
        return maps
    smaller = size[0] < maps.shape[2]
    return F.interpolate(
        maps, size=list(size), mode="bilinear", align_corners=False, antialias=smaller
    )
