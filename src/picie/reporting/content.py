"""The content of a report, independent of HTML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cluster", "Crop", "Document", "GalleryImage", "Node", "Patch", "Score", "Tree"]


@dataclass(frozen=True)
class Patch:
    """A square patch of a photo around one pixel.

    Attributes:
        name: of the photo.
        similarity: cosine of the pixel's feature and the nearest centroid of its cluster.
        image: WebP file.
    """

    name: str
    similarity: float
    image: bytes


@dataclass(frozen=True)
class Cluster:
    """One output id of the model: a named class or a cluster without a name.

    Attributes:
        id: the value in masks; `IGNORED` for ignored pixels.
        name: as shown.
        note: the clusters and nodes of a named class; "" otherwise.
        colour: sRGB, 0..255.
        share: of the pixels, 0..1, with equal weight for every photo.
        photos: number of photos that it occurs in.
        heat: (G, G) share of the photos that have it at each position, 0..1; empty if unknown.
        typical: patches around its most typical pixels, most typical first.
        atypical: patches around its least typical pixels, least typical first.
        nearest: ids and mean cosines of the most similar clusters, most similar first.
        parts: the clusters and nodes that it is made of, each as a node; () if there is no tree.
    """

    id: int
    name: str
    note: str
    colour: tuple[int, int, int]
    share: float
    photos: int
    heat: NDArray[np.float64]
    typical: tuple[Patch, ...] = ()
    atypical: tuple[Patch, ...] = ()
    nearest: tuple[tuple[int, float], ...] = ()
    parts: tuple[int, ...] = ()


@dataclass(frozen=True)
class GalleryImage:
    """A photo of the gallery.

    Attributes:
        name: of the photo.
        size: (width, height) in pixels of the small photo.
        photo: WebP file.
        mask: PNG file with a palette.
        shares: ids that occur in it and their shares of its pixels, largest first.
        doubt: mean probability, 0..1, that the id of a pixel is wrong.
    """

    name: str
    size: tuple[int, int]
    photo: bytes
    mask: bytes
    shares: tuple[tuple[int, float], ...]
    doubt: float = 0.0


@dataclass(frozen=True)
class Crop:
    """A square piece of a photo, which several nodes may show.

    Attributes:
        name: of the photo.
        image: WebP file.
    """

    name: str
    image: bytes


@dataclass(frozen=True)
class Node:
    """A node of the tree, as the photos show it.

    Attributes:
        number: 0..2P-2, as scipy numbers nodes.
        centroids: how many are below it.
        share: of the pixels, 0..1.
        photos: number of photos that it occurs in.
        crops: numbers of crops, and for each a WebP file to lay over it, clear where the node is.
    """

    number: int
    centroids: int
    share: float
    photos: int
    crops: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True)
class Tree:
    """How P centroids merge.

    Attributes:
        merges: P - 1 rows of the two groups that merge and their distance; groups 0..P-1 are the
            centroids, row i forms group P + i.
        owners: the id that each centroid belongs to.
        cut: number of clusters that the ids come from.
        suggested: number of clusters at the widest gap in the tree.
        groups: (P,) number of the cluster of the cut that each centroid belongs to.
        nodes: what the photos show of the nodes; of a large tree, of the last ones only.
        crops: which they show.
        command: what `--set n79=NAME` is written after to name a node.
    """

    merges: tuple[tuple[int, int, float], ...]
    owners: tuple[int, ...]
    cut: int
    suggested: int
    groups: tuple[int, ...] = ()
    nodes: Mapping[int, Node] = field(default_factory=dict)
    crops: tuple[Crop, ...] = ()
    command: str = "picie name RUN"

    @cached_property
    def members(self) -> tuple[tuple[int, ...], ...]:
        """The centroids below each of the 2P - 1 nodes."""
        found: list[tuple[int, ...]] = [(leaf,) for leaf in range(len(self.owners))]
        for left, right, _ in self.merges:
            found.append(found[left] + found[right])
        return tuple(found)


@dataclass(frozen=True)
class Score:
    """Scores of the clusters, or of the classes that they are named as, against labels.

    Attributes:
        accuracy: per cent.
        miou: per cent.
        protocol: what was scored and how, as text.
        rows: for each class its name, IoU, recall, precision and share of pixels in per cent (None
            if undefined), and the names of its clusters.
        confusion: (L, K) pixels of each class in each cluster of the network.
        mapping: class of each of the K clusters, -1 = none.
        columns: for each of the K clusters its label, and the id whose colour it has.
        notes: what a reader of the scores must know about masks and names.
        uses_names: whether classes are scored by name; columns are then ids in masks.
    """

    accuracy: float
    miou: float
    protocol: str
    rows: tuple[tuple[str, tuple[float | None, ...], str], ...]
    confusion: NDArray[np.int64]
    mapping: tuple[int, ...]
    columns: tuple[tuple[str, int], ...]
    notes: tuple[str, ...] = ()
    uses_names: bool = False


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes:
        title: name of the run.
        lede: one sentence under the title.
        facts: label and value of the main settings.
        clusters: those that occur, largest first.
        absent: names of clusters that occur in no photo.
        photos: number of photos that were read.
        notes: what was left out of the folder, a line for each kind.
        constant: names of photos of (nearly) one colour.
        problems: a line for each unreadable photo.
        gallery: some of the photos.
        gallery_note: how they were chosen.
        health: measures of health.json.
        health_note: what they were measured on, or why there are none.
        charts: SVG elements of curves over the epochs.
        charts_note: why there are none; "" otherwise.
        tree: None if the model has none.
        tree_note: text above the tree, or why there is none.
        score: None without labels.
        score_note: why there is none; "" otherwise.
    """

    title: str
    lede: str
    facts: tuple[tuple[str, str], ...]
    clusters: tuple[Cluster, ...]
    absent: tuple[str, ...]
    photos: int
    problems: tuple[str, ...]
    gallery: tuple[GalleryImage, ...]
    gallery_note: str
    health: Mapping[str, float] = field(default_factory=dict)
    health_note: str = ""
    charts: tuple[str, ...] = ()
    charts_note: str = ""
    tree: Tree | None = None
    tree_note: str = ""
    score: Score | None = None
    score_note: str = ""
    notes: tuple[str, ...] = ()
    constant: tuple[str, ...] = ()
