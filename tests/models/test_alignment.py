"""Do shifted maps lie where they look?"""

import pytest
import torch
from torch import Tensor, nn

from picie.models.alignment import receptive_offsets, shift
from picie.models.backbones import Backbone


@pytest.fixture(scope="module")
def aligned() -> Backbone:
    return Backbone("tf_efficientnet_lite0", aligned=True).eval()


def test_tensorflow_padding_moves_each_stage_by_half_a_pixel_per_stride_2(
    aligned: Backbone,
) -> None:
    # A stride-2 convolution on an even side pads one pixel more on the right: half a pixel of its
    # input. The n-th doubles that: (1 + 2 + 4 + ...) / 2 pixels in all.
    expected = [sum(2**i for i in range(n)) / 2 / 2**n for n in (2, 3, 4, 5)]
    assert aligned.offsets.tolist() == pytest.approx(expected, abs=0.02)


def test_symmetric_padding_moves_to_the_other_side() -> None:
    offsets = Backbone("resnet18.tv_in1k", pretrained=False, aligned=True).offsets
    assert (offsets < -0.4).all()
    assert (offsets >= -1).all()


class _Centred(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 2, kernel_size=4, stride=4)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.patches(images)]


class _OfFixedSize(nn.Module):
    def forward(self, images: Tensor) -> list[Tensor]:
        raise AssertionError(f"only 224 px, not {images.shape[-1]}")


@pytest.mark.parametrize("network", [_Centred(), _OfFixedSize()])
def test_networks_that_are_centred_or_cannot_be_measured_stay(network: nn.Module) -> None:
    assert receptive_offsets(network, (4,)).tolist() == pytest.approx([0.0], abs=1e-3)


def test_measuring_leaves_the_network_alone() -> None:
    network = _Centred()
    before = network.patches.weight.clone()
    receptive_offsets(network, (4,))
    assert torch.equal(network.patches.weight, before)


@pytest.mark.parametrize("cells", [0.25, -0.25, 0.5])
def test_shift_moves_a_ramp_by_that_many_cells(cells: float) -> None:
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
    moved = shift(torch.stack([rows, columns])[None], cells)
    inside = (slice(1, -1), slice(1, -1))
    assert torch.allclose(moved[0, 0][inside], (rows - cells)[inside])
    assert torch.allclose(moved[0, 1][inside], (columns - cells)[inside])


def test_no_shift_is_no_work() -> None:
    maps = torch.rand(1, 2, 3, 3)
    assert shift(maps, 0.0) is maps


@torch.no_grad()
def test_alignment_brings_flips_nearer_to_equivariance(aligned: Backbone) -> None:
    coarse = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    images = nn.functional.interpolate(coarse, size=(128, 128), mode="bicubic").clamp(0, 1)
    plain = Backbone("tf_efficientnet_lite0").eval()
    for stage in (1, 2):  # strides 8 and 16; a stride of 32 has too few inner cells here
        errors = [_flip_error(network, images, stage) for network in (plain, aligned)]
        assert errors[1] < 0.8 * errors[0]


def _flip_error(network: Backbone, images: Tensor, stage: int) -> float:
    straight = network(images)[stage].flip(3)[:, :, 1:-1, 1:-1]
    turned = network(images.flip(3))[stage][:, :, 1:-1, 1:-1]
    return float((straight - turned).norm() / straight.norm())
