import numpy as np
import pytest
from numpy.typing import NDArray

from picie.data.constant import is_constant

SIZE = (320, 400, 3)


def noisy(level: float, deviation: float) -> NDArray[np.uint8]:
    values = np.random.default_rng(0).normal(level, deviation, SIZE)
    image: NDArray[np.uint8] = np.rint(values.clip(0, 255)).astype(np.uint8)
    return image


@pytest.mark.parametrize("colour", [0, 255, (90, 200, 30)])
def test_one_colour(colour: int | tuple[int, int, int]) -> None:
    assert is_constant(np.full(SIZE, colour, np.uint8))


@pytest.mark.parametrize("deviation", [1, 3, 6])
def test_noise_of_a_closed_lens_is_one_colour(deviation: float) -> None:
    assert is_constant(noisy(12, deviation))


def test_a_time_stamp_does_not_make_a_picture() -> None:
    image = np.zeros(SIZE, np.uint8)
    image[300:308, 10:60] = 255
    assert is_constant(image)
    image[250:308, 10:60] = 255  # but a thing does
    assert not is_constant(image)


def test_weak_contrast_is_a_picture() -> None:
    image = np.full(SIZE, 120, np.uint8)
    image[:160] += 18
    assert not is_constant(image)
    ramp = np.linspace(0, 60, SIZE[1]).astype(np.uint8)
    assert not is_constant(np.broadcast_to(ramp[None, :, None], SIZE))


def test_colour_alone_is_a_picture() -> None:
    image = np.full(SIZE, (100, 120, 100), np.uint8)
    image[:, :200] = (120, 100, 120)
    assert not is_constant(image)


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 500, 3), (500, 3, 3), (5, 7, 3)])
def test_tiny_and_thin_images(shape: tuple[int, int, int]) -> None:
    assert is_constant(np.full(shape, 7, np.uint8))
