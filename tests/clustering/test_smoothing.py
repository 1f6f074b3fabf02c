"""Features are averaged over surfaces, not over borders, before they are clustered."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from picie.clustering.smoothing import cell_stages, smooth_features
from picie.config import Config, make_config
from picie.models.picie import PiCIE
from picie.postprocessing.refinement import refine_boundaries, rings
from picie.runtime.profiler import Clock
from picie.training.targets import view_features
from picie.types import Batch
from picie.views.geometric import resample
from picie.views.pair import Views

SIZE = 64


def settings(**changes: Any) -> Config:
    return make_config(**({"size": SIZE, "base_size": SIZE} | changes))


def halves(blue: float = 1.0) -> Tensor:
    """(1, 3, 64, 64), the right half bluer than the left."""
    images = torch.full((1, 3, SIZE, SIZE), 0.5)
    images[:, 2, :, SIZE // 2 :] = blue
    return images


def noisy(seed: int = 0) -> Tensor:
    """(1, 4, 16, 16), one direction on the left, another on the right, and noise."""
    maps = torch.zeros(1, 4, 16, 16)
    maps[:, 0, :, :8], maps[:, 1, :, 8:] = 1.0, 1.0
    draws = torch.Generator().manual_seed(seed)
    return maps + 0.3 * torch.randn(maps.shape, generator=draws)


def spread(maps: Tensor) -> float:
    return float(F.normalize(maps, dim=1).var((2, 3)).sum())


def test_it_is_half_the_features_and_half_their_surroundings() -> None:
    maps, images = noisy(), halves()
    found = smooth_features(maps, images, settings(kmeans_smoothing=2))
    cells = F.avg_pool2d(F.normalize(maps, dim=1), 2)  # 4 pixels of the image a cell, then 8
    around = refine_boundaries(cells, F.avg_pool2d(images, 8), 2, rings(1, 2, 4, 8, 16))
    expected = (F.normalize(cells, dim=1) + F.normalize(around, dim=1)) / 2
    torch.testing.assert_close(found, expected)


def test_surfaces_become_even_and_borders_stay() -> None:
    maps, images = noisy(), halves()
    found = smooth_features(maps, images, settings())
    plain = smooth_features(maps, torch.full_like(images, 0.5), settings())
    left, right = found[..., :4], found[..., 4:]
    assert spread(left) < 0.7 * spread(F.avg_pool2d(maps, 2)[..., :4])
    apart = F.cosine_similarity(left.mean((2, 3)), right.mean((2, 3)))
    mixed = F.cosine_similarity(plain[..., :4].mean((2, 3)), plain[..., 4:].mean((2, 3)))
    assert float(apart) < 0.15 < float(mixed)


def test_none_means_the_maps_themselves() -> None:
    maps = noisy()
    assert smooth_features(maps, halves(), settings(kmeans_smoothing=0)) is maps


@pytest.mark.parametrize(("side", "cells"), [(16, 8), (8, 8), (4, 4), (3, 3)])
def test_only_grids_finer_than_eight_pixels_become_coarser(side: int, cells: int) -> None:
    found = smooth_features(
        torch.randn(2, 5, side, side), halves().expand(2, -1, -1, -1), settings()
    )
    assert found.shape == (2, 5, cells, cells)


def test_a_process_without_images_has_nothing_to_smooth() -> None:
    found = smooth_features(torch.empty(0, 5, 16, 16), torch.empty(0, 3, SIZE, SIZE), settings())
    assert found.shape == (0, 5, 8, 8)


def test_the_length_of_unit_features_does_not_count() -> None:
    maps, images = noisy(), halves()
    lengths = torch.rand(1, 1, 16, 16) + 0.5
    for unit, same in ((True, True), (False, False)):
        config = settings(unit_features=unit, similarity="l2")
        one, other = (smooth_features(x, images, config) for x in (maps, maps * lengths))
        assert torch.allclose(one, other, atol=1e-5) is same


def test_half_precision_and_gradients_stop_here() -> None:
    maps = noisy().bfloat16().requires_grad_()
    found = smooth_features(maps, halves(), settings())
    assert found.dtype == torch.float32
    assert not found.requires_grad


@pytest.fixture(scope="module")
def network() -> PiCIE:
    return PiCIE("resnet18", 8, pretrained=False).eval()


@pytest.mark.parametrize("view", [0, 1])
def test_both_views_are_smoothed_in_the_frame_of_the_crop(network: PiCIE, view: int) -> None:
    """View 2 is cut out after the network; colours and features must be cut alike."""
    config = settings(crop_min=0.5)
    draws = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (2, 3, SIZE, SIZE), generator=draws, dtype=torch.uint8)
    batch = Batch(torch.arange(2), images)
    views = Views(config, 0, SIZE // 4)
    with torch.no_grad():
        found, given = view_features(network, views, view, config, Clock())(batch)
        seen, rows, columns = views.one(batch, view)
        maps, colours = network(seen), F.avg_pool2d(seen, 4)
    if view == 1:
        maps, colours = resample(maps, rows, columns), resample(colours, rows, columns)
    torch.testing.assert_close(found, smooth_features(maps, colours, config))
    torch.testing.assert_close(F.adaptive_avg_pool2d(given, 16), colours)
    assert found.shape == (2, 8, 8, 8)


def test_coarse_maps_keep_what_is_one_cell_wide() -> None:
    """Resized to a finer grid and averaged back, they would be blurred."""
    fine = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    cells = torch.rand(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    coarse = torch.rand(2, 5, 4, 4)
    found = cell_stages([fine, cells, coarse], settings())
    torch.testing.assert_close(found[0], F.avg_pool2d(fine, 2))
    assert torch.equal(found[1], cells)
    assert torch.equal(found[2], coarse)
    plain = cell_stages([fine, cells, coarse], settings(kmeans_smoothing=0))
    assert all(one is other for one, other in zip(plain, (fine, cells, coarse), strict=True))


def test_the_last_clustering_sees_sharp_cells() -> None:
    """Stripes one cell of 8 pixels wide: half of the cells are of either kind, none in between."""
    network = PiCIE("test_efficientnet", 8, pretrained=False).eval()
    stripes = torch.arange(8).remainder(2).float().mul(2).sub(1).expand(1, 1, 8, 8)
    stages = [
        torch.zeros(1, channels, SIZE // stride, SIZE // stride)
        for channels, stride in zip(
            network.backbone.channels, network.backbone.strides, strict=True
        )
    ]
    at_cells = network.backbone.strides.index(8)
    stages[at_cells][:, :1] = stripes
    with torch.no_grad():
        sharp = network.decoder(cell_stages(stages, settings()))
        blurred = F.avg_pool2d(network.decoder(stages), 2)
    assert sharp.shape == blurred.shape == (1, 8, 8, 8)
    contrast = [float((one[..., 1:] - one[..., :-1]).abs().mean()) for one in (sharp, blurred)]
    assert contrast[1] < 0.7 * contrast[0]
