"""The geometric transform G, to which feature maps should be equivariant (PiCIE, section 3.3).

G is a square crop, resized to the size of the view and possibly flipped horizontally. It is
represented by one resampling matrix for the rows and one for the columns. Crops are stored as
fractions of the image, so the same crop applies to images of any size and to feature maps of any
stride.

Convention: pixel i of n covers the fractions i/n to (i+1)/n; its centre is (i + 1/2)/n
(align_corners=False). Beyond the border the nearest pixel is repeated.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from picie.config import Config
from picie.runtime.devices import to_device

__all__ = [
    "NUM_DRAWS",
    "GeometricParams",
    "draw_geometric",
    "pixel_boxes",
    "resample",
    "resampling_matrix",
    "round_to_grid",
    "scaling_matrix",
]

NUM_DRAWS = 4
"""Number of uniform random numbers per geometric draw."""

# Below, `resample` multiplies plane by plane, else cell by cell: each the larger matrix product.
_FEW_CHANNELS = 16
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class GeometricParams:
    """One crop and flip for each of B images.

    Attributes:
        side: (B,) float64, side of the crop as a fraction of the image.
        top: (B,) float64, vertical offset of the crop as a fraction of the largest possible one.
        left: (B,) float64, the same for the horizontal offset.
        flip: (B,) bool, horizontal flip.
    """

    side: Tensor
    top: Tensor
    left: Tensor
    flip: Tensor


def draw_geometric(uniform: Tensor, config: Config) -> GeometricParams:
    """Turn uniform random numbers into crops and flips.

    Args:
        uniform: (B, NUM_DRAWS) in [0, 1).
        config: reads `crop_min` (smallest side) and `flip` (probability).
    """
    u = uniform.to(torch.float64)
    side = config.crop_min + (1 - config.crop_min) * u[:, 0]
    return GeometricParams(side=side, top=u[:, 1], left=u[:, 2], flip=u[:, 3] < config.flip)


def pixel_boxes(params: GeometricParams, size: int, *, rounded: bool) -> Tensor:
    """Pixel coordinates of the crops in images of `size` pixels.

    Returns:
        (B, 3) float64: top, left, side in pixels; whole numbers if `rounded`.
    """
    starts = [(1 - params.side) * offset for offset in (params.top, params.left)]
    side = params.side
    if rounded:
        (top, side), (left, _) = (
            round_to_grid(params.side, offset, size) for offset in (params.top, params.left)
        )
        starts = [top, left]
    boxes = torch.stack([*starts, side], dim=1) * size
    return boxes.round() if rounded else boxes


def round_to_grid(side: Tensor, offset: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Round a crop to a grid of `size` pixels, as in the authors' code (revision c3aa029).

    The authors round crops of the image and of the feature map independently, each on its own
    grid; the two crops differ by up to 2.7 feature cells.

    Returns:
        (start, side), both (B,) float64 fractions of the image.
    """
    pixels = torch.floor(side * size)
    start = torch.round((size - pixels) * offset)
    return start / size, pixels / size


def resampling_matrix(
    start: Tensor,
    side: Tensor,
    flip: Tensor,
    *,
    source: int,
    target: int,
    antialias: bool,
    confined: bool = False,
    device: torch.device = _CPU,
) -> Tensor:
    """Crop, resize and flip along one axis, as a matrix.

    Positions are computed in float64 on the CPU, since float64 is slow on most other devices and
    missing on some; the weights are computed in float32 on `device`.

    Linear interpolation. With `antialias` the triangle filter widens with the downscaling factor,
    as in Pillow and `torch.nn.functional.interpolate(antialias=True)`.

    Args:
        start: (B,) start of the crop as a fraction of the axis, on the CPU.
        side: (B,) length of the crop as a fraction of the axis, on the CPU.
        flip: (B,) bool, reverse the crop, on the CPU.
        source: pixels of the input axis.
        target: pixels of the output axis.
        antialias: low-pass filter when downscaling.
        confined: read no pixel outside the crop, as if it were cut out first.
        device: of the matrix.

    Returns:
        (B, target, source) float32; rows sum to 1.
    """
    index = torch.arange(target, dtype=torch.float64)
    index = torch.where(flip[:, None], target - 1 - index, index)
    centre = (start[:, None] + side[:, None] * (index + 0.5) / target) * source - 0.5
    low = start * source if confined else torch.zeros_like(start)
    high = (start + side) * source if confined else torch.full_like(start, source)
    centre = torch.minimum(torch.maximum(centre, low[:, None]), high[:, None] - 1)
    support = torch.ones_like(side)
    if antialias:
        support = torch.maximum(support, side * source / target)
    centre, support = (to_device(one.float(), device) for one in (centre, support))
    position = torch.arange(source, dtype=torch.float32, device=device)
    distance = (position - centre[..., None]).abs_() / support[:, None, None]
    weight = (1 - distance).clamp_min_(0)
    if confined:
        pixel = torch.arange(source)
        inside = (pixel >= low[:, None] - 0.5) & (pixel <= high[:, None] - 0.5)
        weight = weight * to_device(inside, device)[:, None, :]
    return weight / weight.sum(dim=2, keepdim=True)


def scaling_matrix(source: int, target: int, *, antialias: bool) -> Tensor:
    """Matrix that resizes a whole axis: (target, source) float32."""
    zero = torch.zeros(1, dtype=torch.float64)
    matrix = resampling_matrix(
        zero, zero + 1, zero.bool(), source=source, target=target, antialias=antialias
    )
    return matrix[0]


def resample(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Apply one matrix along the rows and one along the columns of each image or feature map.

    Args:
        images: (B, C, H, W), B >= 0.
        rows: (B, h, H).
        columns: (B, w, W).

    Returns:
        (B, C, h, w); gradients pass through.
    """
    batch, channels, height, width = images.shape
    if channels < _FEW_CHANNELS:
        tall = images.reshape(batch, channels * height, width)
        narrow = torch.bmm(tall, columns.transpose(1, 2))
        narrow = narrow.view(batch, channels, height, columns.shape[1])
        return torch.matmul(rows[:, None], narrow)
    last = images.permute(0, 2, 3, 1).reshape(batch, height, width * channels)
    tall = torch.bmm(rows, last).view(batch, rows.shape[1], width, channels)
    return torch.matmul(columns[:, None], tall).permute(0, 3, 1, 2)
