"""Names from a few labelled images: each cluster gets the majority class of its pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from picie.data.datasets.registry import open_dataset
from picie.data.folder import PhotoFolder, open_folder
from picie.data.masks import PLAIN, MaskRule
from picie.data.reading import Reading
from picie.errors import DataError
from picie.models.class_names import ClassNames, NamedClass
from picie.naming.assign import ClusterTree
from picie.naming.parts import parts_of
from picie.runtime.progress import Reporter

if TYPE_CHECKING:
    from picie.inference.segmenter import Segmenter
    from picie.metrics.confusion import Matrix

__all__ = [
    "LabelCounts",
    "Vote",
    "add_votes",
    "count_labels",
    "named_clusters",
    "open_labelled",
    "votes",
]


@dataclass(frozen=True)
class Vote:
    """The labels of one cluster.

    Attributes:
        cluster: its number.
        pixels: labelled pixels in it.
        name: the majority class; "" if there are too few pixels.
        share: of the majority class, 0..1.
        second: the second most frequent class, or "".
        second_share: of the second class, 0..1.
    """

    cluster: int
    pixels: int
    name: str
    share: float
    second: str
    second_share: float


@dataclass(frozen=True, eq=False)
class LabelCounts:
    """The labels of some images, and the clusters under them.

    Attributes:
        matrix: (L, K) pixels of each class in each cluster.
        void_share: share of void pixels, 0..100.
        notes: what a reader must know about the masks.
    """

    matrix: "Matrix"
    void_share: float
    notes: tuple[str, ...]


def open_labelled(
    root: Path, split: str = "", dataset: str = "", reading: Reading | None = None
) -> PhotoFolder:
    """The images of a folder that have a mask; others may lie beside them.

    Args:
        root: the folder, or the masks/ in it.
        split: list file of the folder, or split of the data set.
        dataset: name of a known data set; "" = any folder.
        reading: how the images are read, as in `open_folder`.

    Raises:
        DataError: no images, masks or class names.
        ConfigError: an unknown data set or split.
    """
    if dataset:
        return open_dataset(dataset, root, split, labelled=True, reading=reading)
    if root.name == "masks" and root.is_dir() and (root.parent / "images").is_dir():
        root = root.parent
    folder = open_folder(root, split, reading=reading)
    photos = folder.labelled
    if not photos or not folder.classes:
        open_folder(root, split, labelled=True)  # raises and names what is missing
    return replace(folder, photos=photos)


def count_labels(
    model: "Segmenter",
    folder: PhotoFolder,
    clusters: int,
    reporter: Reporter,
    rule: MaskRule = PLAIN,
) -> LabelCounts:
    """Count the pixels of each class in each cluster, on whole images.

    Args:
        model: with centroids; its names are not used.
        folder: labelled images.
        clusters: K of the cut.
        reporter: shows progress.
        rule: what the user says about the masks.

    Raises:
        ConfigError: an impossible cut, or a rule that cannot apply to these masks.
        DataError: a mask that cannot be used, masks that were probably misread, no labelled pixel,
            or no readable image.
    """
    from picie.evaluation.labelled import LabelledImages, count_pixels  # late: they load torch

    reporter.tell(folder.notes)
    plain = model.named(None)
    if plain.clusters != clusters:
        plain = plain.cut(clusters)
    images = LabelledImages(folder, plain.config.size, "none", rule)
    confusion = count_pixels(plain, images, reporter=reporter)
    reporter.enumerate(images.problems.values())
    matrix = confusion.matrix
    if not matrix.any():
        raise DataError(
            f"{folder.root}: no labelled pixel: the masks are void (255) throughout; if 255 is a "
            "class, say which one, for example --mask-map 255=1"
        )
    void = 100.0 * (1 - float(matrix.sum() / confusion.pixels))
    return LabelCounts(matrix, void, tuple(images.notes))


def votes(matrix: "Matrix", classes: Sequence[str], min_pixels: int = 1) -> list[Vote]:
    """The class of each cluster; ties go to the class that comes first.

    Args:
        matrix: (L, K) pixels of each class in each cluster.
        classes: L names.
        min_pixels: a cluster with fewer labelled pixels gets no name; 1 or more.
    """
    decided = []
    for cluster, counts in enumerate(matrix.T):
        total = int(counts.sum())
        order = (-counts).argsort(kind="stable").tolist()
        shares = [float(counts[label] / total) if total else 0.0 for label in order[:2]] + [0.0]
        has_second = len(order) > 1 and counts[order[1]] > 0
        decided.append(
            Vote(
                cluster,
                total,
                classes[order[0]] if total >= max(min_pixels, 1) else "",
                shares[0],
                classes[order[1]] if has_second else "",
                shares[1],
            )
        )
    return decided


def named_clusters(names: ClassNames, cluster_tree: ClusterTree) -> set[int]:
    """The clusters that have a name, if only in part.

    Args:
        names: of classes.
        cluster_tree: at the cut of the names.
    """
    held = [part for named_class in names.classes for part in parts_of(named_class)]
    taken = frozenset[int]().union(*(cluster_tree.members(part, names.origin) for part in held))
    return {number for number, members in enumerate(cluster_tree.clusters) if members & taken}


def add_votes(
    names: ClassNames, cluster_tree: ClusterTree, folder: PhotoFolder, decided: Sequence[Vote]
) -> ClassNames:
    """Name the clusters that have no name yet, not even in part.

    All classes of the folder get an entry, even those without a cluster. If there were no names
    before, the ids in masks are then the class ids of the folder.

    Args:
        names: the current names, which stay.
        cluster_tree: at the cut of the names.
        folder: source of the classes and their colours.
        decided: one vote for each cluster.

    Raises:
        ConfigError: a class whose name cannot be used.
    """
    taken = named_clusters(names, cluster_tree)
    gained: dict[str, list[int]] = {name: [] for name in folder.classes}
    for vote in decided:
        if vote.name and vote.cluster not in taken:
            gained[vote.name].append(vote.cluster)
    classes = []
    for named_class in names.classes:
        more = gained.pop(named_class.name, [])  # the first entry of the name gets them
        classes.append(replace(named_class, clusters=(*named_class.clusters, *more)))
    colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in folder.palette]
    colour_of = dict(zip(folder.classes, colours, strict=False))
    for name, clusters in gained.items():
        classes.append(NamedClass(name, tuple(clusters), (), colour_of.get(name, "")))
    return ClassNames(names.clusters, tuple(classes), f"{folder.root}: classes")
