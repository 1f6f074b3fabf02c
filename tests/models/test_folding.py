"""Folded networks: the same features, fewer layers, and never those of older weights."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from picie.models.cpu_convolutions import EvenStride, FusedConvolution
from picie.models.folding import FoldedCopy, _FixedPadding, fix_padding, folded
from picie.models.picie import PiCIE

BACKBONES = ["tf_efficientnet_lite0", "test_efficientnet", "resnet18", "test_convnext", "test_vit"]


def network(backbone: str = "test_efficientnet") -> PiCIE:
    """A network with statistics as if it had been trained."""
    made = PiCIE(backbone, 8, pretrained=False)
    generator = torch.Generator().manual_seed(0)
    for norm in norms(made):
        for name, low, high in (
            ("running_mean", -0.2, 0.2),
            ("running_var", 0.5, 2.0),
            ("weight", 0.5, 1.5),
            ("bias", -0.2, 0.2),
        ):
            with torch.no_grad():
                getattr(norm, name).uniform_(low, high, generator=generator)
    return made.eval()


def norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [one for one in module.modules() if isinstance(one, nn.BatchNorm2d)]


def images(height: int = 64, width: int = 96) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def assert_equal_features(one: nn.Module, other: nn.Module, batch: Tensor) -> None:
    with torch.no_grad():
        first, second = one(batch), other(batch)
    scale = float(first.abs().max())
    torch.testing.assert_close(second, first, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_folded_network_has_the_same_features(backbone: str) -> None:
    original = network(backbone)
    lean = folded(original)
    for size in [(64, 96), (32, 32), (160, 64), (75, 109), (33, 34)]:  # padding depends on the size
        assert_equal_features(original, lean, images(*size))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_no_norm_is_left_behind_a_convolution(backbone: str) -> None:
    assert norms(folded(network(backbone))) == []


def test_norms_in_front_of_convolutions_stay() -> None:
    original = network("resnetv2_18")  # pre-activation
    lean = folded(original)
    assert 0 < len(norms(lean)) < len(norms(original))
    assert_equal_features(original, lean, images())


def test_the_original_stays_as_it_is() -> None:
    original = network()
    original.train()
    state = copy.deepcopy(original.state_dict())
    random = torch.get_rng_state()
    lean = folded(original)
    assert original.training
    assert all(parameter.requires_grad for parameter in original.parameters())
    assert original.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in original.state_dict().items())
    assert not any(module._forward_hooks for module in original.modules())
    assert torch.equal(torch.get_rng_state(), random)
    assert not lean.training
    assert not any(parameter.requires_grad for parameter in lean.parameters())
    assert not any(module._forward_hooks for module in lean.modules())
    for parameter in lean.parameters():
        parameter.fill_(9)
    assert all(torch.equal(tensor, state[name]) for name, tensor in original.state_dict().items())


def test_folding_works_within_autocast() -> None:
    original = network()
    with torch.autocast("cpu", torch.bfloat16):
        lean = folded(original)
        coarse = lean(images())
    assert_equal_features(original, lean, images())
    with torch.no_grad():
        exact = original(images())
    assert float((coarse.float() - exact).abs().max()) < 0.05 * float(exact.abs().max())


class Tiny(PiCIE):
    """One convolution and one norm, put together by `join`."""

    def __init__(
        self, norm: nn.Module, join: Callable[["Tiny", Tensor], Tensor], *, bias: bool = True
    ) -> None:
        nn.Module.__init__(self)
        self.conv = nn.Conv2d(3, 4, 3, padding=1, bias=bias)
        self.norm, self.join = norm, join

    def forward(self, images: Tensor) -> Tensor:
        return self.join(self, images)


def trained(norm: Any) -> Any:
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    return norm


def straight(net: Tiny, x: Tensor) -> Tensor:
    y: Tensor = net.norm(net.conv(x))
    return y


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_a_norm_is_one_scale_and_one_shift(bias: bool, affine: bool) -> None:
    original = Tiny(trained(nn.BatchNorm2d(4, affine=affine)), straight, bias=bias).eval()
    lean = folded(original)
    assert norms(lean) == []
    assert_equal_features(original, lean, images())


def test_the_activation_behind_a_norm_stays() -> None:
    norm = trained(timm.layers.BatchNormAct2d(4, act_layer=nn.ReLU))
    original = Tiny(norm, straight).eval()
    lean = folded(original)
    assert norms(lean) == []
    with torch.no_grad():
        assert float(lean(images()).min()) == 0
    assert_equal_features(original, lean, images())


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "resnet18"])
def test_no_activation_is_left_behind_a_convolution(backbone: str) -> None:
    lean = folded(PiCIE(backbone, 8, pretrained=False).eval())
    fused = [one for one in lean.modules() if isinstance(one, FusedConvolution)]
    assert len(fused) == sum(isinstance(one, nn.Conv2d) for one in lean.modules())
    inside = {one.activation for one in fused}
    activations = [one for one in lean.modules() if isinstance(one, nn.ReLU | nn.ReLU6)]
    # In a ResNet every second one follows a sum.
    assert sum(one not in inside for one in activations) == (8 if backbone == "resnet18" else 0)


def test_a_convolution_read_beside_its_activation_is_folded_but_not_fused() -> None:
    def join(net: Tiny, x: Tensor) -> Tensor:
        y = net.norm(net.conv(x))
        z: Tensor = net.get_submodule("activation")(y) + y
        return z

    original = Tiny(trained(nn.BatchNorm2d(4)), join)
    original.activation = nn.ReLU()
    lean = folded(original.eval())
    assert norms(lean) == []
    assert not any(isinstance(one, FusedConvolution) for one in lean.modules())
    assert_equal_features(original, lean, images())


def written_between(net: Tiny, x: Tensor) -> Tensor:
    y: Tensor = net.norm(F.relu_(net.conv(x)))
    return y


def used_beside(net: Tiny, x: Tensor) -> Tensor:
    y = net.conv(x)
    z: Tensor = net.norm(y) + y
    return z


def used_twice(net: Tiny, x: Tensor) -> Tensor:
    y: Tensor = net.norm(net.conv(x)) + net.conv(x)
    return y


@pytest.mark.parametrize("join", [written_between, used_beside, used_twice])
def test_what_cannot_be_folded_is_left(join: Callable[[Tiny, Tensor], Tensor]) -> None:
    original = Tiny(trained(nn.BatchNorm2d(4)), join).eval()
    lean = folded(original)
    assert len(norms(lean)) == 1
    assert_equal_features(original, lean, images())


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d(4, track_running_stats=False), nn.GroupNorm(2, 4), nn.Identity()]
)
def test_norms_without_statistics_are_left(norm: nn.Module) -> None:
    original = Tiny(norm, straight).eval()
    lean = folded(original)
    assert type(lean.norm) is type(norm)
    assert_equal_features(original, lean, images())


def test_strided_convolutions_of_the_default_backbone_pad_without_a_copy() -> None:
    lean = folded(network("tf_efficientnet_lite0"))
    assert sum(isinstance(module, EvenStride) for module in lean.modules()) == 4


# --- the copy that follows its network


def train_step(net: PiCIE, **options: Any) -> None:
    optimizer = torch.optim.Adam(net.parameters(), 0.1, **options)
    net(images()).square().sum().backward()
    optimizer.step()


def replace_weight(net: PiCIE) -> None:
    lateral: Any = net.decoder.laterals[0]
    lateral.weight = nn.Parameter(lateral.weight.detach() + 1)


def restore(net: PiCIE) -> None:
    state = {name: tensor + 1 for name, tensor in net.state_dict().items()}
    net.restore(state)


def batch_statistics(net: PiCIE) -> None:
    net.train()
    net(images())
    net.eval()


CHANGES: list[Callable[[PiCIE], Any]] = [
    lambda net: train_step(net, foreach=False),
    lambda net: train_step(net, foreach=True),
    lambda net: train_step(net, fused=True),
    replace_weight,
    restore,
    batch_statistics,
    lambda net: net.half().float(),
    lambda net: norms(net)[0].weight.data.mul_(2),
    lambda net: norms(net)[0].bias.detach().numpy().fill(1),
    lambda net: norms(net)[0].reset_running_stats(),
    lambda net: norms(net)[0].running_var.mul_(2),  # type: ignore[union-attr]
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_copy_is_remade_when_the_network_changed(change: Callable[[PiCIE], Any]) -> None:
    net = network()
    keep = FoldedCopy(net)
    before = keep()
    change(net)
    after = keep()
    assert after is not before
    assert_equal_features(net, after, images())
    assert keep() is after


def test_the_copy_is_kept_while_the_network_stays() -> None:
    net = network()
    keep = FoldedCopy(net)
    first = keep()
    net.train()
    net.eval()
    with torch.no_grad():
        net(images())
    copy.deepcopy(net)
    assert keep() is first


def test_networks_whose_writes_are_not_counted_are_folded_anew() -> None:
    with torch.inference_mode():
        net = network()
        keep = FoldedCopy(net)
        first = keep()
        net.decoder.laterals[0].bias.add_(1)  # type: ignore[operator]
        assert keep() is not first
        assert_equal_features(net, keep(), images())


# --- convolutions of "same" padding in other forms: the same maps


def maps(*size: int) -> torch.Tensor:
    return torch.randn(2, 6, *size, generator=torch.Generator().manual_seed(0))


def test_same_padding_without_a_copy_is_same_padding() -> None:
    for kernel in [3, 5, 7]:
        for size in [(8, 8), (2, 14), (7, 8), (8, 9), (5, 5), (1, 1)]:
            slow = timm.layers.Conv2dSame(6, 6, kernel, stride=2, groups=6, bias=True)
            with torch.no_grad():
                torch.testing.assert_close(
                    EvenStride(slow)(maps(*size)), slow(maps(*size)), rtol=1e-5, atol=1e-5
                )


def test_fixed_padding_is_same_padding_where_the_stride_divides_the_sides() -> None:
    for kernel in [1, 2, 3, 5, (3, 5)]:
        for stride, dilation in [(1, 1), (2, 1), (4, 1), (1, 2), (2, 2)]:
            slow = timm.layers.Conv2dSame(6, 4, kernel, stride=stride, dilation=dilation)
            with torch.no_grad():
                found = _FixedPadding(slow)(maps(8, 12))
                torch.testing.assert_close(found, slow(maps(8, 12)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("fold", [False, True])
def test_a_network_keeps_its_features(fold: bool) -> None:
    network: nn.Module = PiCIE("test_efficientnet", 8, pretrained=False).eval()
    network = folded(network, fuse=False) if fold else network  # type: ignore[arg-type]
    fixed = copy.deepcopy(network)
    fix_padding(fixed)
    assert not any(type(one) is timm.layers.Conv2dSame for one in fixed.children())
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(fixed(images), network(images), rtol=1e-4, atol=1e-4)


def test_the_default_backbone_has_no_padding_left_that_depends_on_the_size() -> None:
    network = folded(PiCIE("tf_efficientnet_lite0", 8, pretrained=False).eval(), fuse=False)
    fix_padding(network)
    kinds = [type(one) for one in network.modules()]
    assert kinds.count(_FixedPadding) == 5  # one of each stride
    assert EvenStride not in kinds
