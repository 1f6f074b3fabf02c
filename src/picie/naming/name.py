"""Give names to the clusters of a trained model: what `picie name` does, as a function."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from picie.data.folder import PhotoFolder
from picie.errors import ConfigError
from picie.inference.segmenter import Segmenter, load
from picie.metrics.confusion import Matrix
from picie.models.class_names import ClassNames, parse_classes, read_classes
from picie.naming.assign import ClusterTree, assign, paint, remove, take_away
from picie.naming.file import edited, replace_classes, undo_classes
from picie.naming.parts import parse_assignments, parse_colours, parse_parts
from picie.naming.votes import Vote, add_votes, count_labels, open_labelled, votes
from picie.runs import CLASSES_FILE
from picie.runtime.progress import Reporter

__all__ = ["Naming", "Pairs", "name", "names_of"]

Pairs = Mapping[str, str] | Sequence[tuple[str, str]]
"""Pairs, as a mapping or as a sequence of tuples."""


@dataclass(frozen=True)
class Naming:
    """Names of clusters after a change.

    Attributes:
        model: the model with its names; masks have one id for each of `model.names`.
        changes: a sentence for each change.
        votes: the votes of labelled images on each cluster; empty without them.
        changed: whether the file changed.
    """

    model: Segmenter
    changes: tuple[str, ...]
    votes: tuple[Vote, ...]
    changed: bool


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
    device: str = "",
    reporter: Reporter | None = None,
) -> Naming:
    """Name clusters, and nodes of their tree, in the classes.toml of a run folder.

    Clusters with the same name form one class. Existing names stay, except on clusters that get a
    new name. Comments in the file stay. Every change can be undone.

    Args:
        run: the run folder of a trained model.
        names: name by clusters and nodes: {"3": "road", "7,9": "building", "n70": "tree"}. The
            name "ignore" makes pixels void.
        unset: clusters and nodes that lose their name: ["3", "n70"].
        clear: classes to remove; their clusters lose their names.
        colours: colour by class: {"road": "#804080"}; "auto" reverts to the palette.
        clusters: the cut that cluster numbers refer to; as in training if there are no names yet.
        labelled: a few labelled images, in a folder with images/, masks/ and classes.txt: each
            cluster gets the majority class of its labelled pixels.
        split: list file inside `labelled`, or split of the data set.
        dataset: name of a known data set that `labelled` holds.
        min_pixels: labelled pixels that a cluster needs to get a name.
        overwrite: remove all names first.
        undo: revert the last change and do nothing else.
        device: auto, cpu, cuda or mps, for `labelled`; as in training if empty.
        reporter: shows progress; None = silent.

    Raises:
        ConfigError: unknown clusters, nodes, classes or colours, or contradicting orders.
        DataError: no labelled images.
        ModelError: no trained model in the folder.

    Example:
        >>> picie.name("runs/first", {"3": "road", "0,5": "building"})  # doctest: +SKIP
    """
    folder = Path(run)
    if undo:
        undo_classes(folder)
        return Naming(load(folder, device=device), (), (), changed=True)
    model = load(folder, device=device, named=False)
    model.check_view(0)
    path, before = folder / CLASSES_FILE, names_of(folder, model, clusters)
    model.named(before)  # raises if the existing names do not fit the model
    after, changes = _emptied(before, overwrite=overwrite)
    after = _recut(after, clusters)
    cluster_tree = ClusterTree(model.network, after.clusters, after.origin)
    decided: list[Vote] = []
    if labelled is not None:
        photos = open_labelled(Path(labelled), split, dataset)
        matrix = count_labels(model, photos, after.clusters, reporter or Reporter(quiet=True))
        decided = votes(matrix, photos.classes, min_pixels)
        after = add_votes(after, cluster_tree, photos, decided)
        changes += _summary(matrix, photos, decided)
    assigned = [f"{parts}={title}" for parts, title in _pairs(names)]
    painted = [f"{title}={colour}" for title, colour in _pairs(colours)]
    freed = [part for text in unset for part in parse_parts(text, f"--unset {text!r}")]
    steps: list[Callable[[ClassNames], tuple[ClassNames, list[str]]]] = [
        lambda old: remove(old, clear),
        lambda old: take_away(old, cluster_tree, freed),
        lambda old: assign(old, cluster_tree, parse_assignments(assigned)),
        lambda old: paint(old, parse_colours(painted)),
    ]
    for step in steps:
        after, more = step(after)
        changes += more
    named = model.named(replace(after, origin=str(path)))  # raises if they do not fit the model
    return Naming(named, tuple(changes), tuple(decided), _write(folder, path, after))


def names_of(folder: Path, model: Segmenter, clusters: int | None = None) -> ClassNames:
    """The names in a run folder; without a file, no names for the cut `clusters` (None: trained K).

    Raises:
        ConfigError: a classes.toml that cannot be read.
    """
    path = folder / CLASSES_FILE
    if path.exists():
        return read_classes(path)
    return ClassNames(model.clusters if clusters is None else clusters, (), str(path))


def _pairs(given: Pairs) -> Sequence[tuple[str, str]]:
    return list(given.items()) if isinstance(given, Mapping) else given


def _emptied(names: ClassNames, *, overwrite: bool) -> tuple[ClassNames, list[str]]:
    if not overwrite or not names.classes:
        return names, []
    count = len(names.merged)
    return replace(names, classes=()), [f"removed {count} class{'es' * (count != 1)}"]


def _write(folder: Path, path: Path, names: ClassNames) -> bool:
    """Edit the file; return whether it changed."""
    text = edited(path.read_text(encoding="utf-8") if path.exists() else "", names)
    assert parse_classes(text, path) == names
    return replace_classes(folder, text)


def _recut(names: ClassNames, clusters: int | None) -> ClassNames:
    """Move the names to another cut; refused if any name refers to cluster numbers."""
    if clusters is None or clusters == names.clusters:
        return names
    if any(named_class.clusters for named_class in names.classes):
        raise ConfigError(
            f"--clusters {clusters}: the numbers in {names.origin} are those of "
            f"{names.clusters} clusters and would mean others; remove --clusters, name nodes, or "
            "pass --overwrite to start without names"
        )
    return replace(names, clusters=clusters)


def _summary(matrix: Matrix, folder: PhotoFolder, decided: list[Vote]) -> list[str]:
    named = [vote for vote in decided if vote.name]
    right = sum(vote.share * vote.pixels for vote in named)
    total = max(int(matrix.sum()), 1)
    said = [
        f"{len(folder)} labelled images named {len(named)} of {len(decided)} clusters; "
        f"{right / total:.1%} of their labelled pixels match the class of their cluster"
    ]
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
