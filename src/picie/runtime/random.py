"""Every stream of random numbers, by name.

A draw is a pure function of its stream, the seed of the run and up to three more numbers, such as
the epoch and the image. It depends neither on the order of the work nor on what was drawn before,
so several processes, a resumed run and a repeated pass all see the same numbers.

The key of a stream always has the same length, and the name of the stream comes first. NumPy pads
short keys with zeros, so that (0, 1, 3) and (0, 1, 3, 0) would be one stream.
"""

from collections.abc import Iterable
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

__all__ = ["Stream", "numpy_generator", "torch_generator", "torch_seed", "uniform_draws"]

_NUMBERS = 3  # that a key may have beside its stream and the seed


class Stream(IntEnum):
    """What random numbers are drawn for, and the numbers that follow the seed in the key."""

    VIEWS = 1  # epoch, image
    CLUSTERING_ORDER = 2  # epoch
    CLUSTERING_PIXELS = 3  # epoch, image
    KMEANS = 4  # epoch, view, level: the seed of one clustering
    KMEANS_START = 5  # its first centroids
    KMEANS_REPAIR = 6  # its empty clusters
    TRAINING_ORDER = 7  # epoch
    DROPOUT = 8  # epoch
    NETWORK = 9  # the decoder's random start
    CLASSIFIERS = 10  # epoch
    IIC_HEADS = 11
    DECODER_PIXELS = 12  # image
    DECODER_KMEANS = 13
    HEALTH_PIXELS = 14  # image
    HEALTH_HALVES = 15  # image
    HEALTH_KMEANS = 16  # half
    HEALTH_SILHOUETTE = 17
    PROBE_PIXELS = 18  # image
    PROBE_BANK = 19
    BOOTSTRAP = 20
    FOLDING = 21
    SCENES = 22  # scene


def numpy_generator(stream: Stream, seed: int, *numbers: int) -> np.random.Generator:
    """NumPy's generator of one stream.

    Args:
        stream: what is drawn.
        seed: of the run, from 0 to 2^64 - 1.
        *numbers: at most three more, from 0 to 2^64 - 1, as `Stream` lists them; those left out
            are 0.

    Raises:
        ValueError: more than three numbers.
    """
    if len(numbers) > _NUMBERS:
        raise ValueError(f"a stream has at most {_NUMBERS} numbers beside the seed, got {numbers}")
    key = (stream, seed, *numbers, *(0,) * (_NUMBERS - len(numbers)))
    # Two words for each number, also for small ones: a large one must not shift those behind it.
    return np.random.default_rng(np.array(key, "<u8").view("<u4").astype(np.uint32))


def torch_seed(stream: Stream, seed: int, *numbers: int) -> int:
    """A seed for torch from one stream; arguments as for `numpy_generator`.

    Returns:
        0 .. 2^63 - 1.
    """
    return int(numpy_generator(stream, seed, *numbers).integers(2**63))


def torch_generator(stream: Stream, seed: int, *numbers: int) -> torch.Generator:
    """Torch's generator of one stream, on the CPU; arguments as for `numpy_generator`."""
    return torch.Generator().manual_seed(torch_seed(stream, seed, *numbers))


def uniform_draws(seed: int, epoch: int, indices: Iterable[int], count: int) -> Tensor:
    """Uniform numbers of [0, 1) for the views of some images.

    Clustering and training of one epoch see the same views, and so does a run that was resumed.

    Args:
        seed: seed of the run.
        epoch: number of the epoch, from 0.
        indices: positions of the B images in the folder.
        count: numbers per image.

    Returns:
        (B, count) float64.
    """
    rows = [numpy_generator(Stream.VIEWS, seed, epoch, int(one)).random(count) for one in indices]
    return torch.from_numpy(np.array(rows).reshape(len(rows), count))
