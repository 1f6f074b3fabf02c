"""Colours: distinct, stable, and apart under two simulations of colour blindness."""

import itertools
import math

import numpy as np
import pytest

from picie.errors import ConfigError
from picie.visualization.palette import palette

Triple = tuple[float, float, float]

# Viénot, Brettel and Mollon (1999) on linear RGB: another simulation than the palette is made with.
DEUTERANOPIA = ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0))
PROTANOPIA = ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0))
MACHADO = (  # Machado, Oliveira and Fernandes (2009), severity 1.0
    (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
)
NORMAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def lab(colour: list[int], vision: tuple[Triple, Triple, Triple] = NORMAL) -> Triple:
    """CIELAB under D65 of one sRGB colour, number by number."""

    def curve(t: float) -> float:
        return t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29

    linear = []
    for value in colour:
        share = value / 255
        linear.append(share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4)
    r, g, b = (
        min(1.0, max(0.0, sum(a * c for a, c in zip(row, linear, strict=True)))) for row in vision
    )
    x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.0890
    return 116 * curve(y) - 16, 500 * (curve(x) - curve(y)), 200 * (curve(y) - curve(z))


def closest(k: int, vision: tuple[Triple, Triple, Triple]) -> float:
    points = [lab(colour, vision) for colour in palette(k).tolist()]
    return min(math.dist(one, two) for one, two in itertools.combinations(points, 2))


def test_the_oracle_knows_published_values() -> None:
    assert lab([255, 0, 0]) == pytest.approx((53.24, 80.09, 67.20), abs=0.05)
    assert lab([0, 0, 255]) == pytest.approx((32.30, 79.19, -107.86), abs=0.05)
    assert lab([255, 255, 255]) == pytest.approx((100, 0, 0), abs=0.05)


@pytest.mark.parametrize(
    ("vision", "k", "bound"),
    [
        (NORMAL, 8, 25.0),
        (DEUTERANOPIA, 8, 15.0),
        (PROTANOPIA, 8, 10.0),
        (NORMAL, 12, 25.0),
        (DEUTERANOPIA, 12, 15.0),
        (PROTANOPIA, 12, 10.0),
        (DEUTERANOPIA, 27, 5.0),
    ],
)
def test_colours_stay_apart(vision: tuple[Triple, Triple, Triple], k: int, bound: float) -> None:
    assert closest(k, vision) > bound  # 2.3 is a just noticeable difference


def test_no_rival_is_farther_than_the_colour_chosen() -> None:
    colours = palette(14).tolist()
    rivals = np.random.default_rng(0).integers(0, 18, (150, 3)) * 15

    def nearest(colour: list[int]) -> float:
        return min(
            math.dist(lab(colour, vision), lab(other, vision))
            for vision in (NORMAL, *MACHADO)
            for other in colours[:13]
        )

    chosen = nearest(colours[13])
    assert all(nearest(rival) < chosen + 0.1 for rival in rivals.tolist() if lab(rival)[0] > 28)


@pytest.mark.parametrize("k", [1, 8, 9, 27, 300, 1100, 65536])
def test_colours_are_distinct(k: int) -> None:
    colours = palette(k)
    assert colours.shape == (k, 3)
    assert colours.dtype == np.uint8
    assert len(np.unique(colours, axis=0)) == k


def test_a_longer_palette_begins_with_the_shorter() -> None:
    longest = palette(1100)
    for k in (1, 5, 8, 12, 40, 1024, 1025):
        np.testing.assert_array_equal(palette(k), longest[:k])


def test_the_first_eight_are_those_of_okabe_and_ito() -> None:
    published = {"E69F00", "56B4E9", "009E73", "F0E442", "0072B2", "D55E00", "CC79A7", "000000"}
    assert {bytes(colour).hex().upper() for colour in palette(8)} == published


def test_changing_a_palette_does_not_change_the_next() -> None:
    palette(3)[:] = 0
    assert palette(3).any()


@pytest.mark.parametrize("k", [0, -1, 65537])
def test_number_of_colours_is_checked(k: int) -> None:
    with pytest.raises(ConfigError, match=f"no palette of {k} colours; choose 1 to 65536"):
        palette(k)
