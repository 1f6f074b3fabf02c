"""BatchNorm over the images of all processes, which makes their number irrelevant to training."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["share_batch_statistics"]

Sum = Callable[[Tensor], Tensor]


def share_batch_statistics(network: nn.Module, reduce: Sum) -> None:
    """Make every BatchNorm2d in training mode use mean and variance over all processes' batches.

    Parameters, buffers and their names do not change, nor does an activation that timm puts into
    the layer. All processes must run the same layers in the same order, even with an empty batch.

    Args:
        network: changed in place.
        reduce: sums a tensor over all processes; gradients pass through it.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = _shared(type(module))
            module.__dict__["_reduce"] = reduce


def _shared(base: type[nn.BatchNorm2d]) -> type[nn.BatchNorm2d]:
    def forward(self: Any, images: Tensor) -> Tensor:
        if not self.training:
            return base.forward(self, images)
        values = _normalise(self, images)
        for name in ("drop", "act"):  # attributes of timm's BatchNormAct2d
            values = getattr(self, name)(values) if hasattr(self, name) else values
        return values

    return type(f"Shared{base.__name__}", (base,), {"forward": forward, "plain": base})


def _normalise(layer: Any, images: Tensor) -> Tensor:
    """Ioffe and Szegedy (2015), algorithm 1, with sums over all processes."""
    wide = images if images.dtype == torch.float64 else images.float()
    sums = wide.sum((0, 2, 3))
    count = torch.full_like(sums, images.numel() / images.shape[1])
    total, number = layer._reduce(torch.stack([sums, count]))
    share = layer.momentum * (number > 0)  # a batch of unreadable images has no statistics
    number = number.clamp_min(1)
    mean = total / number
    centred = wide - mean[:, None, None]
    variance = layer._reduce(centred.square().sum((0, 2, 3))) / number
    with torch.no_grad():
        unbiased = variance * number / (number - 1).clamp_min(1)
        for running, new in ((layer.running_mean, mean), (layer.running_var, unbiased)):
            running.add_(share * (new - running))
        layer.num_batches_tracked += 1
    scale = layer.weight * torch.rsqrt(variance + layer.eps)
    values: Tensor = centred * scale[:, None, None] + layer.bias[:, None, None]
    return values.to(images.dtype)
