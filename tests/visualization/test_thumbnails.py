"""Images inside a page: within their limit, exact where they must be, readable again."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picie.visualization.palette import palette
from picie.visualization.thumbnails import (
    PATCH_SIDE,
    colour_code,
    cut_patch,
    data_uri,
    fit_mask,
    fit_photo,
    heat_map,
    marked_patch,
    patch_pixels,
    patch_values,
    smooth,
    text,
    veil,
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
    assert text("caf\udce9 ü\u202e\x1b") == r"caf\udce9 ü\u202e\x1b"  # a file name from anywhere
    assert colour_code(np.array([0, 10, 255], np.uint8)) == "#000aff"
    assert data_uri("image/png", b"") == "data:image/png;base64,"


# --- pieces of photos: the right place, the outline, the mark


LIMIT = 100_000
MIDDLE = (0.5, 0.5)


def patch(
    image: NDArray[np.uint8], belongs: NDArray[np.bool_], centre: tuple[float, float] = MIDDLE
) -> NDArray[np.uint8]:
    return np.array(Image.open(io.BytesIO(cut_patch(image, belongs, centre, LIMIT))))


def test_it_shows_a_third_around_the_pixel() -> None:
    image = np.zeros((300, 600, 3), np.uint8)
    image[100:200, 250:350] = (200, 0, 0)
    found = patch(image, np.ones((30, 60), bool))
    assert found.shape == (PATCH_SIDE, PATCH_SIDE, 3)
    outside = np.ones((PATCH_SIDE, PATCH_SIDE), bool)
    outside[48:64, 48:64] = False  # the mark
    assert (found[..., 0][outside] > 150).all()


@pytest.mark.parametrize("centre", [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
def test_at_a_corner_it_is_moved_inwards(centre: tuple[float, float]) -> None:
    image = np.full((90, 60, 3), 120, np.uint8)
    found = patch(image, np.ones((9, 6), bool), centre)
    row, column = (round(share * (PATCH_SIDE - 1)) for share in centre)
    corner = found[max(row - 7, 0) : row + 8, max(column - 7, 0) : column + 8]
    assert corner.max() > 230  # part of the ring
    assert abs(int(np.median(found)) - 120) < 6


@pytest.mark.parametrize("colour", [(0, 0, 0), (90, 90, 90), (128, 128, 128), (255, 255, 255)])
def test_what_is_outside_is_told_from_what_is_inside(colour: tuple[int, int, int]) -> None:
    image = np.full((90, 90, 3), colour, np.uint8)
    belongs = np.zeros((90, 90), bool)
    belongs[:, :40] = True
    found = marked_patch(image, belongs, MIDDLE)[5].astype(int)  # a row above the mark
    border = round((40 - 30) / 30 * PATCH_SIDE)
    assert (found[: border - 1] == colour).all()
    outside = found[border + 4 :]
    assert (outside[:, 2] - outside[:, 1] > 30).all()  # violet on any grey
    assert len(np.unique(outside, axis=0)) == 2  # with hatching
    line = found[border - 1 : border + 4].sum(1)
    assert line.max() - line.min() > 500  # bright and dark, so that one is seen


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (2, 3)])
def test_tiny_and_thin_photos(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 90, np.uint8)
    assert patch(image, np.ones((4, 4), bool)).shape == (PATCH_SIDE, PATCH_SIDE, 3)


@pytest.mark.parametrize("shape", [(301, 520), (40, 30), (1000, 1500)])
def test_a_patch_is_that_part_of_the_whole_photo(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(3).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for centre in (MIDDLE, (0.0, 1.0), (0.97, 0.31)):
        side = min(shape) / 3
        top, left = (
            min(max(share * length - side / 2, 0), length - side)
            for share, length in zip(centre, shape, strict=True)
        )
        whole = Image.fromarray(image).resize(
            (PATCH_SIDE, PATCH_SIDE),
            Image.Resampling.BILINEAR,
            (left, top, left + side, top + side),
        )
        found = patch_pixels(image, centre)
        assert np.abs(found.astype(int) - np.array(whole)).mean() < 12  # it shrinks in two steps
        assert np.abs(found.mean((0, 1)) - np.array(whole).mean((0, 1))).max() < 2
        values = np.arange(image[..., 0].size).reshape(shape)
        cells, box = patch_values(values, shape, centre)
        row, column = np.divmod(cells[0, 0], shape[1])
        ends = left, top, left + side, top + side
        assert np.add(box, (column, row, column, row)) == pytest.approx(ends)
        assert box[2] <= cells.shape[1]
        assert box[3] <= cells.shape[0]
    assert marked_patch(image, np.ones((2, 2), bool), MIDDLE).shape == found.shape


def test_a_veil_is_clear_inside_with_two_lines_around_it() -> None:
    inside = np.zeros((20, 20), bool)
    inside[:, :2] = True
    inside[4, 12] = True  # a small part stays whole
    found = np.array(opened(veil(inside)).convert("RGBA"))
    assert ((found[..., 3] == 0) == inside).all()
    assert found[:, 2].min() > 200
    assert found[:, 3, :3].max() < 60
    assert (found[8:, 4:, 3] > 100).all()
    hole = ~np.zeros((9, 9), bool)
    hole[4, 4] = False
    assert np.array(opened(veil(hole)).convert("RGBA"))[4, 4, :3].max() < 60


def test_an_area_is_enlarged_without_the_steps_of_its_cells() -> None:
    slope = np.tri(20, dtype=bool)
    found = smooth(slope, (0, 0, 20, 20), 80)
    assert np.diff(found.sum(1)).max() <= 2  # four with steps
    single = np.zeros((5, 5), bool)
    single[2, 2] = True
    assert 0.5 < smooth(single, (0, 0, 5, 5), 50).sum() / 100 < 2
    assert smooth(single, (1.5, 1.5, 3.5, 3.5), 20)[5:15, 5:15].mean() > 0.5
