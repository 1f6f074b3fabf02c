"""BatchNorm over the images of all processes, so that several train as one does."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["share_batch_statistics"]

Sum = Callable[[Tensor], Tensor]


def share_batch_statistics(network: nn.Module, reduce: Sum) -> None:
    """Let every BatchNorm2d in training mode use the mean and variance of all processes' batches.

    Parameters, buffers and their names stay; so does an activation that timm puts into the layer.
    All processes must then run the same layers in the same order, also with no image at hand.

    Args:
        network: changed in place.
        reduce: adds a tensor up over all processes and passes gradients through.
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
        for name in ("drop", "act"):  # of timm's BatchNormAct2d
            values = getattr(self, name)(values) if hasattr(self, name) else values
        return values

    return type(f"Shared{base.__name__}", (base,), {"forward": forward, "plain": base})


def _normalise(layer: Any, images: Tensor) -> Tensor:
    """Equations of Ioffe and Szegedy (2015), algorithm 1, with sums over all processes."""
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
