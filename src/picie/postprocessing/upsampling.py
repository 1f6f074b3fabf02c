"""Upsample logits from the feature grid to cluster ids at the size of the image.

Bilinear interpolation is a convex combination of the four cells around a pixel. If one cluster has
the largest logit in all four, it has the largest interpolated one too. So only pixels at boundaries
between clusters need interpolation, about a fifth of a photo.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from picie.runtime.devices import to_device

__all__ = ["Mask", "Span", "mask_type", "upsample", "upsample_part", "upsampled_strips"]

Mask = NDArray[np.signedinteger[Any]]
"""(H, W) cluster ids 0..K-1, in the smallest type that `mask_type` knows for them.

Calculate with them only in a wider type: 16 bits overflow.
"""

_STRIP_PIXELS = 2**22  # pixels of the mask per strip
# Pixels interpolated at once on a CPU. The number is below torch's threshold for parallelisation,
# because the threads would wait for each other longer than they work.
_PIXELS = 2**15 - 1
_VALUES = 2**22  # interpolated at once, over all ids; four times as many on a GPU


@dataclass(frozen=True)
class Span:
    """Cells and pixels along one axis.

    Attributes:
        cells: number of cells of the whole image.
        first: index of the first available cell.
        pixels: number of pixels of the whole image.
        start: first requested pixel.
        stop: pixel after the last requested one.
    """

    cells: int
    first: int
    pixels: int
    start: int
    stop: int


def mask_type(count: int) -> type[np.int16] | type[np.int32]:
    """The type of a mask with ids 0..count-1 and IGNORED: a large photo has many pixels."""
    return np.int16 if count <= np.iinfo(np.int16).max else np.int32


def upsample(logits: Tensor, size: tuple[int, ...]) -> Mask:
    """Cluster ids at another size: argmax of the bilinearly upsampled logits.

    Computed on the device of the logits in strips of rows, so that memory on it does not grow with
    the size of the image. Ties go to the lowest id.

    Args:
        logits: (K, h, w).
        size: (H, W).
    """
    spans = (Span(n, 0, m, 0, m) for n, m in zip(logits.shape[1:], size, strict=True))
    return upsample_part(logits, *spans)


def upsample_part(logits: Tensor, rows: Span, columns: Span) -> Mask:
    """A part of the result of `upsample`, from a part of the logits.

    Args:
        logits: (K, h, w) of the cells that contain the requested pixels, and of their neighbours.
        rows: position of these cells in the whole image, and the requested rows of pixels.
        columns: the same for columns.

    Returns:
        Ids (rows.stop - rows.start, columns.stop - columns.start).
    """
    logits = logits.float().contiguous()
    down, across = (_axis(span, logits.device) for span in (rows, columns))
    size = (rows.stop - rows.start, columns.stop - columns.start)
    mask = np.empty(size, mask_type(len(logits)))
    if logits.device.type != "cpu":  # few operations: on a GPU, starting them takes the time
        kind, top = torch.from_numpy(mask).dtype, 0
        for values in _strips(logits, down, across):
            mask[top : top + values.shape[1]] = values.argmax(0).to(kind).cpu().numpy()
            top += values.shape[1]
        return mask
    undisputed = _undisputed(logits)
    step = max(1, _STRIP_PIXELS // size[1])
    for top in range(0, size[0], step):
        strip = undisputed[down.before[top : top + step]].index_select(1, across.before)
        _decide(strip, logits, down.part(top, step), across)
        mask[top : top + step] = strip.cpu().numpy()
    return mask


def upsampled_strips(logits: Tensor, size: tuple[int, ...]) -> Iterator[Tensor]:
    """The upsampled logits themselves, whose argmax is the result of `upsample`.

    Args:
        logits: (K, h, w).
        size: (H, W).

    Yields:
        (K, r, W) float32 strips of rows, from top to bottom.
    """
    logits = logits.float()
    spans = (Span(n, 0, m, 0, m) for n, m in zip(logits.shape[1:], size, strict=True))
    down, across = (_axis(span, logits.device) for span in spans)
    yield from _strips(logits, down, across)


def _strips(logits: Tensor, down: "_Axis", across: "_Axis") -> Iterator[Tensor]:
    """(K, r, W) strips of the interpolated logits."""
    values = _VALUES if logits.device.type == "cpu" else 4 * _VALUES
    step = max(1, values // (len(logits) * len(across.share)))
    for top in range(0, len(down.share), step):
        rows = down.part(top, step)
        strip = torch.lerp(logits[:, rows.before], logits[:, rows.after], rows.share[:, None])
        yield torch.lerp(strip[..., across.before], strip[..., across.after], across.share)


@dataclass(frozen=True)
class _Axis:
    """Per pixel along an axis: the cell at or before it, the next cell, and the latter's weight."""

    before: Tensor
    after: Tensor
    share: Tensor

    def part(self, start: int, count: int) -> "_Axis":
        pixels = slice(start, start + count)
        return _Axis(self.before[pixels], self.after[pixels], self.share[pixels])


def _axis(span: Span, device: torch.device) -> _Axis:
    """Pixel centres as in `align_corners=False`; beyond the border the last cell is repeated."""
    pixels = torch.arange(span.start, span.stop, dtype=torch.float64)
    centre = (pixels + 0.5) * span.cells / span.pixels - 0.5
    centre = centre.clamp(0, span.cells - 1)
    before = centre.floor().long()
    after = (before + 1).clamp_max(span.cells - 1)
    share = (centre - before).float()
    parts = (before - span.first, after - span.first, share)
    return _Axis(*(to_device(part, device) for part in parts))


def _undisputed(logits: Tensor) -> Tensor:
    """(h, w) int32: the cluster with the largest logit in cells r..r+1, c..c+1, or -1."""
    largest = _argmax(logits)
    right = torch.cat([largest[:, 1:], largest[:, -1:]], dim=1)
    agree = largest == right
    below = torch.cat([largest[1:], largest[-1:]])
    agree = agree & (largest == below) & torch.cat([agree[1:], agree[-1:]])
    return torch.where(agree, largest, -1)


def _decide(mask: Tensor, logits: Tensor, rows: _Axis, columns: _Axis) -> None:
    """Interpolate the pixels of `mask` that are -1, and write their ids."""
    flat, width = mask.view(-1), mask.shape[1]
    for pixels in (flat < 0).nonzero()[:, 0].split(_PIXELS):
        down = pixels.div(width, rounding_mode="floor")
        corners = _corners(rows, columns, down, pixels - down * width, logits.shape[2])
        flat[pixels] = _argmax(_mixed(plane.view(-1), corners) for plane in logits)


def _corners(
    rows: _Axis, columns: _Axis, down: Tensor, across: Tensor, width: int
) -> list[tuple[Tensor, Tensor]]:
    """The four cells around each of n pixels: (n,) flat indices into a plane, and weights."""
    (top, bottom), low = (rows.before[down] * width, rows.after[down] * width), rows.share[down]
    (left, right), late = (columns.before[across], columns.after[across]), columns.share[across]
    return [
        (top + left, (1 - low) * (1 - late)),
        (top + right, (1 - low) * late),
        (bottom + left, low * (1 - late)),
        (bottom + right, low * late),
    ]


def _mixed(plane: Tensor, corners: list[tuple[Tensor, Tensor]]) -> Tensor:
    (cell, share), *others = corners
    total = plane.index_select(0, cell).mul_(share)
    for cell, share in others:
        total.addcmul_(plane.index_select(0, cell), share)
    return total


def _argmax(planes: Iterable[Tensor]) -> Tensor:
    """(...) int32, the argmax over K planes of equal shape; ties go to the lowest index.

    Plane by plane, which on a CPU is several times faster than torch.argmax over dimension 0.
    """
    best: Tensor | None = None
    for number, plane in enumerate(planes):
        if best is None:
            best, ids = plane.clone(), torch.zeros_like(plane, dtype=torch.int32)
            continue
        ids.masked_fill_(plane > best, number)
        torch.maximum(best, plane, out=best)
    return ids
