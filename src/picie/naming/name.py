"""Give names to the clusters of a trained model: what `picie name` does, as a function."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from picie.annotation.log import change_names
from picie.annotation.log import redo as redo_last
from picie.annotation.log import undo as undo_last
from picie.data.masks import MaskMap, MaskOrientation, Void, mask_rule
from picie.errors import ConfigError, ModelError
from picie.inference.outputs import Outputs, outputs_of
from picie.models.centroids import CentroidSet
from picie.models.class_names import ClassNames, read_classes
from picie.models.stored import read_centroids
from picie.naming.assign import ClusterTree, assign, paint, recut, remove, take_away
from picie.naming.file import edited, retitled
from picie.naming.parts import parse_assignments, parse_colours, parse_parts
from picie.naming.votes import (
    LabelCounts,
    Vote,
    add_votes,
    count_labels,
    named_clusters,
    open_labelled,
    votes,
)
from picie.runs import CLASSES_FILE, WEIGHTS_FILE, changing_names
from picie.runtime.documents import read_text
from picie.runtime.progress import Reporter

if TYPE_CHECKING:
    from picie.data.folder import PhotoFolder
    from picie.inference.segmenter import Segmenter

__all__ = [
    "Naming",
    "Pairs",
    "centroids_of",
    "change_classes",
    "name",
    "names_at",
    "names_of",
    "weights_state",
]

Pairs = Mapping[str, str] | Sequence[tuple[str, str]]
"""Pairs, as a mapping or as a sequence of tuples."""


@dataclass(frozen=True)
class Naming:
    """Names of clusters after a change.

    Attributes:
        outputs: the names and colours of the ids in masks.
        changes: a sentence for each change.
        votes: the votes of labelled images on each cluster; empty without them.
        changed: whether the file changed.
        void_share: share of void pixels in the labelled images, 0..100; None without them.
    """

    outputs: Outputs
    changes: tuple[str, ...]
    votes: tuple[Vote, ...]
    changed: bool
    _load: Callable[[], "Segmenter"] = field(repr=False)
    void_share: float | None = None

    @cached_property
    def model(self) -> "Segmenter":
        """The model with its names; it is loaded when it is asked for.

        Raises:
            ModelError: the model was replaced, or cannot be read.
        """
        return self._load()


def name(
    run: str | Path,
    names: Pairs = (),
    *,
    unset: Sequence[str] = (),
    clear: Sequence[str] = (),
    colours: Pairs = (),
    clusters: int | None = None,
    labelled: str | Path | None = None,
    split: str = "",
    dataset: str = "",
    min_pixels: int = 1,
    overwrite: bool = False,
    undo: bool = False,
    redo: bool = False,
    void: Void = "auto",
    mask_map: MaskMap = (),
    mask_orientation: MaskOrientation = "auto",
    reading: Mapping[str, Any] | None = None,
    device: str = "",
    reporter: Reporter | None = None,
) -> Naming:
    """Name clusters, and nodes of their tree, in the classes.toml of a run folder.

    Clusters with the same name form one class. Existing names stay, except on clusters that get a
    new name; at another cut, every centroid keeps the name that it has. Comments in the file stay.
    Every change can be undone.

    Args:
        run: the run folder of a trained model.
        names: name by clusters and nodes: {"3": "road", "7,9": "building", "n70": "tree"}. The
            name "ignore" makes pixels void.
        unset: clusters and nodes that lose their name: ["3", "n70"].
        clear: classes to remove; their clusters lose their names.
        colours: colour by class: {"road": "#804080"}; "auto" reverts to the palette.
        clusters: the cut that cluster numbers refer to from now on; None = as before, or as in
            training if there are no names yet.
        labelled: a few labelled images, in a folder with images/, masks/ and classes.txt: each
            cluster gets the majority class of its labelled pixels.
        split: list file inside `labelled`, or split of the data set.
        dataset: name of a known data set that `labelled` holds.
        min_pixels: labelled pixels that a cluster needs to get a name.
        overwrite: remove all names first.
        undo: revert the last change of names or annotations, and do nothing else.
        redo: bring back what the last undo reverted, and do nothing else.
        void: how masks of `labelled` are read, as in `evaluate`; so are the next two.
        mask_map: class id, or "void", of stored values.
        mask_orientation: what masks of images with an EXIF orientation are drawn on.
        reading: how images of `labelled` are read: arguments of `Segmenter.read_as`.
        device: auto, cpu, cuda or mps, for `labelled`; as in training if empty.
        reporter: shows progress; None = silent.

    Raises:
        ConfigError: unknown clusters, nodes, classes or colours, or contradicting orders.
        DataError: no labelled images, or masks that cannot be used or were probably misread.
        ModelError: no trained model in the folder, or it was replaced meanwhile.
        PicieError: another process changes the names for longer than a minute.

    Example:
        >>> picie.name("runs/first", {"3": "road", "0,5": "building"})  # doctest: +SKIP
    """
    folder, rule = Path(run), mask_rule(void, mask_map, mask_orientation)
    load = partial(_loaded, folder, device, reading or {})
    if undo or redo:
        act = (redo_last if redo else undo_last)(folder, by="picie name")
        said = f"{'redid' if redo else 'undid'}: {act.description}"
        centroids = centroids_of(folder)
        now = names_of(folder, centroids.clusters)
        return Naming(
            outputs_of(centroids, now), (said,), (), act.act == "names", partial(load, now)
        )
    state = weights_state(folder)
    centroids = centroids_of(folder)
    counts, photos = None, None
    if labelled is not None:  # this may take long, so others may change the names meanwhile
        before = names_of(folder, centroids.clusters)
        after = _changed(before, centroids, clusters, overwrite=overwrite)[0]
        unnamed = load(None)
        photos = open_labelled(Path(labelled), split, dataset, unnamed.config.reading)
        shown = reporter or Reporter(quiet=True)
        counts = count_labels(unnamed, photos, after.clusters, shown, rule)
    changes: list[str] = []
    decided: list[Vote] = []

    def step(before: ClassNames) -> tuple[ClassNames, list[str]]:
        if weights_state(folder) != state:
            raise ModelError(f"{folder}: another process has replaced the model; name it again")
        outputs_of(centroids, before)  # raises if the existing names do not fit the model
        after, recorded = _changed(before, centroids, clusters, overwrite=overwrite)
        changes.extend(recorded)
        cluster_tree = ClusterTree(centroids, after.clusters, after.origin)
        if counts is not None and photos is not None:
            kept = named_clusters(after, cluster_tree)
            found, after = _voted(counts, photos, after, cluster_tree, min_pixels)
            decided.extend(found)
            changes.extend(_summary(counts, photos, found, kept))
            recorded.append(f"from {len(photos)} labelled images")
        after, more = _ordered(after, cluster_tree, names, unset, clear, colours)
        changes.extend(more)
        return after, [*recorded, *more]

    after, changed = change_classes(folder, centroids, step, by="picie name")
    after = replace(after, origin=str(folder / CLASSES_FILE))
    outputs, model = outputs_of(centroids, after), partial(load, after)
    share = None if counts is None else counts.void_share
    return Naming(outputs, tuple(changes), tuple(decided), changed, model, share)


def change_classes(
    folder: Path,
    centroids: CentroidSet,
    step: Callable[[ClassNames], tuple[ClassNames, list[str]]],
    *,
    by: str,
    renamed: tuple[str, str] | None = None,
) -> tuple[ClassNames, bool]:
    """Change the classes.toml of a run folder, and record it; no other process does meanwhile.

    Args:
        folder: the run folder.
        centroids: of the first view of its model.
        step: maps the present names to the new ones, and a sentence for each change.
        by: who changes them.
        renamed: as in `annotation.log.change_names`.

    Returns:
        the new names, and whether the file changed.

    Raises:
        ConfigError: present or new names that do not fit the model, or what `step` raises.
        PicieError: another process changes them for longer than a minute.
    """
    path = folder / CLASSES_FILE
    with changing_names(folder, by):
        after, said = step(names_of(folder, centroids.clusters))
        outputs_of(centroids, replace(after, origin=str(path)))  # raises if they do not fit
        text = read_text(path) if path.exists() else ""
        if renamed is not None:
            text = retitled(text, *renamed)
        text = edited(text, after)
        changed = change_names(folder, text, by=by, changes=said, renamed=renamed)
    return after, changed


def weights_state(folder: Path) -> tuple[int, int, int] | None:
    """What tells the weights of a folder from those that replace them; None if there are none."""
    try:
        status = (folder / WEIGHTS_FILE).stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _voted(
    counts: LabelCounts,
    photos: "PhotoFolder",
    names: ClassNames,
    cluster_tree: ClusterTree,
    min_pixels: int,
) -> tuple[list[Vote], ClassNames]:
    if counts.matrix.shape[1] != names.clusters:
        raise ConfigError(
            f"{names.origin}: another process has changed the cut to {names.clusters} clusters; "
            "run the same command again"
        )
    decided = votes(counts.matrix, photos.classes, min_pixels)
    return decided, add_votes(names, cluster_tree, photos, decided)


def _ordered(
    before: ClassNames,
    cluster_tree: ClusterTree,
    names: Pairs,
    unset: Sequence[str],
    clear: Sequence[str],
    colours: Pairs,
) -> tuple[ClassNames, list[str]]:
    """The names after what the arguments ask for, and a sentence for each change."""
    assigned = [f"{parts}={title}" for parts, title in _pairs(names)]
    painted = [f"{title}={colour}" for title, colour in _pairs(colours)]
    freed = [part for text in unset for part in parse_parts(text, f"--unset {text!r}")]
    steps: list[Callable[[ClassNames], tuple[ClassNames, list[str]]]] = [
        lambda old: remove(old, clear),
        lambda old: take_away(old, cluster_tree, freed),
        lambda old: assign(old, cluster_tree, parse_assignments(assigned)),
        lambda old: paint(old, parse_colours(painted)),
    ]
    changes: list[str] = []
    for step in steps:
        before, more = step(before)
        changes += more
    return before, changes


def centroids_of(folder: Path) -> CentroidSet:
    """The centroids of a run folder, or of a model on the hub, without torch.

    Raises:
        ModelError: as `picie.load`.
        NotFittedError: the model has no centroids.
    """
    if folder.as_posix().startswith("hf:"):
        from picie.inference.hub import local_folder  # late, because it loads torch

        folder = local_folder(folder)
    return read_centroids(folder)


def names_of(folder: Path, clusters: int) -> ClassNames:
    """The names in a run folder; without a file, no names for the cut `clusters`.

    Raises:
        ConfigError: a classes.toml that cannot be read.
    """
    path = folder / CLASSES_FILE
    if path.exists():
        return read_classes(path)
    return ClassNames(clusters, (), str(path))


def _loaded(
    folder: Path, device: str, reading: Mapping[str, Any], names: ClassNames | None
) -> "Segmenter":
    from picie.inference.segmenter import load  # late, because it loads torch

    return load(folder, device=device, named=False).read_as(**reading).named(names)


def _pairs(given: Pairs) -> Sequence[tuple[str, str]]:
    return list(given.items()) if isinstance(given, Mapping) else given


def names_at(names: ClassNames, centroids: CentroidSet, clusters: int) -> ClassNames:
    """The names at another cut, where every centroid keeps its name.

    Raises:
        ConfigError: an impossible cut.
    """
    return _recut(names, centroids, clusters)[0]


def _changed(
    names: ClassNames, centroids: CentroidSet, clusters: int | None, *, overwrite: bool
) -> tuple[ClassNames, list[str]]:
    """The names to begin with, at the wanted cut, and a sentence for each change."""
    said: list[str] = []
    if overwrite and names.classes:
        count = len(names.merged)
        said = [f"removed {count} class{'es' * (count != 1)}"]
        names = replace(names, classes=())
    after, more = _recut(names, centroids, clusters or names.clusters)
    return after, said + more


def _recut(
    names: ClassNames, centroids: CentroidSet, clusters: int
) -> tuple[ClassNames, list[str]]:
    before = ClusterTree(centroids, names.clusters, names.origin)  # raises for an impossible cut
    if clusters == names.clusters:
        return names, []
    return recut(names, before, ClusterTree(centroids, clusters, "--clusters"))


def _summary(
    counts: LabelCounts, folder: "PhotoFolder", decided: list[Vote], kept: set[int]
) -> list[str]:
    matrix = counts.matrix
    named = [vote for vote in decided if vote.name]
    right = sum(vote.share * vote.pixels for vote in named)
    total = max(int(matrix.sum()), 1)
    new = sum(vote.cluster not in kept for vote in named)
    said = [
        f"{len(folder)} labelled images named {new} of {len(decided)} clusters; "
        f"{right / total:.1%} of their labelled pixels match the class of their cluster",
        f"void: {counts.void_share:.1f} % of the pixels of the labelled images",
        *counts.notes,
    ]
    if kept:
        said.append(
            f"{len(kept)} cluster{'s' * (len(kept) != 1)} had a name already, which stays; "
            "--overwrite removes the names first"
        )
    won = {vote.name for vote in named}
    lost = [name for name, pixels in zip(folder.classes, matrix.sum(1), strict=True) if pixels]
    lost = [name for name in lost if name not in won]
    if lost:
        said.append(
            f"majority in no cluster: {', '.join(lost)}; a larger --clusters may separate them"
        )
    weak = [f"{vote.cluster} ({vote.name} {vote.share:.0%})" for vote in named if vote.share < 0.5]
    if weak:
        said.append(
            f"majority below 50 % in {', '.join(weak)}; check these in the overlays, and correct "
            "them with --set"
        )
    return said
