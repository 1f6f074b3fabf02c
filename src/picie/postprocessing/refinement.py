"""What may follow the network at prediction: several sizes averaged, borders drawn to edges."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.errors import ConfigError
from picie.runtime.devices import for_each

__all__ = ["average_scales", "refine_boundaries"]

_CELL = 32  # pixels of the coarsest grid that the network works on
_RINGS = (1, 2, 4, 8, 16)  # distances of the eight neighbours, in cells
_SHARPNESS = 0.1  # differences are told in a tenth of the local deviation
_TINY = 1e-4


def average_scales(
    network: Callable[[Tensor], Tensor],
    images: Tensor,
    scales: Sequence[float],
) -> Tensor:
    """Mean of the logits of the same images at several sizes.

    Larger images show small things, smaller ones the whole.

    Args:
        network: from (B, 3, H, W) to (B, C, h, w).
        images: (B, 3, H, W) float in [0, 1], sides multiples of 32.
        scales: factors of the sides; resized sides are rounded to multiples of 32.

    Returns:
        (B, C, H / 2, W / 2) float32.
    """
    size = [side // 2 for side in images.shape[2:]]
    total: Tensor | None = None
    for scale in scales:
        sides = [max(_CELL, _CELL * round(side * scale / _CELL)) for side in images.shape[2:]]
        found = _resized(network(_resized(images, sides)), size)
        total = found if total is None else total.add_(found)
    if total is None:
        raise ConfigError("no scale to look at; give one or more, such as 1")
    return total.div_(len(scales))


def refine_boundaries(values: Tensor, images: Tensor, iterations: int) -> Tensor:
    """Let pixels take over the values of neighbours with a similar colour, again and again.

    Pixel-adaptive refinement after Araslanov and Roth (CVPR 2020, section 3.3): the weight of a
    neighbour j of pixel i is the softmax over all neighbours of -|x_i - x_j| / (s sigma_i),
    averaged over the colours, with sigma_i the deviation among them. Neighbours lie in eight
    directions at 1, 2, 4, 8 and 16 cells.

    Args:
        values: (B, K, h, w) float32.
        images: (B, 3, H, W) float in [0, 1]; averaged to the grid of the values.
        iterations: how often; 0 returns the values.

    Returns:
        (B, K, h, w): convex combinations of the values, so they stay in their range.
    """
    if not iterations:
        return values
    colours = F.adaptive_avg_pool2d(images, (values.shape[2], values.shape[3]))
    refined = torch.empty_like(values)

    def work(index: int) -> None:  # one image at a time: its weights stay near the processor
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
    """(B, n, h, w) weight of each neighbour; they sum to 1."""
    around = torch.stack(_neighbours(colours), 1)  # (B, n, 3, h, w)
    deviation = torch.cat([around, colours[:, None]], 1).std(1, keepdim=True)
    differences = (around - colours[:, None]).abs().div_(_SHARPNESS * deviation + _TINY)
    return differences.mean(2).neg_().softmax(1)


def _neighbours(maps: Tensor) -> list[Tensor]:
    """Views of (B, C, h, w) moved to each neighbour; beyond the border its cells are repeated."""
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
