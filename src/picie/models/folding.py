"""Frozen copies of a network in which batch norms are folded into the convolutions before them.

With fixed statistics a batch norm is one scale and one shift per channel, n(y) = s y + t with
s = weight / sqrt(variance + eps) and t = bias - s mean, so that n(W x + b) = (s W) x + (s b + t).
As a layer of its own it reads and writes every activation once more, a quarter of the time that
the default backbone takes on a CPU.
"""

import copy
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from picie.models.picie import PiCIE
from picie.runtime.random import Stream, torch_generator

__all__ = ["FoldedCopy", "avoid_padded_copies", "fix_padding", "folded"]


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

    Afterwards it is right for images whose sides are multiples of the coarsest stride, and a
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


_PROBE = (1, 3, 96, 160)  # a size that every backbone takes
_ROUNDING = 1e-3  # of the largest feature; folding itself moves about 1e-6


class FoldedCopy:
    """Remembers the folded copy of a network for as long as the network stays the same.

    Args:
        network: may change later, by training or by loading a state; the next call notices.
    """

    def __init__(self, network: PiCIE) -> None:
        self.network = network
        self._copy: PiCIE | None = None
        self._seen: list[tuple[Tensor, int]] = []
        self._sums = torch.empty(0)

    def __call__(self) -> PiCIE:
        """The copy for the present weights; made now where there is none."""
        tensors = [*self.network.parameters(), *self.network.buffers()]
        sums = _sums(tensors)  # fused optimisers write without being counted
        if (
            self._copy is None
            or not _unchanged(tensors, self._seen)
            or not torch.equal(sums, self._sums)
        ):
            self._seen = [(tensor.detach(), _version(tensor)) for tensor in tensors]
            self._copy, self._sums = folded(self.network), sums
        return self._copy


@torch.no_grad()
def folded(network: PiCIE) -> PiCIE:
    """A frozen copy for inference, without the batch norms that directly follow a convolution.

    Which do is seen on a small image. Norms of other kinds, at other places or of layers used
    twice stay as they are, and so do the activations and each convolution's own padding; but on a
    CPU, strided convolutions with "same" padding no longer copy their input to pad it. Where the
    result differs by more than rounding, nothing is changed.

    Args:
        network: stays as it is.

    Returns:
        The copy in evaluation mode, its convolutions in channels_last.
    """
    lean = _frozen(network)
    if not any(_is_norm(module) for module in lean.modules()):
        return lean
    device = next(lean.buffers()).device
    probe = torch.rand(_PROBE, generator=torch_generator(Stream.FOLDING, 0)).to(device)
    with torch.autocast(device.type, enabled=False):
        wanted, pairs = _observed(lean, probe)
        for convolution, norm in pairs:
            _fold(lean, convolution, norm)
        if device.type == "cpu":
            avoid_padded_copies(lean)
        close = (lean(probe) - wanted).abs().max() <= _ROUNDING * wanted.abs().max()
    return lean if close else _frozen(network)


def _frozen(network: PiCIE) -> PiCIE:
    frozen = copy.deepcopy(network).eval().requires_grad_(False)
    return frozen.to(memory_format=torch.channels_last)


def _observed(network: nn.Module, probe: Tensor) -> tuple[Tensor, list[tuple[str, str]]]:
    """The features; names of convolutions and of the batch norms that take exactly their outputs.

    Every layer that is used twice is left out.
    """
    outputs: list[tuple[str, Tensor, int]] = []  # kept, so that no address is used twice
    inputs: list[tuple[str, Tensor, int]] = []

    def after(name: str) -> Any:
        return lambda _, __, output: outputs.append((name, output, _version(output)))

    def before(name: str) -> Any:
        return lambda _, given: inputs.append((name, given[0], _version(given[0])))

    hooks = [
        module.register_forward_hook(after(name))
        if _is_convolution(module)
        else module.register_forward_pre_hook(before(name))
        for name, module in network.named_modules()
        if _is_convolution(module) or _is_norm(module)
    ]
    try:
        features: Tensor = network(probe)
    finally:
        for hook in hooks:
            hook.remove()
    made = {id(tensor): (name, version) for name, tensor, version in outputs}
    pairs = [
        (made[id(tensor)][0], norm)
        for norm, tensor, version in inputs
        if id(tensor) in made and made[id(tensor)][1] == version  # nothing wrote in between
    ]
    used = [name for name, *_ in outputs + inputs]
    return features, [pair for pair in pairs if all(used.count(name) == 1 for name in pair)]


def _is_convolution(module: nn.Module) -> bool:
    """Those that apply their weights as they stand; some subclasses normalise them first."""
    from timm.layers import Conv2dSame

    return type(module) in (nn.Conv2d, Conv2dSame) and not module._forward_hooks


def _is_norm(module: nn.Module) -> bool:
    """Batch norms with fixed statistics, on their own or with an activation behind them."""
    from timm.layers import BatchNormAct2d

    kind = getattr(module, "plain", type(module))  # of one that shares its batch statistics
    known = kind in (nn.BatchNorm2d, BatchNormAct2d)
    return known and module.running_mean is not None and not module._forward_hooks


def _fold(network: nn.Module, convolution: str, norm: str) -> None:
    """Scale the convolution's weights, and leave of the norm what stands behind it."""
    layer = cast(nn.Conv2d, network.get_submodule(convolution))
    old = cast(nn.BatchNorm2d, network.get_submodule(norm))
    scale, shift = _scale_and_shift(old)
    weight = layer.weight.cpu().double() * scale[:, None, None, None]
    if layer.bias is not None:
        shift = shift + layer.bias.cpu().double() * scale
    layer.bias = nn.Parameter(shift.to(layer.weight), requires_grad=False)
    weight = weight.contiguous(memory_format=torch.channels_last)
    layer.weight = nn.Parameter(weight.to(layer.weight), requires_grad=False)
    place, _, name = norm.rpartition(".")
    network.get_submodule(place).add_module(name, getattr(old, "act", nn.Identity()))


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """(C,) s and t, in float64 on the CPU, since some devices have no float64."""
    assert norm.running_mean is not None  # norms without statistics are left alone
    assert norm.running_var is not None
    scale = (norm.running_var.cpu().double() + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight.cpu().double()
    shift = -scale * norm.running_mean.cpu().double()
    return scale, shift + norm.bias.cpu().double() if norm.affine else shift


@torch.no_grad()
def _sums(tensors: Sequence[Tensor]) -> Tensor:
    """(n,) float32 sum of each tensor."""
    with torch.autocast(tensors[0].device.type, enabled=False):
        return torch.stack([tensor.sum().float() for tensor in tensors])


def _unchanged(tensors: Sequence[Tensor], seen: Sequence[tuple[Tensor, int]]) -> bool:
    """Whether these are the tensors seen before: same memory, type and number of writes.

    The tensors seen before keep their memory from being given to others.
    """
    return len(tensors) == len(seen) and all(
        tensor.data_ptr() == old.data_ptr()
        and tensor.dtype == old.dtype
        and tensor.shape == old.shape
        and _version(tensor) == version >= 0
        for tensor, (old, version) in zip(tensors, seen, strict=True)
    )


def _version(tensor: Tensor) -> int:
    """How often the tensor was written to; -1 where torch does not count (inference mode)."""
    return -1 if tensor.is_inference() else tensor._version
