"""Convolutions of "same" padding in forms that are quicker, or that know no size of a picture.

"Same" padding adds up to one cell more behind a map than before it, which no convolution does by
itself, and how much it adds depends on the size of the map. For maps whose sides are multiples of
the stride it does not.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["avoid_padded_copies", "fix_padding"]


class _EvenStride(nn.Module):
    """A depthwise convolution of stride 2 that pads maps of even sides without copying them.

    A kernel that begins with a row and a column of zeros makes both sides equal.
    """

    kernel: Tensor

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution
        kernel = F.pad(convolution.weight, (1, 0, 1, 0))
        self.register_buffer("kernel", kernel.contiguous(memory_format=torch.channels_last))

    def forward(self, maps: Tensor) -> Tensor:
        own = self.convolution
        if maps.shape[2] % 2 or maps.shape[3] % 2:
            other: Tensor = own(maps)
            return other
        margin = own.kernel_size[0] // 2
        return F.conv2d(maps, self.kernel, own.bias, 2, margin, 1, own.groups)


class _FixedPadding(nn.Module):
    """A convolution of "same" padding for maps whose sides are multiples of its stride.

    Args:
        convolution: whose own padding is left out.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution
        margins = []
        for size, stride, dilation in zip(
            reversed(convolution.kernel_size),
            reversed(convolution.stride),
            reversed(convolution.dilation),
            strict=True,
        ):
            total = max((size - 1) * dilation + 1 - stride, 0)
            margins += [total // 2, total - total // 2]
        self.margins = margins  # left, right, top, bottom

    def forward(self, maps: Tensor) -> Tensor:
        own = self.convolution
        padded = F.pad(maps, self.margins)
        return F.conv2d(padded, own.weight, own.bias, own.stride, 0, own.dilation, own.groups)


def avoid_padded_copies(network: nn.Module) -> None:
    """Let strided depthwise convolutions no longer copy their input to pad it; changes `network`.

    On a CPU that is quicker, for maps of even sides; at others they work as before.
    """
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if _is_strided(layer) and not layer._forward_hooks:
                parent.add_module(name, _EvenStride(cast(nn.Conv2d, layer)))


def fix_padding(network: nn.Module) -> None:
    """Make the padding of every convolution a constant; changes `network`.

    Afterwards it is right for pictures whose sides are multiples of the coarsest stride, and a
    graph of it holds no arithmetic on sizes.
    """
    from timm.layers import Conv2dSame

    for parent in list(network.modules()):
        if isinstance(parent, _EvenStride):
            continue  # replaced as a whole
        for name, layer in list(parent.named_children()):
            inner = layer.convolution if isinstance(layer, _EvenStride) else layer
            if type(inner) is Conv2dSame:
                parent.add_module(name, _FixedPadding(cast(nn.Conv2d, inner)))


def _is_strided(module: nn.Module) -> bool:
    """Depthwise, of stride 2 and an odd kernel, with as much padding as the size needs."""
    from timm.layers import Conv2dSame

    if type(module) is not Conv2dSame:
        return False
    layer = cast(nn.Conv2d, module)
    kernel, other = layer.kernel_size
    depthwise = layer.groups == layer.in_channels > 1
    steps = (layer.stride, layer.dilation)
    return depthwise and steps == ((2, 2), (1, 1)) and kernel == other and kernel % 2 == 1 < kernel
