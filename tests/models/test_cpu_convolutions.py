import copy
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from picie.models.cpu_convolutions import (
    EvenStride,
    FusedConvolution,
    can_fuse,
    is_activation,
    is_fusable,
)

needs_fusion = pytest.mark.skipif(not can_fuse(), reason="torch without oneDNN for this processor")

SAME: Any = timm.layers.Conv2dSame
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: nn.Conv2d(6, 4, 1),
    "without bias": lambda: nn.Conv2d(6, 4, 3, padding=1, bias=False),
    "strided": lambda: nn.Conv2d(6, 4, (3, 5), stride=2, padding=(1, 2)),
    "dilated groups": lambda: nn.Conv2d(6, 4, 3, padding=2, dilation=2, groups=2),
    "same": lambda: SAME(6, 4, 3, stride=2),
    "depthwise": lambda: nn.Conv2d(6, 6, 5, padding=2, groups=6),
    "even stride": lambda: EvenStride(SAME(6, 6, 5, stride=2, groups=6)),
}


def maps(height: int, width: int, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(height * width)
    return torch.randn(count, 6, height, width, generator=generator) * 4


@needs_fusion
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("act", [nn.Identity, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish])
@torch.no_grad()
def test_a_fused_convolution_gives_what_both_layers_give(name: str, act: type[nn.Module]) -> None:
    layer, activation = LAYERS[name](), act()
    assert is_fusable(layer)
    assert is_activation(activation)
    fused = FusedConvolution(layer, activation)
    for x in (
        maps(8, 12),
        maps(7, 12),
        maps(8, 12, 1).contiguous(memory_format=torch.channels_last),
    ):
        torch.testing.assert_close(fused(x), activation(layer(x)), rtol=1e-5, atol=1e-5)


@needs_fusion
@torch.no_grad()
def test_half_precision_is_that_of_autocast() -> None:
    layer = nn.Conv2d(6, 4, 3)
    fused, x = FusedConvolution(layer, nn.ReLU()), maps(8, 12)
    before = fused(x)
    with torch.autocast("cpu", torch.bfloat16):
        half = fused(x)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), before, rtol=0.05, atol=0.05)
    assert torch.equal(fused(x), before)


@needs_fusion
@torch.no_grad()
def test_a_used_one_can_be_copied() -> None:
    fused, x = FusedConvolution(nn.Conv2d(6, 4, 3), nn.ReLU()), maps(8, 12)
    assert torch.equal(fused(x), copy.deepcopy(fused)(x))


def test_only_what_the_library_computes_alike_is_fused() -> None:
    class Normalised(nn.Conv2d):
        """Applies its weights in another way."""

    watched = nn.Conv2d(6, 4, 3)
    watched.register_forward_hook(lambda *_: None)
    for layer in (
        watched,
        Normalised(6, 4, 3),
        nn.Conv2d(6, 4, 3, padding="same"),
        nn.Conv2d(6, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(6, 4, 3).double(),
        nn.ConvTranspose2d(6, 4, 3),
        nn.ReLU(),
    ):
        assert not is_fusable(layer)
    assert not is_activation(nn.Softmax(1))


def test_a_torch_without_the_operations_uses_plain_convolutions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(*_: object) -> None:
        raise RuntimeError("no such overload")

    can_fuse.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr("torch.ops.mkldnn._convolution_pointwise", missing)
        assert not can_fuse()
    can_fuse.cache_clear()
