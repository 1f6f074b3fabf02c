"""Names for clusters from a few labelled images: each gets the class that most of it has."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from picie.data.datasets.registry import open_dataset
from picie.data.folder import PhotoFolder, open_folder
from picie.evaluation.labelled import LabelledImages, count_pixels
from picie.inference.segmenter import Segmenter
from picie.metrics.confusion import Matrix
from picie.models.class_names import ClassNames, NamedClass
from picie.naming.assign import ClusterTree
from picie.naming.parts import parts_of
from picie.runtime.progress import Reporter

__all__ = ["Vote", "add_votes", "count_labels", "open_labelled", "votes"]


@dataclass(frozen=True)
class Vote:
    """What the labels say about one cluster.

    Attributes:
        cluster: its number.
        pixels: labelled pixels in it.
        name: the class that most of them have; "" where there are too few.
        share: of that class among them, 0..1.
        second: the class with the next most, or "".
        second_share: of that one.
    """

    cluster: int
    pixels: int
    name: str
    share: float
    second: str
    second_share: float


def open_labelled(root: Path, split: str = "", dataset: str = "") -> PhotoFolder:
    """The images of a folder that have a mask; others may lie beside them.

    Args:
        root: the folder, or the masks/ in it.
        split: list file of the folder, or split of the data set.
        dataset: name of a known data set; "" = any folder.

    Raises:
        DataError: no images, masks or class names.
        ConfigError: an unknown data set or split.
    """
    if dataset:
        return open_dataset(dataset, root, split, labelled=True)
    if root.name == "masks" and root.is_dir() and (root.parent / "images").is_dir():
        root = root.parent
    folder = open_folder(root, split)
    photos = folder.labelled
    if not photos or not folder.classes:
        open_folder(root, split, labelled=True)  # raises, and says what is missing
    return replace(folder, photos=photos)


def count_labels(
    model: Segmenter, folder: PhotoFolder, clusters: int, reporter: Reporter
) -> Matrix:
    """Pixels of each class in each cluster, of whole images as they are predicted.

    Args:
        model: with centroids; its names are not used.
        folder: labelled images.
        clusters: K of the cut.
        reporter: shows how far it came.

    Returns:
        (L, K) int64.

    Raises:
        ConfigError: a cut that cannot be.
        DataError: a mask that cannot be used, or no readable image.
    """
    plain = model.named(None)
    if plain.clusters != clusters:
        plain = plain.cut(clusters)
    images = LabelledImages(folder, plain.config.size, "none")
    found = count_pixels(plain, images, reporter=reporter)
    reporter.enumerate(images.problems.values())
    return found.matrix


def votes(matrix: Matrix, classes: Sequence[str], min_pixels: int = 1) -> list[Vote]:
    """The class of each cluster; ties go to the class that comes first.

    Args:
        matrix: (L, K) pixels of each class in each cluster.
        classes: L names.
        min_pixels: a cluster with fewer labelled pixels gets no name; 1 or more.
    """
    found = []
    for cluster, counts in enumerate(matrix.T):
        total = int(counts.sum())
        order = (-counts).argsort(kind="stable").tolist()
        shares = [float(counts[label] / total) if total else 0.0 for label in order[:2]] + [0.0]
        has_second = len(order) > 1 and counts[order[1]] > 0
        found.append(
            Vote(
                cluster,
                total,
                classes[order[0]] if total >= max(min_pixels, 1) else "",
                shares[0],
                classes[order[1]] if has_second else "",
                shares[1],
            )
        )
    return found


def add_votes(
    names: ClassNames, cluster_tree: ClusterTree, folder: PhotoFolder, decided: Sequence[Vote]
) -> ClassNames:
    """Names for the clusters that have none yet, not even in part.

    All classes of the folder get an entry, those without a cluster too: where there were no names
    before, ids in masks are the class ids of the folder.

    Args:
        names: what there is; stays.
        cluster_tree: at the cut of the names.
        folder: whose classes and colours they are.
        decided: one vote for each cluster.

    Raises:
        ConfigError: a class whose name cannot be used.
    """
    held = [part for one in names.classes for part in parts_of(one)]
    taken = frozenset[int]().union(*(cluster_tree.members(part, names.origin) for part in held))
    gained: dict[str, list[int]] = {name: [] for name in folder.classes}
    for vote in decided:
        if vote.name and not cluster_tree.clusters[vote.cluster] & taken:
            gained[vote.name].append(vote.cluster)
    classes = []
    for one in names.classes:
        more = gained.pop(one.name, [])  # the first entry of the name gets them
        classes.append(replace(one, clusters=(*one.clusters, *more)))
    colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in folder.palette]
    colour_of = dict(zip(folder.classes, colours, strict=False))
    for name, clusters in gained.items():
        classes.append(NamedClass(name, tuple(clusters), (), colour_of.get(name, "")))
    return ClassNames(names.clusters, tuple(classes), f"{folder.root}: classes")
