"""Images in any form as arrays, and at the size of the network."""

import numpy as np
import pytest
import torch
from PIL import Image

from picie.data.images import as_array, check_size, network_input, network_size
from picie.errors import ConfigError


def test_the_short_side_has_the_size_and_both_are_whole_cells() -> None:
    image = np.zeros((360, 480, 3), np.uint8)
    assert network_input(image, 320).shape == (3, 320, 416)
    assert network_input(image.transpose(1, 0, 2), 64).shape == (3, 96, 64)
    assert network_input(np.zeros((1, 99, 3), np.uint8), 32).shape == (3, 32, 512)
    assert network_size(360, 480, 320) == (320, 416)
    assert network_size(99, 1, 32) == (512, 32)


def test_pixels_are_those_of_pillow() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    pixels = network_input(image, 32)
    expected = Image.fromarray(image).resize((pixels.shape[2], 32), Image.Resampling.BILINEAR)
    assert pixels.dtype == torch.uint8
    assert np.array_equal(pixels.permute(1, 2, 0), np.asarray(expected))
    assert pixels[None].is_contiguous(memory_format=torch.channels_last)


def test_the_orientation_is_applied_where_it_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.new("RGB", (5, 4), "red")
    image.getexif()[274] = 6
    assert as_array(image).shape == (5, 4, 3)
    monkeypatch.setattr(Image.Image, "getexif", broken)
    assert as_array(image).shape == (4, 5, 3)


def broken(image: Image.Image) -> None:
    raise SyntaxError("not a TIFF file")


@pytest.mark.parametrize("size", [0, -32, 16, 33])
def test_sizes_that_cannot_be(size: int) -> None:
    with pytest.raises(ConfigError, match=f"size {size}: the side must be a multiple of 32"):
        check_size(size)
