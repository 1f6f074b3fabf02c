"""The same pixels of an image, whatever batch it comes in."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from picie.clustering.features import sample_pixels
from picie.runtime.random import Stream, numpy_generator


def draws(epoch: int) -> Callable[[int], np.random.Generator]:
    return partial(numpy_generator, Stream.CLUSTERING_PIXELS, 0, epoch)


def test_a_image_has_the_same_pixels_in_every_batch() -> None:
    maps = torch.arange(4 * 20 * 2.0).reshape(4, 20, 2)
    whole = sample_pixels(maps, torch.arange(4), 5, draws(1))
    assert whole.shape == (4, 5, 2)
    turned = sample_pixels(maps.flip(0)[1:], torch.tensor([2, 1, 0]), 5, draws(1))
    assert torch.equal(turned, whole.flip(0)[1:])
    for sample, image in zip(whole, maps, strict=True):
        rows = [image.tolist().index(row) for row in sample.tolist()]
        assert len(set(rows)) == 5  # pixels of this image, none twice


def test_the_generator_and_the_number_of_the_image_change_the_draws() -> None:
    maps = torch.arange(20.0).reshape(1, 20, 1).expand(3, -1, -1)
    first = sample_pixels(maps, torch.arange(3), 5, draws(1))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, sample_pixels(maps, torch.arange(3), 5, draws(2)))


def test_all_pixels_and_no_image() -> None:
    maps = torch.rand(2, 6, 3)
    for count in (0, 6, 7):
        assert sample_pixels(maps, torch.arange(2), count, draws(0)) is maps
    none = sample_pixels(maps[:0], torch.arange(0), 4, draws(0))
    assert none.shape == (0, 4, 3)
