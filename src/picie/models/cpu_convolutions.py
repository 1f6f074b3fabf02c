"""Convolutions of frozen networks in the form that a CPU computes fastest.

torch brings the weights of a convolution into the order of its CPU library, oneDNN, in every call,
and an activation as a layer of its own reads and writes every value once more. Here the weights are
ordered once, and the library applies the activation to each value before it writes it.
"""

import platform
from functools import cache
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "EvenStride",
    "FusedConvolution",
    "can_fuse",
    "is_activation",
    "is_fusable",
    "pads_as_tensorflow",
]

_ACTIVATIONS: dict[type[nn.Module], tuple[str, list[float]]] = {
    nn.Hardswish: ("hardswish", []),
    nn.Identity: ("none", []),
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
    nn.SiLU: ("swish", []),
}
"""Name and values of each activation for oneDNN."""


class EvenStride(nn.Module):
    """A depthwise convolution of stride 2 with "same" padding, without a padded copy of the input.

    For maps of even sides "same" padding is asymmetric. A row and a column of zeros at the start of
    the kernel make it symmetric.
    """

    kernel: Tensor

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution
        kernel = F.pad(convolution.weight, (1, 0, 1, 0))
        self.register_buffer("kernel", kernel.contiguous(memory_format=torch.channels_last))

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve (B, C, H, W) maps to (B, C, H / 2, W / 2), rounded up."""
        own = self.convolution
        if maps.shape[2] % 2 or maps.shape[3] % 2:
            other: Tensor = own(maps)
            return other
        margin = own.kernel_size[0] // 2
        return F.conv2d(maps, self.kernel, own.bias, 2, margin, 1, own.groups)


class FusedConvolution(nn.Module):
    """A frozen convolution and the activation after it, for a CPU and without gradients.

    Within autocast it computes in half precision, as the convolution alone would.

    Args:
        layer: one that `is_fusable` accepts. Its weights must not change any more.
        activation: one that `is_activation` accepts.
    """

    def __init__(self, layer: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.layer, self.activation = layer, activation
        self._even = isinstance(layer, EvenStride)
        self._own = cast(nn.Conv2d, layer.convolution if self._even else layer)
        self._pads = pads_as_tensorflow(self._own)
        self._name, self._values = _ACTIVATIONS[type(activation)]
        self._ordered: tuple[object, Tensor, Tensor | None] | None = None

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve (B, C, H, W) maps of any memory format, and apply the activation."""
        own = self._own
        if self._even and (maps.shape[2] % 2 or maps.shape[3] % 2):
            other: Tensor = self.activation(self.layer(maps))
            return other
        kernel, margins = own.weight, [int(side) for side in own.padding]
        if self._even:
            kernel = cast(Tensor, self.layer.kernel)
            margins = [side // 2 for side in own.kernel_size]
        elif self._pads:
            from timm.layers.padding import pad_same

            maps = pad_same(maps, list(own.kernel_size), list(own.stride), list(own.dilation))
        half = torch.is_autocast_enabled("cpu")
        maps = maps.to(torch.get_autocast_dtype("cpu") if half else torch.float32)
        weight, bias = self._in_order(maps, kernel, margins)
        fused: Tensor = torch.ops.mkldnn._convolution_pointwise(
            maps, weight, bias, margins, own.stride, own.dilation, own.groups,
            self._name, self._values, "",
        )  # fmt: skip
        return fused

    def __getstate__(self) -> dict[str, object]:
        # Tensors in the order of oneDNN cannot be copied; they are made again.
        return self.__dict__ | {"_ordered": None}

    def _in_order(
        self, maps: Tensor, kernel: Tensor, margins: list[int]
    ) -> tuple[Tensor, Tensor | None]:
        """Weight and bias in the type of the maps, the weight in the best order for their shape.

        They are kept until maps of another shape or type come.
        """
        own, wanted = self._own, (maps.shape, maps.dtype)
        kept = self._ordered  # read once: another thread may replace it
        if kept is None or kept[0] != wanted:
            weight = torch.ops.mkldnn._reorder_convolution_weight(
                kernel.to(maps.dtype), margins, own.stride, own.dilation, own.groups, maps.shape
            )
            bias = None if own.bias is None else own.bias.to(maps.dtype)
            kept = self._ordered = wanted, weight, bias
        return kept[1], kept[2]


@cache
def can_fuse() -> bool:
    """Whether torch has the operations, which its public interface does not promise, and they work.

    Only for processors on which they are tested.
    """
    known = platform.machine().lower() in ("x86_64", "amd64")
    if not known or not torch.backends.mkldnn.is_available():
        return False
    with torch.random.fork_rng(devices=[]):  # the draws of others stay as they are
        layer = nn.Conv2d(3, 8, 3, padding=1).requires_grad_(False)
    maps = torch.linspace(-1, 1, 3 * 8 * 8).view(1, 3, 8, 8)
    try:
        fused = FusedConvolution(layer, nn.ReLU6())(maps)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):  # of another torch
        return False
    return torch.allclose(fused, F.relu6(layer(maps)), atol=1e-4)


def is_activation(module: nn.Module) -> bool:
    """Whether it is an activation that can be fused with the convolution before it."""
    return type(module) in _ACTIVATIONS and not module._forward_hooks


def is_fusable(module: nn.Module) -> bool:
    """Whether it is a convolution of float32 that pads with zeros."""
    own = module.convolution if isinstance(module, EvenStride) else module
    if not isinstance(own, nn.Conv2d) or not (type(own) is nn.Conv2d or pads_as_tensorflow(own)):
        return False
    padded = own.padding_mode == "zeros" and not isinstance(own.padding, str)
    return padded and own.weight.dtype == torch.float32 and not module._forward_hooks


def pads_as_tensorflow(module: nn.Module) -> bool:
    """Whether it is a convolution whose padding depends on the size of the maps."""
    from timm.layers import Conv2dSame

    return type(module) is Conv2dSame
