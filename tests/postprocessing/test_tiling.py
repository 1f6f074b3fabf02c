"""Tiles: where they lie, what they weigh, and what is left of their borders."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from picie.data.synthetic.scenes import draw_scene
from picie.errors import ConfigError
from picie.models.picie import PiCIE
from picie.postprocessing.tiling import blended, check_tile, cut, strips

LENGTHS = [32, 128, 160, 256, 288, 1024, 1056, 4000, 16000]
TILES = [128, 160, 256, 1024]


def test_tiles_cover_the_axis_and_overlap_by_a_quarter() -> None:
    for length in LENGTHS:
        for tile in TILES:
            starts, side = cut(length, tile)
            assert side <= tile
            assert starts[0] == 0
            assert starts[-1] + side == length
            assert all(start % 32 == 0 for start in starts)
            shared = [a + side - b for a, b in itertools.pairwise(starts)]
            assert min(shared, default=tile) >= max(32, tile // 128 * 32)
            assert all(
                a + side <= c for a, _, c in zip(starts, starts[1:], starts[2:], strict=False)
            )


@pytest.mark.parametrize("length", LENGTHS)
def test_what_fits_is_one_tile(length: int) -> None:
    assert cut(length, max(length, 128)) == ([0], length)


def test_tiles_are_few_and_no_larger_than_needed() -> None:
    assert cut(1056, 1024) == ([0, 384], 672)
    assert cut(1792, 1024) == ([0, 768], 1024)
    assert cut(1824, 1024) == ([0, 512, 1024], 800)


@pytest.mark.parametrize("tile", [-32, 31, 32, 96, 100, 129, 1000])
def test_tiles_that_cannot_be(tile: int) -> None:
    with pytest.raises(ConfigError, match=f"tile {tile}: give a multiple of 32 from 128, or 0"):
        check_tile(tile)


@pytest.mark.parametrize("tile", [0, 128, 160, 1024])
def test_tiles_that_can_be(tile: int) -> None:
    check_tile(tile)


def make_image(height: int, width: int) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("stride", [1, 4, 32])
def test_weights_sum_to_one(stride: int) -> None:
    def constant(part: Tensor) -> Tensor:
        return torch.ones(1, 2, part.shape[2] // stride, part.shape[3] // stride)

    found = blended(constant, make_image(544, 288), 128)
    assert found.shape == (2, 544 // stride, 288 // stride)
    torch.testing.assert_close(found, torch.ones_like(found), rtol=0, atol=1e-6)


def test_one_tile_is_the_whole() -> None:
    def logits(part: Tensor) -> Tensor:
        return F.avg_pool2d(part, 4).sin()

    image = make_image(128, 96)
    assert torch.equal(blended(logits, image, 128), logits(image[None])[0])


def test_a_position_comes_from_the_tile_that_holds_it_well_inside() -> None:
    """Where a tile's border counts for nothing, its wrong values there change nothing."""

    def wrong_at_borders(part: Tensor) -> Tensor:
        out = F.avg_pool2d(part, 4)
        out[..., :2, :] = out[..., -2:, :] = 9
        out[..., :, :2] = out[..., :, -2:] = 9
        return out

    image = make_image(320, 448)
    found = blended(wrong_at_borders, image, 128)  # 32 pixels shared: 2 cells count for nothing
    inside = (slice(None), slice(2, -2), slice(2, -2))
    torch.testing.assert_close(found[inside], F.avg_pool2d(image, 4)[inside])


def test_a_network_of_small_reach_sees_no_tiles() -> None:
    generator = torch.Generator().manual_seed(1)
    first = torch.randn(5, 3, 7, 7, generator=generator)
    second = torch.randn(4, 5, 3, 3, generator=generator)

    def logits(part: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(part, first, padding=3, stride=4).tanh(), second, padding=1)

    image = make_image(672, 928)
    torch.testing.assert_close(
        blended(logits, image, 256), logits(image[None])[0], rtol=0, atol=1e-5
    )


def test_the_default_backbone_decides_nearly_every_pixel_alike() -> None:
    scene, _ = draw_scene(0, 3, (416, 1120))
    image = torch.from_numpy(scene).permute(2, 0, 1).float() / 255
    torch.manual_seed(0)
    network = PiCIE("tf_efficientnet_lite0", 32).eval()
    with torch.no_grad():
        features = F.normalize(network(image[None]), dim=1)[0].flatten(1).T
        centroids = features[:: len(features) // 6][:6]

        def logits(part: Tensor) -> Tensor:
            return F.conv2d(F.normalize(network(part), dim=1), centroids[:, :, None, None])

        whole, tiled = logits(image[None])[0].argmax(0), blended(logits, image, 1024).argmax(0)
    assert len(whole.unique()) > 3
    assert float((whole == tiled).float().mean()) >= 0.98


@pytest.mark.parametrize("across", [1, 2, 9])
@pytest.mark.parametrize("size", [(256, 512), (640, 96), (32, 32), (320, 992)])
def test_strips_are_the_blended_image_in_parts(size: tuple[int, int], across: int) -> None:
    weight = torch.randn(5, 3, 7, 7, generator=torch.Generator().manual_seed(1))

    def logits(part: Tensor) -> Tensor:
        return F.conv2d(F.avg_pool2d(part, 4), weight, padding=3)

    def tile(place: tuple[int, int, int, int]) -> Tensor:
        top, left, height, width = place
        return logits(image[None, :, top : top + height, left : left + width])[0]

    image = make_image(*size)
    whole = blended(logits, image, 128)
    covered = np.zeros(whole.shape[1:], int)
    for strip in strips(tile, size, 128, across):
        rows, columns = strip.logits.shape[1:]
        place = (slice(strip.top, strip.top + rows), slice(strip.left, strip.left + columns))
        torch.testing.assert_close(strip.logits, whole[:, *place], rtol=0, atol=1e-5)
        covered[slice(*strip.rows), slice(*strip.columns)] += 1
        for (first, stop), (start, count), cells in zip(
            (strip.rows, strip.columns),
            ((strip.top, rows), (strip.left, columns)),
            whole.shape[1:],
            strict=True,
        ):
            assert start == max(first - 1, 0)  # a neighbour to each side, to upsample them alike
            assert start + count == min(stop + 1, cells)
    assert (covered == 1).all()


@pytest.mark.parametrize("stride", [7, 14])
def test_cells_that_tiles_do_not_share_are_brought_to_a_finer_grid(stride: int) -> None:
    """A ramp stays a ramp, in its place, where every tile has cells of its own."""

    def ramp(part: Tensor) -> Tensor:
        size = [-(-side // stride) for side in part.shape[2:]]
        return F.adaptive_avg_pool2d(part[:, :1], (size[0], size[1]))

    rows = torch.arange(544.0).expand(288, 544).T
    finer = 4 if stride == 7 else 8
    found = blended(ramp, rows.expand(3, 544, 288), 128)
    assert found.shape == (1, 544 // finer, 288 // finer)
    expected = (torch.arange(544 // finer) + 0.5) * finer - 0.5
    wrong = (found[0] - expected[:, None]).abs()
    assert float(wrong[finer:-finer].max()) < 1  # half a cell is flat at the very ends
