"""Convolutions of "same" padding in other forms: the same maps."""

import copy

import pytest
import timm
import torch
from torch import nn

from picie.models.folding import _EvenStride, _FixedPadding, fix_padding, folded
from picie.models.picie import PiCIE


def maps(*size: int) -> torch.Tensor:
    return torch.randn(2, 6, *size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("size", [(8, 8), (2, 14), (7, 8), (8, 9), (5, 5), (1, 1)])
def test_same_padding_without_a_copy_is_same_padding(kernel: int, size: tuple[int, int]) -> None:
    slow = timm.layers.Conv2dSame(6, 6, kernel, stride=2, groups=6, bias=True)
    with torch.no_grad():
        torch.testing.assert_close(
            _EvenStride(slow)(maps(*size)), slow(maps(*size)), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("kernel", [1, 2, 3, 5, (3, 5)])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (4, 1), (1, 2), (2, 2)])
def test_fixed_padding_is_same_padding_where_the_stride_divides_the_sides(
    kernel: int | tuple[int, int], stride: int, dilation: int
) -> None:
    slow = timm.layers.Conv2dSame(6, 4, kernel, stride=stride, dilation=dilation)
    with torch.no_grad():
        found = _FixedPadding(slow)(maps(8, 12))
        torch.testing.assert_close(found, slow(maps(8, 12)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("fold", [False, True])
def test_a_network_keeps_its_features(fold: bool) -> None:
    network: nn.Module = PiCIE("test_efficientnet", 8, pretrained=False).eval()
    network = folded(network) if fold else network  # type: ignore[arg-type]
    fixed = copy.deepcopy(network)
    fix_padding(fixed)
    assert not any(type(one) is timm.layers.Conv2dSame for one in fixed.children())
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(fixed(images), network(images), rtol=1e-4, atol=1e-4)


def test_the_default_backbone_has_no_padding_left_that_depends_on_the_size() -> None:
    network = folded(PiCIE("tf_efficientnet_lite0", 8, pretrained=False).eval())
    fix_padding(network)
    kinds = [type(one) for one in network.modules()]
    assert kinds.count(_FixedPadding) == 5  # one of each stride
    assert _EvenStride not in kinds
