"""All streams of random numbers, by name.

A draw depends only on its stream, the seed of the run and up to three more numbers, for example the
epoch and the image. It depends neither on the order of the work nor on earlier draws, so several
processes, a resumed run and a repeated pass all get the same numbers.

All keys have the same length and begin with the stream. NumPy pads short keys with zeros, so (0, 1,
3) and (0, 1, 3, 0) would give the same stream.
"""

from collections.abc import Iterable
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

__all__ = ["Stream", "numpy_generator", "torch_generator", "torch_seed", "uniform_draws"]

_NUMBERS = 3  # maximum number of values in a key after stream and seed


class Stream(IntEnum):
    """Purpose of random numbers; the comments list the numbers after the seed in the key."""

    VIEWS = 1  # epoch, image
    CLUSTERING_ORDER = 2  # epoch
    CLUSTERING_PIXELS = 3  # epoch, image
    KMEANS = 4  # epoch, view, level: seed of one clustering
    KMEANS_START = 5  # initial centroids of one clustering
    KMEANS_REPAIR = 6  # empty clusters of one clustering
    TRAINING_ORDER = 7  # epoch
    DROPOUT = 8  # epoch
    NETWORK = 9  # random initialisation of the decoder
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
    AUDIT_IMAGES = 23  # model, image: by their digests
    AUDIT_PIXELS = 24  # model, image: by their digests
    TEACHING_IMAGES = 25
    TEACHING_CELLS = 26  # image


def numpy_generator(stream: Stream, seed: int, *numbers: int) -> np.random.Generator:
    """NumPy generator of one stream.

    Args:
        stream: purpose of the draws.
        seed: seed of the run, 0 to 2^64 - 1.
        *numbers: at most three more numbers, 0 to 2^64 - 1, as listed in `Stream`; missing ones
            are 0.

    Raises:
        ValueError: more than three numbers.
    """
    if len(numbers) > _NUMBERS:
        raise ValueError(f"a stream has at most {_NUMBERS} numbers beside the seed, got {numbers}")
    key = (stream, seed, *numbers, *(0,) * (_NUMBERS - len(numbers)))
    # Always two 32-bit words per number, so that large numbers do not shift the following ones.
    return np.random.default_rng(np.array(key, "<u8").view("<u4").astype(np.uint32))


def torch_seed(stream: Stream, seed: int, *numbers: int) -> int:
    """Seed for torch from one stream; arguments as for `numpy_generator`.

    Returns:
        0 .. 2^63 - 1.
    """
    return int(numpy_generator(stream, seed, *numbers).integers(2**63))


def torch_generator(stream: Stream, seed: int, *numbers: int) -> torch.Generator:
    """Torch CPU generator of one stream; arguments as for `numpy_generator`."""
    return torch.Generator().manual_seed(torch_seed(stream, seed, *numbers))


def uniform_draws(seed: int, epoch: int, indices: Iterable[int], count: int) -> Tensor:
    """Uniform numbers in [0, 1) for the views of some images.

    Clustering and training of an epoch use the same views, also in a resumed run.

    Args:
        seed: seed of the run.
        epoch: number of the epoch, from 0.
        indices: indices of the B images in the folder.
        count: numbers per image.

    Returns:
        (B, count) float64.
    """
    rows = [numpy_generator(Stream.VIEWS, seed, epoch, int(one)).random(count) for one in indices]
    return torch.from_numpy(np.array(rows).reshape(len(rows), count))
