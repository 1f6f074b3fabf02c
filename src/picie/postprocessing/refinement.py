"""Refinement of predictions: averaging over scales, and boundaries aligned with image edges."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.errors import ConfigError
from picie.runtime.devices import for_each

__all__ = ["STEP", "Offsets", "average_scales", "refine_boundaries", "rings"]

Offsets = Sequence[tuple[int, int]]
"""Rows and columns from a cell to each of its neighbours."""

STEP = 4
"""Pixels per cell of averaged and refined logits; smaller cells cost more and gain nothing."""

_CELL = 32  # coarsest stride of the network, in pixels
_SHARPNESS = 0.1  # s: differences are divided by a tenth of the local standard deviation
_TINY = 1e-4

_AXES = ((-1, 0), (0, -1), (0, 1), (1, 0))
_DIAGONALS = ((-1, -1), (-1, 1), (1, -1), (1, 1))


def rings(*distances: int, directions: Offsets = (*_AXES, *_DIAGONALS)) -> Offsets:
    """Neighbours at some distances, in cells: in eight directions unless stated otherwise."""
    return [(distance * y, distance * x) for distance in distances for y, x in directions]


# Half of the neighbours of four full rings give the same masks in half of the time.
_NEAR = (
    *rings(1),
    *rings(2, 8, directions=_AXES),
    *rings(4, directions=_DIAGONALS),
)


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
        (B, C, H / 4, W / 4) float32.

    Raises:
        ConfigError: no scale.
    """
    size = [side // STEP for side in images.shape[2:]]
    total: Tensor | None = None
    for scale in scales:
        sides = [max(_CELL, _CELL * round(side * scale / _CELL)) for side in images.shape[2:]]
        logits = _resized(network(_resized(images, sides)), size)
        total = logits if total is None else total.add_(logits)
    if total is None:
        raise ConfigError("no scale given; give one or more, for example 1")
    return total.div_(len(scales))


def refine_boundaries(
    values: Tensor, images: Tensor, iterations: int, neighbours: Offsets = _NEAR
) -> Tensor:
    """Replace each value by a mean over neighbours, weighted by colour similarity; iterated.

    Pixel-adaptive refinement after Araslanov and Roth (CVPR 2020, section 3.3): the weight of a
    neighbour j of pixel i is the softmax over all neighbours of -|x_i - x_j| / (s sigma_i),
    averaged over the colour channels, with sigma_i the standard deviation over pixel and
    neighbours, and s = 0.1.

    Args:
        values: (B, K, h, w) float32.
        images: (B, 3, H, W) float in [0, 1]; averaged to the grid of the values.
        iterations: number of iterations; 0 returns `values` itself.
        neighbours: by default twenty at 1, 2, 4 and 8 cells.

    Returns:
        (B, K, h, w): convex combinations of the values, so their range does not grow.
    """
    if not iterations:
        return values
    colours = F.adaptive_avg_pool2d(images, (values.shape[2], values.shape[3]))
    refined = torch.empty_like(values)

    def work(index: int) -> None:  # one image at a time: its weights stay in cache
        with torch.no_grad():
            weights = _weights(colours[index], neighbours)
            own = values[index].contiguous()  # neighbours are faster to read plane by plane
            refined[index] = _mixed(own, weights, neighbours, iterations)

    for_each(work, len(values), values.device)
    return refined


def _mixed(values: Tensor, weights: Tensor, neighbours: Offsets, iterations: int) -> Tensor:
    """(C, h, w) after some iterations."""
    for _ in range(iterations):
        mixed = torch.zeros_like(values)
        for weight, around in zip(weights, _shifted(values, neighbours), strict=True):
            mixed.addcmul_(around, weight)
        values = mixed
    return values


def _weights(colours: Tensor, neighbours: Offsets) -> Tensor:
    """(n, h, w) weights of the neighbours of each pixel of (3, h, w); they sum to 1 over n."""
    colours = colours - colours.mean((1, 2), keepdim=True)  # small numbers lose fewer digits
    around = _shifted(colours, neighbours)
    total, squares = colours.clone(), colours.square()
    for one in around:
        total += one
        squares.addcmul_(one, one)
    count = len(around) + 1
    variance = squares.sub_(total.square_().div_(count)).clamp_min_(0).div_(count - 1)
    scale = variance.sqrt_().mul_(_SHARPNESS).add_(_TINY).mul_(len(colours)).reciprocal_()
    closeness = colours.new_empty(len(around), *colours.shape[1:])
    for out, one in zip(closeness, around, strict=True):
        torch.sum((one - colours).abs_().mul_(scale), 0, out=out)
    return closeness.neg_().softmax(0)


def _shifted(maps: Tensor, neighbours: Offsets) -> list[Tensor]:
    """Views of (C, h, w) shifted to each neighbour; cells at the border are repeated."""
    height, width = maps.shape[1:]
    margin = max(max(abs(y), abs(x)) for y, x in neighbours)
    padded = F.pad(maps[None], (margin,) * 4, mode="replicate")[0]
    return [
        padded[:, margin + y : margin + y + height, margin + x : margin + x + width]
        for y, x in neighbours
    ]


def _resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    if list(maps.shape[2:]) == list(size):
        return maps
    smaller = size[0] < maps.shape[2]
    return F.interpolate(
        maps, size=list(size), mode="bilinear", align_corners=False, antialias=smaller
    )
