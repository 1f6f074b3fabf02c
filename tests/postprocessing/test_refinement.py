import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from picie.errors import ConfigError
from picie.inference.segmenter import Segmenter
from picie.postprocessing.refinement import average_scales, refine_boundaries, rings

NEAR = [  # eight at 1 cell, four at 2, 4 and 8
    *[(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x],
    *[(2 * y, 2 * x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y == 0) != (x == 0)],
    *[(4 * y, 4 * x) for y in (-1, 1) for x in (-1, 1)],
    *[(8 * y, 8 * x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y == 0) != (x == 0)],
]


def make_images(count: int = 1, height: int = 64, width: int = 96, seed: int = 0) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    small = torch.rand(count, 3, height // 16, width // 16, generator=draws)
    return F.interpolate(small, size=(height, width), mode="nearest")


def slow_step(values: Tensor, colours: Tensor, neighbours: list[tuple[int, int]]) -> Tensor:
    """One iteration, pixel by pixel, of a single image (K, h, w) and (3, h, w)."""
    _, height, width = values.shape
    out = torch.zeros_like(values)
    for y in range(height):
        for x in range(width):
            places = [
                (min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1))
                for dy, dx in neighbours
            ]
            own = colours[:, y, x]
            around = torch.stack([colours[:, a, b] for a, b in places])
            deviation = torch.cat([around, own[None]]).std(0)
            closeness = -((around - own).abs() / (0.1 * deviation + 1e-4)).mean(1)
            weights = closeness.softmax(0)
            for weight, (a, b) in zip(weights, places, strict=True):
                out[:, y, x] += weight * values[:, a, b]
    return out


def test_an_iteration_equals_a_slow_loop() -> None:
    draws = torch.Generator().manual_seed(1)
    values = torch.randn(1, 3, 6, 8, generator=draws)
    images = torch.rand(1, 3, 6, 8, generator=draws)
    once = refine_boundaries(values, images, 1)
    torch.testing.assert_close(once[0], slow_step(values[0], images[0], NEAR))
    wide = [(far * y, far * x) for far in (1, 16) for y, x in NEAR[:8]]
    found = refine_boundaries(values, images, 1, rings(1, 16))
    torch.testing.assert_close(found[0], slow_step(values[0], images[0], wide))
    torch.testing.assert_close(
        refine_boundaries(once, images, 1), refine_boundaries(values, images, 2)
    )


def test_borders_move_to_the_edges_of_the_image() -> None:
    images = torch.zeros(1, 3, 64, 64)
    images[..., 32:] = 1.0
    truth = (torch.arange(64) >= 32).expand(64, 64)
    values = torch.zeros(1, 2, 64, 64)
    values[:, 0, :, :28], values[:, 1, :, 28:] = 1.0, 1.0  # the border is four cells off
    before = (values.argmax(1)[0] == truth).float().mean()
    after = (refine_boundaries(values, images, 10).argmax(1)[0] == truth).float().mean()
    assert float(before) == pytest.approx(60 / 64)
    assert float(after) == 1.0


def test_values_stay_in_their_range_and_constants_stay() -> None:
    values = torch.randn(2, 3, 32, 48)
    images = make_images(2)
    found = refine_boundaries(values, images, 5)
    assert found.shape == values.shape
    assert values.min() <= found.min() <= found.max() <= values.max()
    constant = torch.full_like(values, 0.7)
    torch.testing.assert_close(refine_boundaries(constant, images, 5), constant)
    assert refine_boundaries(values, images, 0) is values


def test_a_mirrored_image_gives_a_mirrored_result() -> None:
    values, images = torch.randn(1, 3, 32, 48), make_images()
    mirrored = refine_boundaries(values.flip(3), images.flip(3), 3)
    torch.testing.assert_close(mirrored.flip(3), refine_boundaries(values, images, 3))


def test_scales_are_averaged_on_a_quarter_of_the_grid_of_the_image() -> None:
    images, seen = make_images(2), list[tuple[int, ...]]()

    def logits(part: Tensor) -> Tensor:
        seen.append(tuple(part.shape[2:]))
        return F.avg_pool2d(part, 4)

    found = average_scales(logits, images, (1.0, 1.5, 0.5))
    assert seen == [(64, 96), (96, 128), (32, 64)]
    assert all(side % 32 == 0 for size in seen for side in size)
    assert found.shape == (2, 3, 16, 24)
    alone = average_scales(logits, images, (1.0,))
    torch.testing.assert_close(alone, F.avg_pool2d(images, 4))
    with pytest.raises(ConfigError, match="no scale given"):
        average_scales(logits, images, ())


def test_a_model_applies_what_its_settings_say(model: Segmenter) -> None:
    images = make_images(2)
    other = model.post_processed(scales=(1, 1.5), refine=3)
    assert other.config.post_processing == (
        "mean of scales 1 1.5, 3 iterations of boundary refinement"
    )
    assert model.config.post_processing == "none"
    expected = refine_boundaries(average_scales(model.logits, images, (1, 1.5)), images, 3)
    torch.testing.assert_close(other.logits(images), expected)
    assert other.predict(images[0]).shape == (64, 96)
    assert other.post_processed(scales=(1,), refine=0).logits(images).shape == (2, 3, 16, 24)
    torch.testing.assert_close(
        model.post_processed().logits(images), model.logits(images), rtol=0, atol=0
    )


def test_tiles_of_a_processed_image_are_blended(model: Segmenter) -> None:
    image = make_images(1, 160, 192)[0]
    other = model.post_processed(refine=2)
    whole, tiled = (other.predict(image, size=160, tile=tile) for tile in (0, 128))
    assert (whole == tiled).mean() > 0.9


@pytest.mark.parametrize("scales", [(0.1,), (1, 5), (-1,)])
def test_scales_that_cannot_be(model: Segmenter, scales: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match=r"predict_scales = .*: give one to 16 numbers"):
        model.post_processed(scales=scales)


def test_iterations_that_cannot_be(model: Segmenter) -> None:
    with pytest.raises(ConfigError, match="refine = -1"):
        model.post_processed(refine=-1)
