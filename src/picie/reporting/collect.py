"""What is remembered of photos: sums, the best few pieces for each cluster, some small copies.

None of it grows with the number of photos.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy import float64
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import normalize, one_hot

from picie.clustering.pseudo_labels import scores
from picie.data.folder import PhotoFolder
from picie.data.images import check_size
from picie.data.photo_loader import LoadedPhoto, choose_workers, in_batches, read_ahead
from picie.errors import ConfigError
from picie.inference.segmenter import Segmenter
from picie.postprocessing.upsampling import Mask, upsample
from picie.reporting.content import GalleryImage, Patch
from picie.runtime.progress import Reporter
from picie.types import IGNORED
from picie.visualization.thumbnails import cut_patch, fit_mask, fit_photo

__all__ = [
    "HEAT_SIDE",
    "MOST_IMAGES",
    "OCCURS",
    "PortraitCollector",
    "Portraits",
    "SegmentedPhoto",
    "closeness",
    "make_portraits",
]

HEAT_SIDE = 32
"""Places of a heat map along each side of a photo."""
OCCURS = 0.001
"""Share of a photo's pixels from which a cluster counts as occurring in it."""

_PATCHES = 8  # of each kind for a cluster; fewer where there are many clusters
_ALL_PATCHES = 1_600
_PATCH_BYTES = 2_800_000, 3_000  # of all together, of one
_SHOT_BYTES = 6_000_000, 24_000  # of all together, of one with its mask
_SHOT_SIDES = (352, 256)  # longest side in pixels of few photos, and of many
_FEW_SHOTS = 300
_MASK_PART = 0.4  # of the bytes of a photo with its mask
_MARGIN = 1 / 16  # of a side: pixels at the border of a photo are typical of borders


@dataclass(frozen=True)
class Portraits:
    """What was seen of N clusters.

    Attributes:
        photos: number of photos that were read.
        problems: a line for each photo that could not be read.
        shares: (N + 1,) share of the pixels, 0..1, the last one of ignored classes.
        occurrences: (N + 1,) number of photos in which each occurs.
        heats: (N + 1, 32, 32) share of the photos that have each at each place, 0..1.
        typical: for each of the N the pieces around its most typical pixels, the best first, no
            two from one stretch of the photos in the order of their names.
        atypical: the same for its least typical pixels.
        shots: the photos of the gallery, in the order of their names.
    """

    photos: int
    problems: tuple[str, ...]
    shares: NDArray[np.float64]
    occurrences: NDArray[np.int64]
    heats: NDArray[np.float64]
    typical: tuple[tuple[Patch, ...], ...]
    atypical: tuple[tuple[Patch, ...], ...]
    shots: tuple[GalleryImage, ...]


@dataclass(frozen=True)
class SegmentedPhoto:
    """One photo.

    Attributes:
        mask: (H, W) ids at the size at which the network saw it; N = ignored.
        similarity: (P, h, w) cosine of each feature and each centroid.
    """

    mask: Mask
    similarity: NDArray[np.float32]


class _Best:
    """The best pieces of each cluster; pieces are cut only when they get in.

    Neighbours in the order of names are often alike, as those of a film. So the photos are cut into
    twice as many stretches as pieces are wanted, and no two pieces come from one stretch.

    Args:
        clusters: N.
        most: pieces of each cluster.
        photos: number of photos.
    """

    def __init__(self, clusters: int, most: int, photos: int) -> None:
        self._most, self._photos = most, photos
        self._found: list[dict[int, tuple[float, Patch]]] = [{} for _ in range(clusters)]

    def admits(self, cluster: int, value: float, photo: int) -> bool:
        best = self._found[cluster].get(self._stretch(photo))
        return best is None or value > best[0]

    def add(self, cluster: int, value: float, photo: int, patch: Patch) -> None:
        self._found[cluster][self._stretch(photo)] = value, patch

    def finish(self) -> tuple[tuple[Patch, ...], ...]:
        ranked = (
            sorted(found.items(), key=lambda item: (-item[1][0], item[0])) for found in self._found
        )
        return tuple(tuple(patch for _, (_, patch) in own[: self._most]) for own in ranked)

    def _stretch(self, photo: int) -> int:
        return photo * min(2 * self._most, self._photos) // self._photos


@dataclass
class PortraitCollector:
    """All that is remembered of the photos so far.

    Attributes:
        model: what looks at them.
        expected: number of photos, readable or not.
        shown: number of photos that the gallery will have.
        photos: number of photos that were added.
        problems: a line for each photo that could not be read.
        shots: the photos of the gallery so far.
    """

    model: Segmenter
    expected: int
    shown: int
    photos: int = 0
    problems: list[str] = field(default_factory=list)
    shots: list[GalleryImage] = field(default_factory=list)

    def __post_init__(self) -> None:
        count = self.model.clusters
        self.colours = self.model.colours
        self.ids = self.model.centroid_ids.numpy()
        self.heats = np.zeros((count + 1, HEAT_SIDE * HEAT_SIDE))
        self.occurrences = np.zeros(count + 1, np.int64)
        self.shares = np.zeros(count + 1)
        most = max(2, min(_PATCHES, _ALL_PATCHES // (2 * count)))
        self.typical, self.atypical = (_Best(count, most, self.expected) for _ in range(2))
        self.patch_bytes = min(_PATCH_BYTES[0] // (2 * most * count), _PATCH_BYTES[1])
        self.shot_bytes = min(_SHOT_BYTES[0] // max(self.shown, 1), _SHOT_BYTES[1])

    def add(self, one: LoadedPhoto, seen: SegmentedPhoto, number: int, *, shown: bool) -> None:
        """Take in one photo.

        Args:
            one: as read.
            seen: what the model saw in it.
            number: of the photo; of equal pieces that of the first photo is kept.
            shown: whether the gallery has it.
        """
        slots = len(self.shares)
        shares = np.bincount(seen.mask.ravel(), minlength=slots) / seen.mask.size
        self.photos += 1
        self.shares += shares
        self.occurrences += shares >= OCCURS
        self._add_heat(seen.mask)
        self._add_patches(one, seen, number)
        if shown:
            self.shots.append(self._shot(one, seen.mask, shares))

    def finish(self) -> Portraits:
        """What was seen, once all photos were added; at least one must have been."""
        side = (len(self.shares), HEAT_SIDE, HEAT_SIDE)
        return Portraits(
            self.photos,
            tuple(self.problems),
            self.shares / self.photos,
            self.occurrences,
            (self.heats / self.photos).reshape(side),
            self.typical.finish(),
            self.atypical.finish(),
            tuple(self.shots),
        )

    def _add_heat(self, mask: Mask) -> None:
        down, across = (np.arange(length) * HEAT_SIDE // length for length in mask.shape)
        places = down[:, None] * HEAT_SIDE + across
        counts = np.bincount(
            (mask * HEAT_SIDE**2 + places).ravel(), minlength=self.heats.size
        ).reshape(self.heats.shape)
        self.heats += counts / counts.sum(0).clip(1)

    def _add_patches(self, one: LoadedPhoto, seen: SegmentedPhoto, number: int) -> None:
        height, width = seen.similarity.shape[1:]
        down, across = (
            ((np.arange(cells) + 0.5) * length / cells).astype(np.int64)
            for cells, length in zip((height, width), seen.mask.shape, strict=True)
        )
        labels = seen.mask[np.ix_(down, across)]  # at the centres of the cells of features
        inner = np.zeros((height, width), bool)
        rows, columns = round(height * _MARGIN), round(width * _MARGIN)
        inner[rows : height - rows, columns : width - columns] = True
        for cluster in np.unique(labels[labels < len(self.shares) - 1]).tolist():
            own = labels == cluster
            inside = own & inner
            where = np.flatnonzero(inside if inside.any() else own)
            own_centroids = seen.similarity[self.ids == cluster].reshape(-1, height * width)
            values = own_centroids[:, where].max(0)
            for best, sign in ((self.typical, 1.0), (self.atypical, -1.0)):
                found = int((sign * values).argmax())
                value = float(values[found])
                if best.admits(cluster, sign * value, number):
                    row, column = divmod(int(where[found]), width)
                    centre = (row + 0.5) / height, (column + 0.5) / width
                    belongs = seen.mask == cluster
                    piece = cut_patch(one.image, belongs, centre, self.patch_bytes)
                    patch = Patch(one.photo.name, value, piece)
                    best.add(cluster, sign * value, number, patch)

    def _shot(self, one: LoadedPhoto, mask: Mask, shares: NDArray[np.float64]) -> GalleryImage:
        height, width = one.image.shape[:2]
        side = _SHOT_SIDES[self.shown > _FEW_SHOTS]
        scale = min(1.0, side / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        down, across = (
            ((np.arange(wanted) + 0.5) * length / wanted).astype(np.int64)
            for wanted, length in zip(size[::-1], mask.shape, strict=True)
        )
        small = mask[np.ix_(down, across)]
        small = np.where(small < len(self.colours), small, IGNORED)
        drawn = fit_mask(small, self.colours, int(self.shot_bytes * _MASK_PART))
        resized = Image.fromarray(one.image).resize(size, Image.Resampling.LANCZOS)
        photo = fit_photo(np.array(resized), self.shot_bytes - len(drawn))
        order = sorted(np.flatnonzero(shares >= OCCURS).tolist(), key=lambda k: (-shares[k], k))
        ids = [k if k < len(self.colours) else IGNORED for k in order]
        found = tuple((k, float(shares[n])) for k, n in zip(ids, order, strict=True))
        return GalleryImage(one.photo.name, size, photo, drawn, found)


MOST_IMAGES = 1_000
"""Photos of the gallery at most."""

_BATCH = 8


def make_portraits(
    model: Segmenter,
    folder: PhotoFolder,
    *,
    gallery: int = 200,
    size: int | None = None,
    workers: int = -1,
    reporter: Reporter | None = None,
) -> Portraits:
    """Look at all photos of a folder once.

    Args:
        model: a trained model.
        folder: its photos; masks are not looked at.
        gallery: most photos that are kept as small copies, chosen at even distances in the order of
            their names; 0..1000.
        size: short side in pixels at which the network sees a photo; as in training if None.
        workers: threads that read photos; 0 = none, -1 = chosen from the cores.
        reporter: shows how far it came.

    Raises:
        ConfigError: a gallery, a size or a number of workers that cannot be.
        DataError: no photo can be read.
    """
    side = model.config.size if size is None else size
    check_size(side)
    if not 0 <= gallery <= MOST_IMAGES:
        raise ConfigError(
            f"a gallery of {gallery} photos: give 0 to {MOST_IMAGES}; more would make a page "
            "that is slow to open (all photos are counted in any case)"
        )
    if workers < -1:
        raise ConfigError(f"{workers} workers: give 0 or more, or -1 for automatic")
    reporter = reporter or Reporter(quiet=True)
    chosen = _evenly(len(folder), gallery)
    collector = PortraitCollector(model, len(folder), len(chosen))
    threads = choose_workers(workers, model.device)
    images = read_ahead(folder.photos, side, ahead=_BATCH + threads, workers=threads)

    def look(batch: Sequence[LoadedPhoto]) -> list[SegmentedPhoto]:
        return _look(model, batch)

    with reporter.task("report", len(folder)) as advance:
        for number, (one, seen) in enumerate(in_batches(images, _BATCH, look)):
            if seen is None:
                collector.problems.append(one.problem)
            else:
                collector.add(one, seen, number, shown=number in chosen)
            advance(1)
    if not collector.photos:
        raise folder.none_read(collector.problems[0])
    return collector.finish()


def closeness(model: Segmenter) -> NDArray[float64]:
    """(N, N) mean cosine of the centroids of two ids; 0 for an id without centroids."""
    unit = normalize(model.network.view_centroids(0)[0].double(), dim=1).cpu()
    member = one_hot(model.centroid_ids, model.clusters + 1).double().T[:-1]  # (N, P)
    sizes = member.sum(1, keepdim=True).clamp_min(1)
    means: NDArray[float64] = (member @ unit @ unit.T @ member.T / sizes / sizes.T).numpy()
    return means


def _look(model: Segmenter, batch: Sequence[LoadedPhoto]) -> list[SegmentedPhoto]:
    pixels = torch.stack([one.pixels for one in batch if one.pixels is not None])
    fractions = pixels.to(model.device).float().div_(255)
    features = model.features(fractions)
    plain = model.config.post_processing == "none"
    logits = model.classify(features) if plain else model.logits(fractions)
    similar = scores(features, model.network.view_centroids(0)[0], "cosine")
    return [
        SegmentedPhoto(upsample(one, fractions.shape[2:]), near.cpu().numpy())
        for one, near in zip(logits, similar, strict=True)
    ]


def _evenly(count: int, wanted: int) -> frozenset[int]:
    """`wanted` positions out of `count` at even distances, or all of them."""
    if wanted >= count:
        return frozenset(range(count))
    return frozenset((2 * place + 1) * count // (2 * wanted) for place in range(wanted))
