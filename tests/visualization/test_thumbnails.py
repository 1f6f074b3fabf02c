"""Images inside a page: within their limit, exact where they must be, readable again."""

import io

import numpy as np
import pytest
from PIL import Image

from picie.visualization.palette import palette
from picie.visualization.thumbnails import (
    colour_code,
    data_uri,
    fit_mask,
    fit_photo,
    heat_map,
    text,
)

NOISE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize("limit", [100_000, 6_000, 2_000, 600])
def test_a_photo_of_noise_stays_within_its_bytes(limit: int) -> None:
    content = fit_photo(NOISE, limit)
    assert len(content) <= limit
    found = opened(content)
    assert found.format == "WEBP"
    assert (found.size == (120, 90)) == (limit >= 6_000)


def test_a_photo_that_fits_nowhere_becomes_tiny() -> None:
    content = fit_photo(NOISE, 1)
    assert max(opened(content).size) <= 8
    assert len(content) < 200


@pytest.mark.parametrize("count", [3, 16, 256, 400])
def test_a_mask_has_the_colours_of_its_clusters(count: int) -> None:
    colours = palette(count)
    mask = np.random.default_rng(1).integers(0, count, (60, 80))
    found = opened(fit_mask(mask, colours, 1_000_000)).convert("RGB")
    assert np.array_equal(np.array(found), colours[mask])


@pytest.mark.parametrize("count", [3, 300])
def test_what_is_ignored_is_transparent(count: int) -> None:
    mask = np.arange(count).repeat(4).reshape(4, -1)
    mask[0, :2] = -1
    rgba = np.array(opened(fit_mask(mask, palette(count), 1_000_000)).convert("RGBA"))
    assert (rgba[..., 3] == np.where(mask < 0, 0, 255)).all()


def test_a_mask_of_noise_stays_within_its_bytes() -> None:
    mask = np.random.default_rng(2).integers(0, 27, (200, 300))
    content = fit_mask(mask, palette(27), 2_000)
    assert len(content) <= 2_000
    width, height = opened(content).size
    assert width / height == pytest.approx(1.5, abs=0.1)


def test_the_strongest_place_of_a_heat_map_is_opaque() -> None:
    heat = np.array([[0.0, 0.1], [0.2, 0.05]])
    opacity = np.array(opened(heat_map(heat)))[..., 1]
    assert opacity.tolist() == [[0, 128], [255, 64]]
    assert not np.array(opened(heat_map(np.zeros((2, 2)))))[..., 1].any()


def test_names_are_text() -> None:
    assert text("<b> \"x\" & 'y'") == "&lt;b&gt; &quot;x&quot; &amp; &#x27;y&#x27;"
    assert text("caf\udce9 ü") == "caf? ü"  # a file name that is no UTF-8
    assert colour_code(np.array([0, 10, 255], np.uint8)) == "#000aff"
    assert data_uri("image/png", b"") == "data:image/png;base64,"
