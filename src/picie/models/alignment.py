"""Where the cells of a feature map really look, and how to put them back in their place.

A convolution of stride 2 cannot be centred on an even grid: with TensorFlow's padding each one
moves the map by half a pixel of its input to one side, with the usual symmetric padding to the
other. Over five of them a cell of stride 32 looks half a cell away from where it lies. Masks are
then off by as much, and a flip, which turns the error around, breaks equivariance by a whole cell.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["receptive_offsets", "shift"]

_SIDE = 512  # pixels; wide enough that the border does not matter in the middle
_FAINT = 1e-3  # brightness of the probe: activations that saturate must not be reached


def receptive_offsets(stages: nn.Module, strides: tuple[int, ...]) -> Tensor:
    """Measure how far the cells of each stage look to the right of (and below) their own place.

    All weights of a copy are made equal and positive; the centre of mass of the gradient of the
    middle cell is then the centre of its receptive field.

    Args:
        stages: a network that gives one map per stage.
        strides: pixels per cell of each stage.

    Returns:
        (number of stages,) float32 in cells of each stage; 0 where it cannot be measured (networks
        of fixed size, or without convolutions over the picture, are centred).
    """
    probe = copy.deepcopy(stages).cpu().eval()
    for parent in list(probe.modules()):
        for name, module in parent.named_children():
            if isinstance(module, nn.MaxPool2d):
                setattr(parent, name, _average(module))
            _make_uniform(module)
    picture = torch.full((1, 3, _SIDE, _SIDE), _FAINT, requires_grad=True)
    try:
        with torch.enable_grad():
            maps = probe(picture)
            offsets = [
                _offset(one, picture, stride) for one, stride in zip(maps, strides, strict=True)
            ]
    except (RuntimeError, AssertionError, ValueError):
        return torch.zeros(len(strides))
    return torch.nan_to_num(torch.tensor(offsets)).clamp(-1, 1)


def shift(maps: Tensor, cells: float) -> Tensor:
    """Move a map by a fraction of a cell to the right and down (linear; the border is repeated).

    Args:
        maps: (B, C, h, w).
        cells: how far, -1 to 1; negative = to the left and up.
    """
    if abs(cells) < 1e-3:
        return maps
    for axis in (2, 3):
        size = maps.shape[axis]
        step = 1 if cells > 0 else -1
        index = (torch.arange(size, device=maps.device) - step).clamp(0, size - 1)
        maps = torch.lerp(maps, maps.index_select(axis, index), abs(cells))
    return maps


def _average(pool: nn.MaxPool2d) -> nn.AvgPool2d:
    """The same window: the gradient of a maximum over equal values goes to one of them only."""
    return nn.AvgPool2d(
        pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode, count_include_pad=False
    )


def _make_uniform(module: Any) -> None:
    with torch.no_grad():
        if isinstance(module, nn.Conv2d):
            module.weight.fill_(1 / module.weight[0].numel())
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.reset_parameters()


def _offset(maps: Tensor, picture: Tensor, stride: int) -> float:
    """In cells; the same along rows and columns, of which the mean is taken."""
    row, column = maps.shape[2] // 2, maps.shape[3] // 2
    (gradient,) = torch.autograd.grad(maps[0, :, row, column].sum(), picture, retain_graph=True)
    mass = gradient[0].sum(0).double()
    position = torch.arange(_SIDE, dtype=torch.float64) + 0.5
    seen_row = float((mass.sum(1) * position).sum() / mass.sum())
    seen_column = float((mass.sum(0) * position).sum() / mass.sum())
    off = (seen_row / stride - row - 0.5, seen_column / stride - column - 0.5)
    return sum(off) / 2
