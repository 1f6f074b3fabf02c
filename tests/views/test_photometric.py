import colorsys
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from scipy import stats
from scipy.ndimage import gaussian_filter1d
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from picie.config import make_config
from picie.views.photometric import (
    NUM_DRAWS,
    PhotometricParams,
    adjust_colours,
    blur_images,
    blur_matrix,
    draw_photometric,
)

NEUTRAL = {
    "brightness": 1.0,
    "contrast": 1.0,
    "saturation": 1.0,
    "hue": 0.0,
    "grayscale": 0.0,
    "sigma": 0.0,
}
NAMES = [field.name for field in fields(PhotometricParams)]


def make_images(count: int = 3, height: int = 12, width: int = 17, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def params(*, count: int = 3, **values: Any) -> PhotometricParams:
    settings: dict[str, Any] = NEUTRAL | values
    columns = {
        k: torch.as_tensor(v, dtype=torch.float32).expand(count) for k, v in settings.items()
    }
    return PhotometricParams(**columns)


def uniform(rows: int, seed: int = 0) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.rand(rows, NUM_DRAWS, dtype=torch.float64, generator=draws)


FACTORS = [0.0, 0.4, 0.7, 1.3, 1.9]


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_a_factor_equals_torchvision(name: str) -> None:
    for factor in FACTORS:
        images = make_images()
        expected = getattr(F, f"adjust_{name}")(images, factor)
        changed: dict[str, Any] = {name: factor}
        actual = adjust_colours(images, params(**changed))
        torch.testing.assert_close(
            actual, expected, rtol=0, atol=1e-3
        )  # their luma has four digits


@pytest.mark.parametrize(
    ("name", "enhance"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
def test_a_factor_equals_pillow(name: str, enhance: Any) -> None:
    for factor in FACTORS:
        array = np.random.default_rng(1).integers(0, 256, (12, 17, 3), dtype=np.uint8)
        expected = np.asarray(enhance(Image.fromarray(array)).enhance(factor), dtype=float)
        images = torch.from_numpy(array).permute(2, 0, 1)[None] / 255
        actual = adjust_colours(images, params(count=1, **{name: factor}))[0].permute(1, 2, 0) * 255
        assert np.abs(actual.numpy() - expected).max() < 2  # Pillow rounds grey and result


@pytest.mark.parametrize("shift", [-0.5, -0.1, -0.03, 0.05, 0.1, 0.4])
def test_hue_equals_torchvision(shift: float) -> None:
    images = make_images()
    actual = adjust_colours(images, params(hue=shift))
    torch.testing.assert_close(actual, F.adjust_hue(images, shift), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shift", [-0.5, -0.1, 0.07, 1 / 3, 0.5])
def test_hue_equals_a_slow_turn_of_the_hue_circle(shift: float) -> None:
    corners = [(r, g, b) for r in (0.0, 1.0) for g in (0.0, 1.0) for b in (0.0, 1.0)]
    others = [(0.5, 0.5, 0.5), (0.2, 0.2, 0.9), (0.9, 0.2, 0.9), (0.7, 0.7, 0.1), (0.3, 0.6, 0.4)]
    pixels = corners + others
    expected = []
    for red, green, blue in pixels:
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        expected.append(colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value))
    images = torch.tensor(pixels).T.reshape(1, 3, 1, -1)
    actual = adjust_colours(images, params(count=1, hue=shift))[0, :, 0].T
    torch.testing.assert_close(actual, torch.tensor(expected), rtol=0, atol=2e-6)


def test_hue_keeps_value_and_chroma_and_turns_back() -> None:
    images = make_images()
    turned = adjust_colours(images, params(hue=0.23))
    torch.testing.assert_close(turned.amax(1), images.amax(1))
    torch.testing.assert_close(turned.amin(1), images.amin(1))
    back = adjust_colours(turned, params(hue=-0.23))
    torch.testing.assert_close(back, images, rtol=0, atol=1e-5)


def test_grayscale_equals_torchvision_and_touches_only_the_drawn_images() -> None:
    images = make_images()
    actual = adjust_colours(images, params(grayscale=[0.0, 1.0, 0.0]))
    torch.testing.assert_close(actual[[0, 2]], images[[0, 2]])
    expected = F.rgb_to_grayscale(images[1], num_output_channels=3)
    torch.testing.assert_close(actual[1], expected, rtol=0, atol=1e-3)


def test_the_order_is_brightness_contrast_saturation_hue_grayscale() -> None:
    images = make_images()
    expected = F.adjust_brightness(images, 1.8)
    expected = F.adjust_contrast(expected, 1.7)
    expected = F.adjust_saturation(expected, 1.6)
    expected = F.adjust_hue(expected, 0.3)
    drawn = params(brightness=1.8, contrast=1.7, saturation=1.6, hue=0.3)
    torch.testing.assert_close(adjust_colours(images, drawn), expected, rtol=0, atol=5e-3)
    grey = params(brightness=1.8, contrast=1.7, saturation=1.6, hue=0.3, grayscale=1.0)
    expected = F.rgb_to_grayscale(expected, num_output_channels=3)
    torch.testing.assert_close(adjust_colours(images, grey), expected, rtol=0, atol=5e-3)


def test_neutral_parameters_change_nothing() -> None:
    images = make_images()
    torch.testing.assert_close(adjust_colours(images, params()), images, rtol=0, atol=1e-6)


def mixed(count: int) -> PhotometricParams:
    config = make_config(jitter=0.9, hue=0.5, grayscale=0.5)
    return draw_photometric(uniform(count, seed=2), config)


def test_one_by_one_equals_the_whole_batch() -> None:
    images, drawn = make_images(16), mixed(16)
    assert 0 < int(drawn.grayscale.sum()) < 16
    assert 0 < int((drawn.hue == 0).sum()) < 16
    alone = [adjust_colours(images[i : i + 1], one(drawn, i)) for i in range(16)]
    torch.testing.assert_close(torch.cat(alone), adjust_colours(images, drawn))


def one(drawn: PhotometricParams, index: int) -> PhotometricParams:
    return PhotometricParams(**{name: getattr(drawn, name)[index, None] for name in NAMES})


def test_levels_of_eight_bits_are_read_as_fractions() -> None:
    levels = (make_images(4) * 255).to(torch.uint8)
    torch.testing.assert_close(
        adjust_colours(levels, mixed(4)), adjust_colours(levels / 255, mixed(4))
    )


def test_values_stay_in_range_and_the_input_as_it_was() -> None:
    images, drawn = make_images(16).round(), mixed(16)
    before = images.clone()
    out = adjust_colours(images, drawn)
    assert out.shape == images.shape
    assert out.dtype == torch.float32
    assert float(out.min()) >= 0
    assert float(out.max()) <= 1 + 1e-6
    assert torch.equal(images, before)
    adjust_colours(images[:1], one(drawn, 0))
    assert torch.equal(images, before)


@pytest.mark.parametrize("sigma", [0.3, 0.7, 1.0, 2.0])
def test_blur_equals_scipy_with_border_weights_renormalised(sigma: float) -> None:
    signal = np.random.default_rng(0).random(40)
    matrix = blur_matrix(torch.tensor([sigma]), 40)[0].double().numpy()
    blurred = gaussian_filter1d(signal, sigma, mode="constant", truncate=6)
    mass = gaussian_filter1d(np.ones(40), sigma, mode="constant", truncate=6)
    np.testing.assert_allclose(matrix @ signal, blurred / mass, atol=3e-4)
    inner = slice(12, 28)
    np.testing.assert_allclose((matrix @ signal)[inner], blurred[inner], atol=3e-4)


def test_blur_rows_sum_to_one_and_sigma_zero_is_the_identity() -> None:
    sigma = torch.tensor([0.0, 1e-3, 0.1, 0.5, 1.8, 30.0])
    matrix = blur_matrix(sigma, 24)
    assert matrix.shape == (6, 24, 24)
    torch.testing.assert_close(matrix.sum(2), torch.ones(6, 24))
    torch.testing.assert_close(matrix[:2], torch.eye(24).expand(2, -1, -1), rtol=0, atol=0)
    torch.testing.assert_close(matrix, matrix.flip(1, 2))  # left and right alike
    peaks = matrix[:, 12, 12]
    assert bool((peaks[2:].diff() < 0).all())


@pytest.mark.parametrize("sigma", [1e-3, 0.05, 0.1, 0.6, 2.0, 30.0])
def test_shifted_copies_blur_as_the_matrices_do(sigma: float) -> None:
    images = make_images(2, 12, 17)
    rows, columns = (blur_matrix(torch.tensor([sigma]), size)[0] for size in (12, 17))
    before = images.clone()
    torch.testing.assert_close(blur_images(images, sigma), rows @ images @ columns.T)
    assert torch.equal(images, before)


def test_each_operation_has_draws_of_its_own() -> None:
    config = make_config(grayscale=0.5, hue=0.1)
    base = uniform(400)
    reference = draw_photometric(base, config)
    owners: dict[str, list[int]] = {name: [] for name in NAMES}
    for column in range(NUM_DRAWS):
        changed = base.clone()
        changed[:, column] = uniform(400, seed=9)[:, 0]
        after = draw_photometric(changed, config)
        for name in NAMES:
            if not torch.equal(getattr(after, name), getattr(reference, name)):
                owners[name].append(column)
    used = [column for columns in owners.values() for column in columns]
    assert sorted(used) == list(range(NUM_DRAWS))  # none is shared, none is left over
    assert [len(owners[name]) for name in NAMES] == [2, 2, 2, 2, 1, 2]


ROWS = 20_000


def near(share: float, chance: float) -> bool:
    return bool(abs(share - chance) < 4 * (chance * (1 - chance) / ROWS) ** 0.5 + 1e-9)


@pytest.mark.parametrize(("jitter", "hue"), [(0.1, 0.05), (0.2, 0.1), (0.3, 0.5)])
def test_jitters_have_their_chance_and_their_range(jitter: float, hue: float) -> None:
    drawn = draw_photometric(uniform(ROWS), make_config(jitter=jitter, hue=hue))
    strengths = {"brightness": jitter, "contrast": jitter, "saturation": jitter, "hue": hue}
    for name, strength in strengths.items():
        values, neutral = getattr(drawn, name), NEUTRAL[name]
        applied = values != neutral
        assert near(float(applied.float().mean()), 0.8)
        low, high = neutral - strength, neutral + strength
        cdf = stats.uniform(low, high - low).cdf
        assert stats.kstest(values[applied].double().numpy(), cdf).pvalue > 1e-3


def test_jitters_without_strength_change_nothing() -> None:
    drawn = draw_photometric(uniform(ROWS), make_config(jitter=0, hue=0))
    for name in ("brightness", "contrast", "saturation", "hue"):
        assert set(getattr(drawn, name).tolist()) == {NEUTRAL[name]}


@pytest.mark.parametrize("chance", [0.0, 0.2, 1.0])
def test_grayscale_has_its_chance(chance: float) -> None:
    drawn = draw_photometric(uniform(ROWS), make_config(grayscale=chance))
    assert set(drawn.grayscale.unique().tolist()) <= {0.0, 1.0}
    assert near(float(drawn.grayscale.mean()), chance)


def test_corrected_blur_is_uniform_between_its_limits() -> None:
    config = make_config(blur=0.5, view_rule="exact")
    sigma = draw_photometric(uniform(ROWS), config).sigma
    applied = sigma > 0
    assert near(float(applied.float().mean()), 0.5)
    cdf = stats.uniform(0.1, 1.9).cdf
    assert stats.kstest(sigma[applied].double().numpy(), cdf).pvalue > 1e-3


def test_blur_of_the_authors_is_the_absolute_value_of_their_line() -> None:
    config = make_config("reference", blur=1.0)
    sigma = draw_photometric(uniform(ROWS), config).sigma.double().numpy()
    expected = np.abs(np.random.default_rng(5).uniform(-1.8, 0.1, ROWS))
    assert stats.ks_2samp(sigma, expected).pvalue > 1e-3
    assert sigma.max() <= 1.8
    assert sigma.mean() == pytest.approx(0.855, abs=0.015)
    assert (sigma < 0.1).mean() == pytest.approx(0.105, abs=0.01)


def test_reference_never_turns_grey_and_keeps_the_published_strengths() -> None:
    drawn = draw_photometric(uniform(ROWS), make_config("reference"))
    assert float(drawn.grayscale.max()) == 0
    for name in ("brightness", "contrast", "saturation"):
        values = getattr(drawn, name)
        assert float(values.min()) == pytest.approx(0.7, abs=1e-3)
        assert float(values.max()) == pytest.approx(1.3, abs=1e-3)
        assert near(float((values != 1).float().mean()), 0.8)
    assert float(drawn.hue.abs().max()) == pytest.approx(0.1, abs=1e-3)
    assert near(float((drawn.sigma > 0).float().mean()), 0.5)


def test_parameters_are_float32_rows() -> None:
    drawn = draw_photometric(uniform(5), make_config())
    for name in NAMES:
        assert getattr(drawn, name).shape == (5,)
        assert getattr(drawn, name).dtype == torch.float32
