import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torch import Tensor
from torch.nn import functional as F

from picie.config import make_config
from picie.views.geometric import (
    NUM_DRAWS,
    draw_geometric,
    resample,
    resampling_matrix,
    round_to_grid,
)


def uniform(rows: int, seed: int = 0) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.rand(rows, NUM_DRAWS, dtype=torch.float64, generator=draws)


def matrix(
    start: float,
    side: float,
    source: int,
    target: int,
    *,
    flip: bool = False,
    antialias: bool = False,
    confined: bool = False,
) -> Tensor:
    return resampling_matrix(
        torch.tensor([start], dtype=torch.float64),
        torch.tensor([side], dtype=torch.float64),
        torch.tensor([flip]),
        source=source,
        target=target,
        antialias=antialias,
        confined=confined,
    )


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def centres(count: int) -> Tensor:
    return (torch.arange(count, dtype=torch.float32) + 0.5) / count


# --- the law: G of the image, then features = features, then G of the features


def misalignment(rule: str, base: int, view: int, cells: int) -> Tensor:
    """Cells between the two paths of a coordinate ramp, (2, draws, cells); a mean is a network."""
    crop = draw_geometric(uniform(120), make_config())
    rounded = rule == "rounded"
    distances = []
    for offset, flip in ((crop.top, torch.zeros_like(crop.flip)), (crop.left, crop.flip)):
        reads = []
        for source, target in ((base, view), (cells, cells)):
            start, side = (1 - crop.side) * offset, crop.side
            if rounded:
                start, side = round_to_grid(crop.side, offset, source)
            along = resampling_matrix(
                start, side, flip, source=source, target=target,
                antialias=source == base and not rounded, confined=rounded,
            )  # fmt: skip
            reads.append((along @ centres(source)).unflatten(1, (cells, -1)).mean(2))
        distances.append((reads[0] - reads[1]).abs() * cells)
    return torch.stack(distances)


@pytest.mark.parametrize(("base", "view", "cells"), [(320, 160, 40), (320, 320, 80)])
def test_features_follow_the_image_to_a_fraction_of_a_cell(
    base: int, view: int, cells: int
) -> None:
    distance = misalignment("aligned", base, view, cells)
    assert float(distance[:, :, 1:-1].max()) < 0.02
    assert float(distance.max()) < 0.3  # a map repeats half a cell at the border of the image


def test_rounding_at_two_scales_moves_features_by_whole_cells() -> None:
    aligned = misalignment("aligned", 640, 320, 80)[:, :, 1:-1]
    rounded = misalignment("rounded", 640, 320, 80)[:, :, 1:-1]
    assert float(rounded.max()) > max(1.0, float(aligned.max()))
    length = rounded.square().sum(0).sqrt()
    assert 0.39 <= float(length.mean()) <= 0.5
    assert float(rounded.max()) <= 2.7


def test_pooled_images_follow_in_two_dimensions() -> None:
    crop = draw_geometric(uniform(24, seed=3), make_config())
    vertical, horizontal = torch.meshgrid(centres(320), centres(320), indexing="ij")
    image = torch.stack([vertical, horizontal, vertical * 0])[None].expand(24, -1, -1, -1)
    top, left = (1 - crop.side) * crop.top, (1 - crop.side) * crop.left
    still = torch.zeros_like(crop.flip)

    def transform(x: Tensor, source: int, target: int, antialias: bool) -> Tensor:
        rows, columns = (
            resampling_matrix(
                start, crop.side, flip, source=source, target=target, antialias=antialias
            )
            for start, flip in ((top, still), (left, crop.flip))
        )
        return resample(x, rows, columns)

    first = F.avg_pool2d(transform(image, 320, 160, True), 4)
    second = transform(F.avg_pool2d(image, 8), 40, 40, False)
    assert first.shape == second.shape == (24, 3, 40, 40)
    assert float((first - second)[:, :, 1:-1, 1:-1].abs().max()) * 40 < 0.3


# --- oracles of the matrix


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(("source", "target"), [(64, 24), (37, 16), (16, 40), (9, 9), (640, 320)])
def test_the_whole_image_equals_torch(source: int, target: int, antialias: bool) -> None:
    image = noise(1, 2, source, source)
    along = matrix(0, 1, source, target, antialias=antialias)
    expected = F.interpolate(
        image, (target, target), mode="bilinear", align_corners=False, antialias=antialias
    )
    torch.testing.assert_close(resample(image, along, along), expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    ("start", "side"), [(0.0, 1.0), (0.123, 0.61), (0.0, 0.5), (0.4321, 0.5679)]
)
def test_a_sub_pixel_crop_equals_grid_sample(start: float, side: float, flip: bool) -> None:
    image = noise(1, 3, 20, 30)
    rows = matrix(0.21, 0.7, 20, 16)
    columns = matrix(start, side, 30, 24, flip=flip)
    x = 2 * (start + side * centres(24)) - 1
    y = 2 * (0.21 + 0.7 * centres(16)) - 1
    vertical, horizontal = torch.meshgrid(y, x.flip(0) if flip else x, indexing="ij")
    expected = F.grid_sample(
        image, torch.stack([horizontal, vertical], dim=-1)[None],
        mode="bilinear", padding_mode="border", align_corners=False,
    )  # fmt: skip
    torch.testing.assert_close(resample(image, rows, columns), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("start", "side"), [(0.0, 1.0), (0.13, 0.62), (0.5, 0.5), (0.07, 0.9)])
@pytest.mark.parametrize("target", [20, 48])
def test_an_antialiased_crop_equals_pillow(start: float, side: float, target: int) -> None:
    image = noise(40, 50)
    rows = matrix(0.2, 0.55, 40, target, antialias=True)
    columns = matrix(start, side, 50, target, antialias=True)
    box = (start * 50, 0.2 * 40, (start + side) * 50, (0.2 + 0.55) * 40)
    resized = Image.fromarray(image.numpy()).resize(
        (target, target), Image.Resampling.BILINEAR, box=box
    )
    actual = resample(image[None, None], rows, columns)[0, 0]
    np.testing.assert_allclose(actual.numpy(), np.asarray(resized), atol=2e-4)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(("first", "pixels"), [(0, 40), (7, 25), (0, 20), (19, 21)])
def test_a_confined_crop_reads_what_was_cut_out(first: int, pixels: int, antialias: bool) -> None:
    image = noise(1, 1, 1, 40)
    image[..., :first], image[..., first + pixels :] = 100, 100  # must not leak in
    columns = matrix(first / 40, pixels / 40, 40, 22, antialias=antialias, confined=True)
    expected = F.interpolate(
        image[..., first : first + pixels], (1, 22), mode="bilinear", antialias=antialias
    )
    actual = resample(image, torch.ones(1, 1, 1), columns)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("confined", [False, True])
@pytest.mark.parametrize("antialias", [False, True])
def test_rows_are_weights_that_sum_to_one(antialias: bool, confined: bool) -> None:
    crop = draw_geometric(uniform(50), make_config())
    start, side = round_to_grid(crop.side, crop.left, 60)
    along = resampling_matrix(
        start, side, crop.flip, source=60, target=22, antialias=antialias, confined=confined
    )
    assert along.shape == (50, 22, 60)
    assert along.dtype == torch.float32
    assert float(along.min()) >= 0
    torch.testing.assert_close(along.sum(2), torch.ones(50, 22))


# --- laws


def test_an_untouched_image_is_the_identity() -> None:
    assert torch.equal(matrix(0, 1, 33, 33, antialias=True)[0], torch.eye(33))


def test_flipping_twice_is_the_identity_and_once_the_mirror() -> None:
    mirror = matrix(0, 1, 12, 12, flip=True)
    assert torch.equal(mirror[0], torch.eye(12).flip(0))
    assert torch.equal((mirror @ mirror)[0], torch.eye(12))
    plain, flipped = (matrix(0.2, 0.6, 30, 14, flip=f, antialias=True) for f in (False, True))
    torch.testing.assert_close(flipped, plain.flip(1))


def test_a_crop_then_its_inverse_gives_the_crop_back() -> None:
    position = centres(64)
    signal = torch.sin(7 * position) + 0.5 * torch.cos(11 * position)
    start, side = 0.23, 0.55
    there = matrix(start, side, 64, 64)
    back = matrix(-start / side, 1 / side, 64, 64)
    inside = (position > start + 0.02) & (position < start + side - 0.02)
    assert int(inside.sum()) > 30
    restored = (back @ there)[0] @ signal
    torch.testing.assert_close(restored[inside], signal[inside], rtol=0, atol=0.01)
    assert float((restored - signal)[~inside].abs().max()) > 0.1  # what was cut off is gone


def test_one_draw_means_the_same_at_every_size() -> None:
    for size in (40, 64, 320):
        read = matrix(0.21, 0.53, size, 32)[0] @ centres(size)
        torch.testing.assert_close(read, 0.21 + 0.53 * centres(32), rtol=0, atol=1e-5)


# --- applying


@pytest.mark.parametrize("channels", [1, 3, 15, 16, 40])
def test_resampling_equals_a_sum_over_rows_and_columns(channels: int) -> None:
    images, rows, columns = noise(2, channels, 9, 7), noise(2, 5, 9, seed=1), noise(2, 6, 7, seed=2)
    expected = torch.einsum("bih,bjw,bchw->bcij", rows, columns, images)
    torch.testing.assert_close(resample(images, rows, columns), expected, rtol=1e-5, atol=1e-5)


def test_many_channels_equal_few_at_a_time() -> None:
    features, rows, columns = noise(3, 40, 10, 8), noise(3, 10, 10), noise(3, 8, 8)
    parts = [resample(part, rows, columns) for part in features.split(8, dim=1)]
    torch.testing.assert_close(resample(features, rows, columns), torch.cat(parts, dim=1))


@pytest.mark.parametrize("channels", [2, 18])
def test_it_is_linear_and_gradients_pass(channels: int) -> None:
    rows, columns = noise(1, 4, 5).double(), noise(1, 3, 4).double()
    one, other = noise(1, channels, 5, 4).double(), noise(1, channels, 5, 4, seed=1).double()
    torch.testing.assert_close(
        resample(2 * one - 3 * other, rows, columns),
        2 * resample(one, rows, columns) - 3 * resample(other, rows, columns),
    )
    one.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: resample(x, rows, columns), (one,))


# --- draws


def test_rounding_is_the_authors() -> None:
    crop = draw_geometric(uniform(200), make_config())
    for size in (640, 80, 33):
        start, side = round_to_grid(crop.side, crop.left, size)
        for i in range(200):
            pixels = math.floor(float(crop.side[i]) * size)
            assert float(side[i]) * size == pytest.approx(pixels)
            offset = round((size - pixels) * float(crop.left[i]))
            assert float(start[i]) * size == pytest.approx(offset)


def test_rounding_by_hand() -> None:
    start, side = round_to_grid(torch.tensor([0.617]).double(), torch.tensor([0.36]).double(), 80)
    assert float(side) * 80 == pytest.approx(49)  # floor(49.36)
    assert float(start) * 80 == pytest.approx(11)  # round(31 * 0.36 = 11.16)


def test_crops_and_flips_have_their_ranges_and_chances() -> None:
    config = make_config(crop_min=0.6, flip=0.3)
    crop = draw_geometric(uniform(20_000), config)
    for values, low, high in ((crop.side, 0.6, 1), (crop.top, 0, 1), (crop.left, 0, 1)):
        assert values.dtype == torch.float64
        assert stats.kstest(values.numpy(), stats.uniform(low, high - low).cdf).pvalue > 1e-3
    assert crop.flip.dtype == torch.bool
    assert float(crop.flip.float().mean()) == pytest.approx(0.3, abs=0.013)
    together = torch.stack([crop.side, crop.top, crop.left, crop.flip.double()])
    assert float((torch.corrcoef(together) - torch.eye(4)).abs().max()) < 0.035


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_a_certain_flip_is_certain(chance: float) -> None:
    flips = draw_geometric(uniform(500), make_config(flip=chance)).flip
    assert float(flips.float().mean()) == chance


@pytest.mark.parametrize("channels", [3, 40])
def test_no_image_is_resampled_to_none(channels: int) -> None:
    none = resample(torch.zeros(0, channels, 6, 7), torch.zeros(0, 4, 6), torch.zeros(0, 5, 7))
    assert none.shape == (0, channels, 4, 5)
