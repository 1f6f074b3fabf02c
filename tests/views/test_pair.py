from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor
from torch.nn import functional as F

from picie.config import Config, make_config
from picie.types import Batch, ViewPair
from picie.views import geometric, photometric
from picie.views.geometric import GeometricParams, draw_geometric, resample
from picie.views.pair import Views, clean_view, full_boxes, stretch_crops
from picie.views.photometric import PhotometricParams, draw_photometric

PLAIN: dict[str, Any] = {"jitter": 0, "hue": 0, "grayscale": 0, "blur": 0}
WHOLE: dict[str, Any] = {"crop_min": 1, "flip": 0}
TENSORS = ("first", "second", "rows", "columns")


def config(preset: str = "default", **settings: Any) -> Config:
    jitters = {"hue": 0.1, "grayscale": 0.2}  # all of them, whatever the preset leaves out
    return make_config(preset, **({"size": 32, "base_size": 64} | jitters | settings))


def batch(*indices: int, base: int = 64) -> Batch:
    images = [
        torch.randint(256, (3, base, base), generator=torch.Generator().manual_seed(i))
        for i in indices
    ]
    return Batch(indices=torch.tensor(indices), images=torch.stack(images).to(torch.uint8))


def same(one: ViewPair, other: ViewPair, rows: list[int]) -> None:
    for name in TENSORS:
        expected = getattr(one, name)[rows]
        torch.testing.assert_close(getattr(other, name), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("preset", ["default", "reference", "paper"])
def test_a_pair_does_not_depend_on_its_batch(preset: str) -> None:
    settings = config(preset, seed=3)
    together = Views(settings, 1, 8)(batch(7, 2, 9, 4))
    same(together, Views(settings, 1, 8)(batch(9, 4, 2)), [2, 3, 1])
    same(together, Views(settings, 1, 8)(batch(7)), [0])


@pytest.mark.parametrize("preset", ["default", "reference"])
def test_one_view_alone_is_that_of_the_pair(preset: str) -> None:
    views = Views(config(preset), 2, 8)
    pair = views(batch(3, 8))
    for view, expected in enumerate((pair.first, pair.second)):
        images, rows, columns = views.one(batch(3, 8), view)
        assert torch.equal(images, expected)
        assert torch.equal(rows, pair.rows)
        assert torch.equal(columns, pair.columns)


@pytest.mark.parametrize("other", [{"epoch": 2}, {"seed": 4}])
def test_another_epoch_or_seed_gives_another_pair(other: dict[str, int]) -> None:
    one = Views(config(seed=3), 1, 8)(batch(5, 6))
    two = Views(config(seed=other.get("seed", 3)), other.get("epoch", 1), 8)(batch(5, 6))
    for name in TENSORS:
        difference = (getattr(one, name) - getattr(two, name)).abs().amax(dim=(1, 2))
        assert float(difference.max()) > 1e-2, name


def test_two_images_of_a_batch_get_different_transforms() -> None:
    same_image = batch(5).images.expand(2, -1, -1, -1)
    pair = Views(config(seed=3), 0, 8)(Batch(torch.tensor([5, 6]), same_image))
    for name in TENSORS:
        one, other = getattr(pair, name)
        assert float((one - other).abs().max()) > 1e-2, name


@pytest.mark.parametrize("preset", ["default", "reference"])
@pytest.mark.parametrize(("base", "size", "cells"), [(64, 32, 8), (32, 32, 8), (48, 64, 16)])
def test_sizes_types_and_ranges(preset: str, base: int, size: int, cells: int) -> None:
    source = batch(0, 1, 2, base=base)
    before = source.images.clone()
    pair = Views(config(preset, size=size, base_size=base), 0, cells)(source)
    assert pair.first.shape == pair.second.shape == (3, 3, size, size)
    assert pair.rows.shape == pair.columns.shape == (3, cells, cells)
    for name in TENSORS:
        values = getattr(pair, name)
        assert values.dtype == torch.float32
        assert float(values.min()) >= 0
        assert float(values.max()) <= 1 + 1e-5
    assert torch.equal(source.images, before)


@pytest.mark.parametrize("base", [32, 64])
def test_without_any_chance_both_views_are_the_clean_one(base: int) -> None:
    source = batch(0, 1, base=base)
    pair = Views(config(base_size=base, **PLAIN, **WHOLE), 0, 8)(source)
    clean = clean_view(source.images, 32)
    torch.testing.assert_close(pair.first, clean, rtol=0, atol=1e-6)
    torch.testing.assert_close(pair.second, clean, rtol=0, atol=1e-6)
    for along in (pair.rows, pair.columns):
        torch.testing.assert_close(along, torch.eye(8).expand(2, -1, -1))


def test_the_clean_view_is_an_antialiased_resize() -> None:
    source = batch(0, 1)
    expected = F.interpolate(
        source.images / 255, (32, 32), mode="bilinear", align_corners=False, antialias=True
    )
    torch.testing.assert_close(clean_view(source.images, 32), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(clean_view(source.images, 64), source.images / 255)


# --- one geometric frame for both views


def coordinates(preset: str, count: int = 48, **settings: Any) -> tuple[Tensor, Tensor]:
    """Where each feature cell of the two views looks, in 32nds of the image; (B, 2, 32, 32)."""
    ramp = torch.arange(256, dtype=torch.uint8)
    vertical, horizontal = torch.meshgrid(ramp, ramp, indexing="ij")
    image = torch.stack([vertical, horizontal, torch.zeros_like(ramp).expand(256, 256)])
    source = Batch(torch.arange(count), image.expand(count, -1, -1, -1))
    options = PLAIN | {"size": 128, "base_size": 256} | settings
    pair = Views(make_config(preset, **options), 0, 32)(source)
    first = F.avg_pool2d(pair.first, 4)
    second = resample(F.avg_pool2d(pair.second, 4), pair.rows, pair.columns)
    return (first[:, :2] * 255 + 0.5) / 8, (second[:, :2] * 255 + 0.5) / 8


def test_cells_of_both_views_look_at_the_same_place() -> None:
    first, second = coordinates("default")
    distance = (first - second).abs()
    assert float(distance[:, :, 1:-1, 1:-1].max()) < 0.05
    assert float(distance.max()) < 0.3


def test_cells_of_the_rounded_rule_look_beside_it() -> None:
    aligned, rounded = (
        float((first - second)[:, :, 1:-1, 1:-1].abs().max())
        for first, second in (coordinates("default"), coordinates("reference"))
    )
    assert rounded > 0.5 > aligned


def test_a_crop_is_a_window_of_the_drawn_size_and_only_columns_are_mirrored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def drawn(uniform: Tensor, config: Config) -> GeometricParams:
        found = draw_geometric(uniform, config)
        return replace(found, side=0.6 + (found.side - 0.6) / 2)  # 0.6 to 0.8

    monkeypatch.setattr(geometric, "draw_geometric", drawn)
    first, _ = coordinates("default", crop_min=0.6, flip=0.5)
    vertical, horizontal = first[:, 0, 2:-2, 5], first[:, 1, 5, 2:-2]
    down, right = vertical.diff(dim=1), horizontal.diff(dim=1)
    for steps in (down, right):
        assert float((steps - steps[:, :1]).abs().max()) < 0.01  # evenly spaced
    torch.testing.assert_close(down[:, 0], right[:, 0].abs(), rtol=0, atol=0.01)  # square
    assert 0.59 < float(down.min()) < 0.65
    assert 0.75 < float(down.max()) < 0.81
    mirrored = int((right[:, 0] < 0).sum())
    assert 10 < mirrored < 38
    assert float(first.min()) > 0
    assert float(first.max()) < 32


def test_labels_follow_the_features() -> None:
    colours = torch.eye(3, dtype=torch.uint8) * 255
    areas = torch.zeros(64, 64, dtype=torch.int64)
    areas[10:40, 20:50], areas[40:, :30] = 1, 2
    image = colours[areas].permute(2, 0, 1)
    source = Batch(torch.arange(32), image.expand(32, -1, -1, -1))
    pair = Views(config(size=64, **PLAIN), 0, 16)(source)
    first = F.avg_pool2d(pair.first, 4)
    second = resample(F.avg_pool2d(pair.second, 4), pair.rows, pair.columns)
    agree = first.argmax(1) == second.argmax(1)
    assert float(agree.float().mean()) > 0.97
    ignored = F.avg_pool2d(pair.second, 4).argmax(1)
    assert float((first.argmax(1) == ignored).float().mean()) < 0.9  # the matrices matter


# --- photometry


def test_the_views_are_coloured_independently() -> None:
    grey = torch.full((200, 3, 32, 32), 100, dtype=torch.uint8)
    only = PLAIN | WHOLE | {"jitter": 0.3}  # of grey, only the brightness changes
    source = Batch(torch.arange(200), grey)
    pair = Views(config(size=32, base_size=32, **only), 0, 8)(source)
    levels = torch.stack([pair.first.mean((1, 2, 3)), pair.second.mean((1, 2, 3))])
    assert float(levels.std(dim=1).min()) > 0.05
    assert abs(float(torch.corrcoef(levels)[0, 1])) < 0.25


def blurred(plane: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, Any]:
    for axis in (0, 1):
        options: dict[str, Any] = {"sigma": 1.5, "axis": axis, "mode": "constant", "truncate": 6}
        plane = gaussian_filter1d(plane, **options) / gaussian_filter1d(
            np.ones_like(plane), **options
        )
    return plane


def test_blur_acts_on_the_base_crop_before_it_is_resampled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def drawn(uniform: Tensor, config: Config) -> PhotometricParams:
        found = draw_photometric(uniform, config)
        return replace(found, sigma=torch.where(found.sigma > 0, 1.5, 0.0))

    monkeypatch.setattr(photometric, "draw_photometric", drawn)
    source = batch(0)
    settings = PLAIN | {"blur": 1, "size": 64}
    pair = Views(config(**settings), 0, 16)(source)
    sharp = Views(config(**settings | {"blur": 0}), 0, 16)(source)
    expected = torch.from_numpy(
        np.stack([blurred(plane) for plane in source.images[0].double().numpy() / 255])
    )
    torch.testing.assert_close(pair.second[0].double(), expected, rtol=0, atol=1e-3)
    assert float((pair.first - sharp.first).abs().mean()) > 0.05
    steps = pair.first.diff(dim=3).abs().mean(), sharp.first.diff(dim=3).abs().mean()
    assert float(steps[0]) < 0.5 * float(steps[1])


@pytest.mark.parametrize("preset", ["default", "reference"])
def test_a_batch_without_images_has_views_without_images(preset: str) -> None:
    pair = Views(config(preset), 0, 8)(
        Batch(torch.tensor([], dtype=torch.int64), batch(0).images[:0])
    )
    assert pair.first.shape == pair.second.shape == (0, 3, 32, 32)
    assert pair.rows.shape == pair.columns.shape == (0, 8, 8)


# --- stretching


BOXES = torch.tensor([[0, 0, 40], [3, 9, 29], [20, 1, 20], [11, 7, 33]]).double()
FLIP = torch.tensor([False, True, False, True])
SIGMA = torch.tensor([0.0, 1.3, 0.4, 0.0])


def make_images() -> Tensor:
    return torch.rand(4, 3, 44, 44, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("confined", "shift"), [(True, 0.0), (False, 0.0), (False, 0.37)])
def test_one_image_at_a_time_equals_the_batch(confined: bool, shift: float) -> None:
    for target in [16, 29, 44, 60]:
        for antialias in [True, False]:
            images, boxes = make_images(), BOXES + shift
            before = images.clone()
            whole = stretch_crops(
                images,
                boxes=boxes,
                flip=FLIP,
                sigma=SIGMA,
                target=target,
                antialias=antialias,
                confined=confined,
            )
            assert whole.shape == (4, 3, target, target)
            for i in range(4):
                part = slice(i, i + 1)
                alone = stretch_crops(
                    images[part],
                    boxes=boxes[part],
                    flip=FLIP[part],
                    sigma=SIGMA[part],
                    target=target,
                    antialias=antialias,
                    confined=confined,
                )
                torch.testing.assert_close(alone, whole[part], rtol=0, atol=1e-5)
            assert torch.equal(images, before)


def test_a_batch_of_whole_images_equals_the_matrices() -> None:
    images, boxes, still = make_images(), full_boxes(4, 44), torch.zeros(4)
    quick = stretch_crops(
        images,
        boxes=boxes,
        flip=still.bool(),
        sigma=still,
        target=20,
        antialias=True,
        confined=True,
    )
    faint = still + 1e-3  # a blur of nothing, which goes through the matrices
    slow = stretch_crops(
        images,
        boxes=boxes,
        flip=still.bool(),
        sigma=faint,
        target=20,
        antialias=True,
        confined=True,
    )
    torch.testing.assert_close(quick, slow, rtol=0, atol=1e-5)


def test_a_square_is_cut_out_before_it_is_stretched() -> None:
    images = make_images()[:1]
    square = images[:, :, 3:32, 9:38]
    expected = F.interpolate(square, (50, 50), mode="bilinear", align_corners=False).flip(3)
    found = stretch_crops(
        images,
        boxes=BOXES[1:2],
        flip=FLIP[1:2],
        sigma=torch.zeros(1),
        target=50,
        antialias=True,
        confined=True,
    )
    torch.testing.assert_close(found, expected)
