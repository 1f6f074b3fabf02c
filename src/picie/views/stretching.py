"""From crops to views: blur, crop, stretch and mirror, all of them linear, in one go."""

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.views.geometric import resample, resampling_matrix
from picie.views.photometric import blur_matrix, blur_pictures

__all__ = ["stretch_crops", "whole_boxes"]


def whole_boxes(count: int, size: int) -> Tensor:
    """(count, 3) boxes that hold the whole of each picture of `size` pixels."""
    return torch.tensor([0.0, 0.0, size], dtype=torch.float64).expand(count, 3)


def stretch_crops(
    images: Tensor,
    *,
    boxes: Tensor,
    flip: Tensor,
    sigma: Tensor,
    target: int,
    antialias: bool,
    confined: bool,
) -> Tensor:
    """Blur pictures, cut a square out of each, bring it to `target` pixels, perhaps mirror it.

    A single picture on a CPU goes through these steps one by one where torch has one that does the
    same. Otherwise all of it is one matrix along the rows and one along the columns. Both give the
    same values.

    Args:
        images: (B, 3, S, S) float.
        boxes: (B, 3) float64 on the CPU: top, left and side in pixels.
        flip: (B,) bool on the CPU, mirrored along the width.
        sigma: (B,) standard deviation of the blur in pixels, on the CPU; 0 = none.
        target: side of the result in pixels.
        antialias: low-pass where a square is shrunk.
        confined: read no pixel outside a square (but for the blur, which comes first).

    Returns:
        (B, 3, target, target); it may share the memory of `images`.
    """
    single = len(images) == 1 and images.device.type == "cpu"
    if single and float(sigma[0]) > 0:
        images = blur_pictures(images, float(sigma[0]))
    alike = bool((boxes == boxes[:1]).all()) and bool((flip == flip[:1]).all())
    whole = bool((boxes == boxes.round()).all())
    if whole and confined and (single or (alike and not bool(sigma.any()))):
        return _cut(images, boxes[0].long().tolist(), bool(flip[0]), target, antialias)
    shrinks = antialias and float(boxes[:, 2].max()) > target
    if single and not confined and not shrinks:
        return _interpolated(images, boxes[0], bool(flip[0]), target)
    if single:
        sigma = torch.zeros_like(sigma)  # blurred already
    size, device = images.shape[-1], images.device
    blurred = sigma.nonzero()[:, 0]
    blur = blur_matrix(sigma[blurred].to(device), size)
    matrices = []
    for start, mirrored in ((boxes[:, 0], torch.zeros_like(flip)), (boxes[:, 1], flip)):
        matrix = resampling_matrix(
            (start / size).to(device),
            (boxes[:, 2] / size).to(device),
            mirrored.to(device),
            source=size,
            target=target,
            antialias=antialias,
            confined=confined,
        )
        places = blurred.to(device)
        matrix[places] = torch.bmm(matrix[places], blur)
        matrices.append(matrix)
    return resample(images, matrices[0], matrices[1])


def _cut(images: Tensor, box: list[int], flip: bool, target: int, antialias: bool) -> Tensor:
    top, left, side = box
    square = images[:, :, top : top + side, left : left + side]
    if side != target:
        square = F.interpolate(
            square,
            size=(target, target),
            mode="bilinear",
            align_corners=False,
            antialias=antialias and side > target,
        )
    return square.flip(3) if flip else square


def _interpolated(images: Tensor, box: Tensor, flip: bool, target: int) -> Tensor:
    """A square between pixels; beyond the border the nearest pixel is repeated."""
    size = images.shape[-1]
    steps = (torch.arange(target, dtype=torch.float64) + 0.5) / target
    top, left, side = box.unbind()
    rows, columns = (2 * (start + side * steps) / size - 1 for start in (top, left))
    columns = columns.flip(0) if flip else columns
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=2).float()
    return F.grid_sample(
        images, grid[None], mode="bilinear", padding_mode="border", align_corners=False
    )
