"""Collect the data of a report: sums, the best patches of each cluster, small copies of photos.

Memory does not grow with the number of photos.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy import float64
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import normalize, one_hot

from picie.clustering.pseudo_labels import scores
from picie.clustering.tree import tree_of
from picie.data.constant import is_constant
from picie.data.folder import PhotoFolder
from picie.data.images import check_size
from picie.data.photo_loader import LoadedPhoto, in_batches, read_ahead
from picie.data.prefetch import photo_workers
from picie.errors import ConfigError
from picie.inference.confidence import mean_confidence
from picie.inference.segmenter import Segmenter
from picie.postprocessing.upsampling import Mask, upsample
from picie.reporting.content import Crop, GalleryImage, Node, Patch
from picie.reporting.leaves import OCCURS, Ints, LeafCollector, inner_cells
from picie.reporting.pieces import BestPieces, Piece
from picie.reporting.treetop import Merge
from picie.runtime.progress import Reporter
from picie.types import IGNORED
from picie.visualization.thumbnails import fit_mask, fit_photo, marked_patch

__all__ = [
    "HEAT_SIDE",
    "MOST_IMAGES",
    "PortraitCollector",
    "Portraits",
    "SegmentedPhoto",
    "closeness",
    "make_portraits",
    "merges_of",
]

HEAT_SIDE = 32
"""Cells of a heat map along each side of a photo."""

_PATCHES = 8  # typical, and as many atypical, per cluster; fewer if there are many clusters
_ALL_PATCHES = 1_600
_PATCH_BYTES = 2_800_000, 3_000  # maximum of all patches, and of one
_SHOT_BYTES = 6_000_000, 24_000  # maximum of the gallery, and of one photo with its mask
_SHOT_SIDES = (352, 256)  # longest side in pixels, up to _FEW_SHOTS photos and beyond
_FEW_SHOTS = 300
_MASK_PART = 0.4  # share of the bytes of a photo with its mask


@dataclass(frozen=True)
class Portraits:
    """The collected data of N clusters.

    Attributes:
        photos: number of photos that were read.
        problems: a line for each unreadable photo.
        shares: (N + 1,) share of the pixels, 0..1; the last entry is for ignored classes.
        occurrences: (N + 1,) number of photos in which each occurs.
        heats: (N + 1, 32, 32) share of the photos with the cluster at each position, 0..1.
        typical: for each of the N, patches around its most typical pixels, best first, at most one
            from each stretch of the photos sorted by name.
        atypical: the same for its least typical pixels.
        shots: the photos of the gallery, sorted by name.
        constant: names of photos of (nearly) one colour.
        nodes: of the tree of centroids by number; empty without a tree.
        crops: which the nodes show.
    """

    photos: int
    problems: tuple[str, ...]
    shares: NDArray[np.float64]
    occurrences: NDArray[np.int64]
    heats: NDArray[np.float64]
    typical: tuple[tuple[Patch, ...], ...]
    atypical: tuple[tuple[Patch, ...], ...]
    shots: tuple[GalleryImage, ...]
    constant: tuple[str, ...] = ()
    nodes: Mapping[int, Node] = field(default_factory=dict)
    crops: tuple[Crop, ...] = ()


@dataclass(frozen=True)
class SegmentedPhoto:
    """The prediction for one photo.

    Attributes:
        mask: (H, W) ids at the input size of the network; N = ignored.
        similarity: (P, h, w) cosine of each feature and each centroid.
        doubt: mean probability, 0..1, that the id of a pixel is wrong.
    """

    mask: Mask
    similarity: NDArray[np.float32]
    doubt: float = 0.0


@dataclass
class PortraitCollector:
    """The data collected from the photos so far.

    Attributes:
        model: predicts them.
        expected: number of photos, readable or not.
        shown: number of photos in the finished gallery.
        photos: number of photos added.
        problems: a line for each unreadable photo.
        shots: the photos of the gallery so far.
        constant: names of photos of (nearly) one colour so far.
    """

    model: Segmenter
    expected: int
    shown: int
    photos: int = 0
    problems: list[str] = field(default_factory=list)
    shots: list[GalleryImage] = field(default_factory=list)
    constant: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        count = self.model.clusters
        self.colours = self.model.colours
        self.ids = self.model.centroid_ids.numpy()
        self.heats = np.zeros((count + 1, HEAT_SIDE * HEAT_SIDE))
        self.occurrences = np.zeros(count + 1, np.int64)
        self.shares = np.zeros(count + 1)
        most = max(2, min(_PATCHES, _ALL_PATCHES // (2 * count)))
        self.typical, self.atypical = (BestPieces(count, most, self.expected) for _ in range(2))
        self.patch_bytes = min(_PATCH_BYTES[0] // (2 * most * count), _PATCH_BYTES[1])
        self.shot_bytes = min(_SHOT_BYTES[0] // max(self.shown, 1), _SHOT_BYTES[1])
        merges = merges_of(self.model)
        self.leaves = LeafCollector(merges, self.ids, self.expected) if merges else None

    def add(
        self, photo: LoadedPhoto, segmented: SegmentedPhoto, number: int, *, shown: bool
    ) -> None:
        """Add one photo.

        Args:
            photo: as loaded.
            segmented: its prediction.
            number: of the photo; of equally good patches, the first photo's is kept.
            shown: whether it is in the gallery.
        """
        slots = len(self.shares)
        shares = np.bincount(segmented.mask.ravel(), minlength=slots) / segmented.mask.size
        self.photos += 1
        if is_constant(photo.image):
            self.constant.append(photo.photo.name)
        self.shares += shares
        self.occurrences += shares >= OCCURS
        self._add_heat(segmented.mask)
        self._add_patches(photo, segmented, number)
        if shown:
            self.shots.append(self._shot(photo, segmented, shares))

    def finish(self) -> Portraits:
        """The collected data, after all photos; at least one must have been added."""
        side = (len(self.shares), HEAT_SIDE, HEAT_SIDE)
        shares = self.shares / self.photos
        nodes = self.leaves.finish(shares) if self.leaves is not None else ({}, ())
        return Portraits(
            self.photos,
            tuple(self.problems),
            shares,
            self.occurrences,
            (self.heats / self.photos).reshape(side),
            self._patches(self.typical),
            self._patches(self.atypical),
            tuple(self.shots),
            tuple(self.constant),
            *nodes,
        )

    def _add_heat(self, mask: Mask) -> None:
        down, across = (np.arange(length) * HEAT_SIDE // length for length in mask.shape)
        places = down[:, None] * HEAT_SIDE + across
        counts = np.bincount(
            (mask.astype(np.int64) * HEAT_SIDE**2 + places).ravel(), minlength=self.heats.size
        ).reshape(self.heats.shape)
        self.heats += counts / counts.sum(0).clip(1)

    def _add_patches(self, photo: LoadedPhoto, segmented: SegmentedPhoto, number: int) -> None:
        height, width = segmented.similarity.shape[1:]
        down, across = (
            ((np.arange(cells) + 0.5) * length / cells).astype(np.int64)
            for cells, length in zip((height, width), segmented.mask.shape, strict=True)
        )
        labels = segmented.mask[np.ix_(down, across)]  # at the centres of the cells of features
        leaves, values = self._winners(labels, segmented.similarity)
        if self.leaves is not None:
            self.leaves.add(photo, leaves, values, number)
        inner, flat = inner_cells(height, width), values.ravel()
        for cluster in np.unique(labels[labels < len(self.shares) - 1]).tolist():
            members = labels == cluster
            inside = members & inner
            where = np.flatnonzero(inside if inside.any() else members)
            for best, sign in ((self.typical, 1.0), (self.atypical, -1.0)):
                cell = int(where[(sign * flat[where]).argmax()])
                value = float(flat[cell])
                if best.admits(cluster, sign * value, number):
                    row, column = divmod(cell, width)
                    centre = (row + 0.5) / height, (column + 0.5) / width
                    pixels = marked_patch(photo.image, segmented.mask == cluster, centre)
                    piece = Piece(photo.photo.name, value, pixels)
                    best.add(cluster, sign * value, number, piece)

    def _winners(
        self, labels: Mask, similarity: NDArray[np.float32]
    ) -> tuple[Ints, NDArray[np.float32]]:
        """(h, w) the nearest centroid of each cell, among those of its id, and its similarity."""
        flat, own_labels = similarity.reshape(len(similarity), -1), labels.ravel()
        leaves, values = np.zeros(labels.size, np.int64), np.zeros(labels.size, np.float32)
        for number in np.unique(labels).tolist():
            rows, cells = np.flatnonzero(self.ids == number), np.flatnonzero(own_labels == number)
            own = flat[np.ix_(rows, cells)]
            best = own.argmax(0)
            leaves[cells], values[cells] = rows[best], own[best, np.arange(len(cells))]
        return leaves.reshape(labels.shape), values.reshape(labels.shape)

    def _patches(self, best: BestPieces) -> tuple[tuple[Patch, ...], ...]:
        return tuple(
            tuple(
                Patch(one.name, one.value, fit_photo(one.pixels, self.patch_bytes)) for one in own
            )
            for own in best.finish()
        )

    def _shot(
        self, photo: LoadedPhoto, segmented: SegmentedPhoto, shares: NDArray[np.float64]
    ) -> GalleryImage:
        mask = segmented.mask
        height, width = photo.image.shape[:2]
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
        resized = Image.fromarray(photo.image).resize(size, Image.Resampling.LANCZOS)
        small_photo = fit_photo(np.array(resized), self.shot_bytes - len(drawn))
        order = sorted(np.flatnonzero(shares >= OCCURS).tolist(), key=lambda k: (-shares[k], k))
        ids = [k if k < len(self.colours) else IGNORED for k in order]
        id_shares = tuple((k, float(shares[n])) for k, n in zip(ids, order, strict=True))
        return GalleryImage(photo.photo.name, size, small_photo, drawn, id_shares, segmented.doubt)


MOST_IMAGES = 1_000
"""Maximum number of photos in the gallery."""

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
    """Predict all photos of a folder once and collect the data of the report.

    Args:
        model: a trained model.
        folder: its photos; masks are not used.
        gallery: maximum number of photos kept as small copies, evenly spaced by name; 0..1000.
        size: short side in pixels at which the network sees a photo; as in training if None.
        workers: threads that read photos; 0 = none, -1 = chosen from the cores.
        reporter: shows progress.

    Raises:
        ConfigError: an impossible gallery, size or number of workers.
        DataError: no photo can be read.
    """
    side = model.config.size if size is None else size
    check_size(side)
    if not 0 <= gallery <= MOST_IMAGES:
        raise ConfigError(
            f"a gallery of {gallery} photos: give 0 to {MOST_IMAGES}; with more, the page would be "
            "slow to open (all photos are counted anyway)"
        )
    if workers < -1:
        raise ConfigError(f"{workers} workers: give 0 or more, or -1 for automatic")
    reporter = reporter or Reporter(quiet=True)
    chosen = _evenly(len(folder), gallery)
    collector = PortraitCollector(model, len(folder), len(chosen))
    threads = photo_workers(workers, model.device)
    images = read_ahead(
        folder.photos, side, ahead=_BATCH + threads, workers=threads, reading=folder.reading
    )

    def look(batch: Sequence[LoadedPhoto]) -> list[SegmentedPhoto]:
        return _look(model, batch)

    with reporter.task("report", len(folder)) as advance:
        for number, (photo, segmented) in enumerate(in_batches(images, _BATCH, look)):
            if segmented is None:
                collector.problems.append(photo.problem)
            else:
                collector.add(photo, segmented, number, shown=number in chosen)
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


def merges_of(model: Segmenter) -> tuple[Merge, ...]:
    """The tree of the centroids, a row for each merge; () if there is none."""
    try:
        rows = tree_of(model.network.centroid_set()).tolist()
    except ConfigError:
        return ()
    return tuple((int(left), int(right), distance) for left, right, distance in rows)


def _look(model: Segmenter, batch: Sequence[LoadedPhoto]) -> list[SegmentedPhoto]:
    pixels = torch.stack([photo.pixels for photo in batch if photo.pixels is not None])
    fractions = pixels.to(model.device).float().div_(255)
    features = model.features(fractions)
    plain = model.config.post_processing == "none"
    logits = model.classify(features) if plain else model.logits(fractions)
    similar = scores(features, model.network.view_centroids(0)[0], "cosine")
    return [
        SegmentedPhoto(
            upsample(photo_logits, fractions.shape[2:]),
            similarity.cpu().numpy(),
            _doubt(photo_logits, model),
        )
        for photo_logits, similarity in zip(logits, similar, strict=True)
    ]


def _doubt(logits: torch.Tensor, model: Segmenter) -> float:
    """Mean probability that the id of a cell is wrong; 0 where all of them are ignored."""
    confidence = mean_confidence(logits, model.sharpness, model.clusters)
    return 1 - confidence if confidence else 0.0


def _evenly(count: int, wanted: int) -> frozenset[int]:
    """`wanted` evenly spaced positions out of `count`, or all of them."""
    if wanted >= count:
        return frozenset(range(count))
    return frozenset((2 * place + 1) * count // (2 * wanted) for place in range(wanted))
