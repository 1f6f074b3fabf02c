from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor, nn

from picie.models.fpn import FeaturePyramid

CHANNELS = (3, 5, 4, 6)
SIZES = ((13, 11), (7, 6), (4, 3), (2, 2))
Array = NDArray[np.float64]


def stages(batch: int = 2) -> list[Tensor]:
    draws = torch.Generator().manual_seed(0)
    return [
        torch.randn(batch, c, *size, generator=draws)
        for c, size in zip(CHANNELS, SIZES, strict=True)
    ]


def bilinear(plane: Array, height: int, width: int) -> Array:
    """Bilinear interpolation of one plane, pixel by pixel; pixel centres at half integers."""
    out = np.empty((height, width))
    for i in range(height):
        for j in range(width):
            y = min(max((i + 0.5) * plane.shape[0] / height - 0.5, 0), plane.shape[0] - 1)
            x = min(max((j + 0.5) * plane.shape[1] / width - 0.5, 0), plane.shape[1] - 1)
            top, left = int(y), int(x)
            low, right = min(top + 1, plane.shape[0] - 1), min(left + 1, plane.shape[1] - 1)
            above = plane[top, left] * (1 - x + left) + plane[top, right] * (x - left)
            below = plane[low, left] * (1 - x + left) + plane[low, right] * (x - left)
            out[i, j] = above * (1 - y + top) + below * (y - top)
    return out


def test_it_equals_a_slow_sum_from_coarse_to_fine() -> None:
    pyramid, maps = FeaturePyramid(CHANNELS, 4), stages()
    parameters: dict[str, Any] = {k: v.double().numpy() for k, v in pyramid.state_dict().items()}
    total: Array | None = None
    for i in reversed(range(4)):
        weight, bias = parameters[f"laterals.{i}.weight"], parameters[f"laterals.{i}.bias"]
        one = np.einsum("dc,bchw->bdhw", weight[:, :, 0, 0], maps[i].double().numpy())
        one += bias[:, None, None]
        if total is not None:
            one += [[bilinear(plane, *one.shape[2:]) for plane in sample] for sample in total]
        total = one
    assert total is not None
    actual = pyramid(maps).detach().double()
    assert actual.shape == (2, 4, 13, 11)
    torch.testing.assert_close(actual, torch.from_numpy(total), rtol=1e-4, atol=1e-5)


def test_it_is_linear_in_the_stages() -> None:
    pyramid = FeaturePyramid(CHANNELS, 4)
    for lateral in pyramid.laterals:
        assert isinstance(lateral, nn.Conv2d)
        nn.init.zeros_(lateral.bias)  # type: ignore[arg-type]
    one, other = stages(), [x.flip(0) for x in stages()]
    mixed = [2 * a - b for a, b in zip(one, other, strict=True)]
    torch.testing.assert_close(
        pyramid(mixed), 2 * pyramid(one) - pyramid(other), rtol=1e-4, atol=1e-5
    )


def test_parameters_of_the_published_decoder() -> None:
    pyramid = FeaturePyramid((64, 128, 256, 512), 128)
    assert sum(p.numel() for p in pyramid.parameters()) == 123_392


def test_gradients_reach_every_stage_and_lateral() -> None:
    pyramid, maps = FeaturePyramid(CHANNELS, 4), [x.requires_grad_() for x in stages()]
    pyramid(maps).square().sum().backward()
    for tensor in [*maps, *pyramid.parameters()]:
        assert tensor.grad is not None
        assert float(tensor.grad.abs().sum()) > 0


def test_a_missing_stage_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        FeaturePyramid(CHANNELS, 4)(stages()[1:])


def test_it_can_start_as_a_pca_of_the_stacked_stages() -> None:
    draws = torch.Generator().manual_seed(1)
    maps = [torch.randn(2, c, 6, 5, generator=draws) * c + c for c in (3, 4)]
    rows = torch.cat(maps, dim=1).permute(0, 2, 3, 1).reshape(-1, 7).numpy()
    pca = PCA(5).fit(rows)
    pyramid = FeaturePyramid((3, 4), 5)
    pyramid.start_from(
        torch.from_numpy(pca.mean_).float(), torch.from_numpy(pca.components_).float()
    )
    features = pyramid(maps).detach().permute(0, 2, 3, 1).reshape(-1, 5)
    np.testing.assert_allclose(features.numpy(), pca.transform(rows), atol=1e-4)


def test_it_can_see_features_from_another_origin() -> None:
    mean, directions, origin = torch.randn(18), torch.randn(4, 18), torch.arange(1.0, 5.0)
    plain, moved = FeaturePyramid(CHANNELS, 6), FeaturePyramid(CHANNELS, 6)
    plain.start_from(mean, directions)
    moved.start_from(mean, directions, origin)
    shift = (plain(stages()) - moved(stages())).detach()
    torch.testing.assert_close(shift[:, :4], origin[:, None, None].expand_as(shift[:, :4]))
    assert not shift[:, 4:].any()


def test_a_constant_of_the_mean_becomes_zero_at_every_resolution() -> None:
    mean, directions = torch.arange(18.0), torch.randn(4, 18)
    pyramid = FeaturePyramid(CHANNELS, 4)
    pyramid.start_from(mean, directions)
    blocks = mean.split(CHANNELS)
    maps = [
        block[None, :, None, None].expand(1, -1, *size)
        for block, size in zip(blocks, SIZES, strict=True)
    ]
    assert float(pyramid(maps).detach().abs().max()) < 1e-3


def test_fewer_directions_than_channels_leave_the_rest_silent_but_trainable() -> None:
    pyramid = FeaturePyramid(CHANNELS, 6)
    pyramid.start_from(torch.zeros(18), torch.ones(4, 18))
    features = pyramid(stages())
    assert bool((features[:, :4].abs().sum(dim=(0, 2, 3)) > 0).all())
    assert bool((features[:, 4:] == 0).all())
    features.sum().backward()
    for parameter in pyramid.parameters():
        assert parameter.grad is not None
        assert bool(parameter.grad.reshape(6, -1).abs().sum(1).gt(0).all())
