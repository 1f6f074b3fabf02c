"""Colours: distinct when blended over photos, also for colour-blind vision, and stable.

Distances are CIEDE2000 as scikit-image computes it.
"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from picie.errors import ConfigError
from picie.visualization.palette import blended_distances, cielab, palette

Floats = NDArray[np.float64]
difference: Any = deltaE_ciede2000

# Viénot, Brettel and Mollon (1999) on linear RGB: another simulation than the palette is made with.
DEUTERANOPIA = ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0))
PROTANOPIA = ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0))
NORMAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def seen(colours: NDArray[Any], vision: tuple[Any, ...] = NORMAL) -> Floats:
    """(..., 3) sRGB 0..255 to CIELAB."""
    share = np.asarray(colours) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    linear = (linear @ np.array(vision).T).clip(0, 1)
    share = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    lab: Floats = rgb2lab(share)
    return lab


def distances(k: int, vision: tuple[Any, ...] = NORMAL) -> Floats:
    """CIEDE2000 of all pairs, blended at 50 %, the least over three greys."""
    labs = [seen((palette(k).astype(float) + grey) / 2, vision) for grey in (40, 128, 215)]
    every = np.min([difference(lab[:, None], lab[None]) for lab in labs], axis=0)
    pairs: Floats = every[np.triu_indices(k, 1)]
    return pairs


@pytest.mark.parametrize(
    ("k", "least", "deutan", "protan"),
    [
        (3, 36.2, 35.5, 34.2),
        (8, 24.8, 7.7, 8.6),
        (12, 16.9, 7.7, 8.3),
        (17, 15.0, 4.8, 5.3),
        (24, 14.8, 4.0, 3.9),
        (32, 11.1, 3.9, 3.7),
    ],
)
def test_blended_colours_stay_apart(k: int, least: float, deutan: float, protan: float) -> None:
    assert distances(k).min() > least
    assert distances(k, DEUTERANOPIA).min() > deutan
    assert distances(k, PROTANOPIA).min() > protan


def test_few_of_24_colours_are_close() -> None:
    """A search without any other wish brought the closest of the 276 pairs to 17, not to 20."""
    pairs = distances(24)
    assert len(pairs) == 276
    assert (pairs < 20).sum() <= 63
    assert (pairs < 15).sum() <= 10
    assert (pairs < 14.8).sum() == 0


def test_no_colour_looks_black_white_or_grey() -> None:
    labs = seen(palette(1100))
    for lab, least in (([0.0, 0, 0], 20), ([100.0, 0, 0], 15)):
        assert difference(labs, np.array(lab)[None]).min() > least
    assert np.hypot(labs[:, 1], labs[:, 2]).min() > 19
    np.testing.assert_allclose(cielab(palette(300)), labs[:300], atol=0.1)


def test_a_coloured_region_does_not_look_like_the_bare_photo() -> None:
    """As ignored pixels look in overlays."""
    for k, least in ((8, 12.8), (32, 10.0)):
        for grey in (40, 128, 215):
            bare = seen(np.full((1, 3), float(grey)))
            blended = seen((palette(k).astype(float) + grey) / 2)
            assert difference(blended, bare).min() > least


def test_own_distances_follow_ciede2000() -> None:
    own = blended_distances(palette(32), palette(32))[np.triu_indices(32, 1)]
    assert np.corrcoef(own, distances(32))[0, 1] > 0.8


@pytest.mark.parametrize("k", [1, 8, 9, 27, 300, 1100, 65536])
def test_colours_are_distinct(k: int) -> None:
    colours = palette(k)
    assert colours.shape == (k, 3)
    assert colours.dtype == np.uint8
    assert len(np.unique(colours, axis=0)) == k


def test_a_longer_palette_begins_with_the_shorter() -> None:
    longest = palette(1100)
    for k in (1, 5, 8, 12, 40, 64, 65, 256, 257):
        np.testing.assert_array_equal(palette(k), longest[:k])


def test_changing_a_palette_does_not_change_the_next() -> None:
    for k in (3, 40):
        palette(k)[:] = 0
        assert palette(k).any(1).all()


@pytest.mark.parametrize("k", [0, -1, 65537])
def test_number_of_colours_is_checked(k: int) -> None:
    with pytest.raises(ConfigError, match=f"no palette of {k} colours; choose 1 to 65536"):
        palette(k)
