"""Which image to annotate next: spread over the folder first, then where the model doubts.

An image is kept in short, as a `Summary`: the features of 100 cells, 26 kB. Summaries do not depend
on names and strokes, so a folder is read once; after each stroke only the order is computed anew,
with the classes and the doubt that the model has at these cells.

The first images are spread evenly over the folder, because a model that nobody taught does not
know what to doubt. From 40 marks on, the next image is the one of largest gain times distance.
The gain of image i is the sum over classes c of doubt_ic / share_c: doubt_ic is the probability
that cells predicted as c are wrong, summed over those cells of the image, and share_c the share
of the class in the folder. So doubt counts most where it concerns a large part of a rare class.
The distance is that to the nearest image that was chosen or touched before, in mean features.

In simulation this order is as good as a random one on average, not better: it gains on some data
sets and loses on others (docs/research/questions.md).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from picie.annotation.events import MARKS, Event
from picie.annotation.features import feature_maps
from picie.data.folder import PhotoFolder, open_folder
from picie.errors import DataError
from picie.inference.segmenter import Segmenter
from picie.runtime.progress import Reporter

__all__ = [
    "ACCEPTED",
    "Doubts",
    "Summary",
    "centroid_shares",
    "doubts",
    "image_order",
    "next_images",
    "spread",
    "summaries",
    "summarise",
    "touched_images",
]

Floats = NDArray[np.float32]

ACCEPTED = 10**6
"""How often an image whose mask was accepted counts as touched: it comes last."""

_BLOCK = 512  # images classified at once
_GRID = 10  # rows and columns of the cells of a summary
_FIRST = 40  # marks before doubt counts
_APART = 64  # images at the front of an order that keep apart from each other
_LEAST_SHARE = 1e-4  # of a class; below it, doubt counts no more


@dataclass(frozen=True, eq=False)
class Summary:
    """One image in short.

    Attributes:
        name: as `Photo.name`.
        cells: (M, D) float16 unit features of cells on a regular grid; M is 100, or less for maps
            with fewer than 10 rows or columns.
    """

    name: str
    cells: NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class Doubts:
    """What a model believes of I images.

    Attributes:
        shares: (I, N) share of the cells with each id; void cells have none.
        doubts: (I, N) the same, each cell weighted with the probability that its id is wrong.
        means: (I, D) mean features of unit length.
    """

    shares: Floats
    doubts: Floats
    means: Floats

    @property
    def gains(self) -> Floats:
        """(I, N) the gain that is expected of each image, by the class that is doubted."""
        gains: Floats = self.doubts / self.shares.mean(0).clip(_LEAST_SHARE)
        return gains


def summarise(name: str, features: Tensor) -> Summary:
    """The summary of one image.

    Args:
        name: as `Photo.name`.
        features: (D, h, w) as `Segmenter.features` gives them.
    """
    rows, columns = (
        ((np.arange(min(side, _GRID)) + 0.5) * side / min(side, _GRID)).astype(np.int64)
        for side in features.shape[1:]
    )
    cells = F.normalize(features[:, rows[:, None], columns].flatten(1).T.float(), dim=1)
    return Summary(name, cells.half().cpu().numpy())


def summaries(
    model: Segmenter, photos: str | Path | PhotoFolder, *, reporter: Reporter | None = None
) -> Iterator[Summary]:
    """The summaries of a folder; images that cannot be read are left out, and listed.

    Args:
        model: any of the network's: with names, taught or neither.
        photos: a folder, or an opened one.
        reporter: shows progress; None = silent.

    Raises:
        DataError: no images, or none that can be read.
    """
    if isinstance(photos, PhotoFolder):
        folder = photos
    else:
        folder = open_folder(photos, reading=model.config.reading)
    shown = reporter or Reporter(quiet=True)
    problems = []
    with shown.task("looking at images", len(folder)) as advance:
        for image, features in feature_maps(model, folder, tile=0):
            if features is not None:
                yield summarise(image.photo.name, features)
            else:
                problems.append(image.problem)
            advance(1)
    if len(problems) == len(folder):
        raise folder.none_read(problems[0])
    if problems:
        shown.say(f"skipped {len(problems)} unreadable images; the first: {problems[0]}")


@torch.no_grad()
def doubts(model: Segmenter, images: Sequence[Summary]) -> Doubts:
    """What a model believes of images.

    Args:
        model: the one that learns: with names, or taught.
        images: their summaries.

    Raises:
        DataError: no images, or summaries made with features of another length.
    """
    if not images:
        raise DataError("there are no images to choose from; give a folder that has some")
    length = model.network.view_centroids(0)[0].shape[1]
    if any(one.cells.shape[1] != length for one in images):
        raise DataError(
            f"these summaries are of another model: they do not have {length} features a cell; "
            "summarise the images with this model"
        )
    parts = [
        _doubts(model, images[first : first + _BLOCK], model.sharpness)
        for first in range(0, len(images), _BLOCK)
    ]
    shares, doubted, means = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Doubts(shares, doubted, means)


def _doubts(
    model: Segmenter, images: Sequence[Summary], factor: float
) -> tuple[Floats, Floats, Floats]:
    """The values of `Doubts` for some images."""
    cells = torch.from_numpy(np.concatenate([one.cells for one in images])).float()
    logits = model.classify(cells.T[None, :, :, None].to(model.device))[0, :, :, 0].T
    likely, best = ((logits * factor).softmax(1)).cpu().max(1)  # (R,) for R cells
    counts = torch.tensor([len(one.cells) for one in images])
    image = torch.repeat_interleave(counts)
    weights = (1 / counts)[image]
    width = logits.shape[1]  # an ignored class has the last channel
    shares, doubted = (
        torch.zeros(len(images), width).index_put_((image, best), values, accumulate=True)
        for values in (weights, weights * (1 - likely))
    )
    sums = torch.zeros(len(images), cells.shape[1]).index_add_(0, image, cells)
    kept = slice(model.clusters)
    return shares[:, kept].numpy(), doubted[:, kept].numpy(), F.normalize(sums, dim=1).numpy()


def centroid_shares(model: Segmenter, images: Sequence[Summary]) -> list[float]:
    """The share of the cells of all images that are nearest to each centroid, 0..1.

    Args:
        model: with a tree; its names are not used.
        images: their summaries.

    Raises:
        ConfigError: the clusters come from a learnt classifier.
        DataError: no images, or summaries of another model.
    """
    whole = model.cut(len(model.network.view_centroids(0)[0]))
    shares: list[float] = doubts(whole, images).shares.mean(0, dtype=np.float64).tolist()
    return shares


def image_order(
    known: Doubts, touched: NDArray[np.int64], *, first: int = _FIRST, apart: int = _APART
) -> tuple[NDArray[np.int64], Floats]:
    """Order images by the gain that is expected of annotating them.

    Args:
        known: of I images, in the order of the folder, so that neighbours are alike.
        touched: (I,) how often each was annotated; those that were come last, seldom ones first.
        first: marks before doubt counts; until then the order is that of `spread`.
        apart: images at the front that keep apart from each other, and not only from those
            touched before.

    Returns:
        (I,) the images in their order, and (I,) their gains, not multiplied by distances.
    """
    gain: Floats = known.gains.sum(1)
    if (touched % ACCEPTED).sum() < first:
        place = np.empty(len(gain), np.int64)
        place[spread(len(gain))] = np.arange(len(gain))
        return np.lexsort((place, touched)), gain
    before = np.flatnonzero(touched)
    away = _distances(known.means @ known.means[before].T).min(1, initial=2)
    waiting = np.where(touched == 0, gain, -1).astype(np.float32)
    front: list[int] = []
    for _ in range(min(apart, len(gain) - len(before))):
        best = int(np.where(waiting < 0, -1, waiting * away).argmax())
        front.append(best)
        waiting[best] = -1
        away = np.minimum(away, _distances(known.means @ known.means[best]))
    rest = np.lexsort((-np.where(touched, gain, gain * away), touched))
    return np.concatenate([np.array(front, np.int64), rest[~np.isin(rest, front)]]), gain


def spread(count: int) -> NDArray[np.int64]:
    """The numbers 0 to I - 1, each far from those before it: 0, the middle, the quarters, ...

    Args:
        count: I.

    Example:
        >>> spread(8).tolist()
        [0, 4, 2, 6, 1, 5, 3, 7]
    """
    bits = max(1, (count - 1).bit_length())
    numbers, mirrored = np.arange(2**bits), np.zeros(2**bits, np.int64)
    for bit in range(bits):
        mirrored |= (numbers >> bit & 1) << (bits - 1 - bit)
    every = mirrored * count >> bits  # some come twice
    found = np.unique(every, return_index=True)[1]
    order: NDArray[np.int64] = every[np.sort(found)]
    return order


def next_images(
    model: Segmenter, images: Sequence[Summary], touched: Mapping[str, int] | None = None
) -> list[str]:
    """The names of images, the one to annotate next first.

    Args:
        model: the one that learns: with names, or taught.
        images: the summaries of all images.
        touched: how often images were annotated, by name (`touched_images`).

    Raises:
        DataError: no images, or summaries of another model.
    """
    counts = np.array([(touched or {}).get(one.name, 0) for one in images], np.int64)
    return [images[place].name for place in image_order(doubts(model, images), counts)[0]]


def touched_images(events: Iterable[Event]) -> Counter[str]:
    """How often each image was annotated; ACCEPTED and more if its mask was accepted.

    Args:
        events: that count (`Annotations.valid`).
    """
    touched: Counter[str] = Counter()
    for event in events:
        if event.act in MARKS:
            touched[event.image] += 1
        elif event.act == "accept":
            touched[event.image] += ACCEPTED
    return touched


def _distances(cosines: NDArray[np.float32]) -> Floats:
    """Distances of unit vectors, from their cosines; never 0, so that the gain decides then."""
    distances: Floats = np.sqrt((2 - 2 * cosines).clip(1e-6))
    return distances
