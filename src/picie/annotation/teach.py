"""Teach a model: from names, strokes and labelled images to a model of its own.

A taught model has the clusters of the old one, moved by `head.fit_head`, and one more cluster for
each class that no cluster was named. Clusters and nodes keep their names, and clusters their
numbers; nodes of the tree move up by the number of new clusters, which are leaves too. It is saved,
loaded, named, evaluated and exported like any other, and says that it has used labels.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.annotation.features import FeatureCache
from picie.annotation.head import Head, Marks, Start, fit_head
from picie.annotation.lessons import Lessons, check_some, lessons_of, mask_lessons, sample_cells
from picie.annotation.log import Annotations, read_annotations
from picie.data.folder import PhotoFolder, open_folder
from picie.errors import ConfigError, DataError, ModelError
from picie.inference.segmenter import Segmenter, load
from picie.models.class_names import ClassNames, NamedClass
from picie.models.picie import PiCIE
from picie.runs import (
    ANNOTATIONS_FILE,
    FEATURES_FOLDER,
    HISTORY_FOLDER,
    MODEL_CONFIG_FILE,
    TAUGHT_FOLDER,
    Run,
)
from picie.runtime.documents import read_json
from picie.runtime.locks import locked
from picie.runtime.progress import Reporter
from picie.types import LabelsUsed

__all__ = [
    "AnnotatedImages",
    "Exercise",
    "annotated",
    "exercise",
    "taught_network",
    "teach",
    "with_head",
]

_GAP = 1e-3  # relative distance of new clusters in the tree, beyond its last merge


@dataclass
class AnnotatedImages:
    """Annotations with the images that they are of: what `Segmenter.taught` takes.

    Attributes:
        annotations: of a history.
        photos: the images; random cells of them say what else the model is for.
        labelled: images with masks, to learn from too.
        cache: folder for features; None = they are computed anew each time.
        audit: learn from audit answers too.
        origin: of the annotations, for messages.
        reporter: shows progress; None = silent.
        notes: after teaching, what a person must know about the annotations.
    """

    annotations: Annotations
    photos: PhotoFolder
    labelled: PhotoFolder | None = None
    cache: Path | None = None
    audit: bool = False
    origin: str = "annotations"
    reporter: Reporter | None = None
    notes: tuple[str, ...] = field(default=(), init=False)

    def teach(self, model: Segmenter) -> tuple[PiCIE, ClassNames | None]:
        """Network and names of the taught model.

        Args:
            model: with the names that were given to its clusters.

        Raises:
            ConfigError: a model that was taught already.
            DataError: nothing to learn from, or no image that can be read.
        """
        model.check_view(0)
        if model.network.labels is not None:
            raise ConfigError(
                "this model was taught already; teach the one that it was made from, which learns "
                "from all annotations at once"
            )
        cache = FeatureCache(model, self.cache)
        marked = self.annotations.by_image()
        lessons = lessons_of(marked, self.photos, cache, audit=self.audit, reporter=self.reporter)
        labels = LabelsUsed(lessons.count, lessons.images, 0, _named_parts(model))
        if self.labelled is not None:
            masks = mask_lessons(self.labelled, cache, reporter=self.reporter)
            labels = replace(labels, masks=masks.images)
            lessons = lessons.joined(masks)
        self.notes = (*self.annotations.problems, *lessons.notes, *_new_classes(model, lessons))
        check_some(lessons, self.origin)
        sample = sample_cells(self.photos, cache, self.reporter)
        return taught_network(model, lessons, sample, labels)


def annotated(
    annotations: str | Path,
    images: str | Path | PhotoFolder,
    *,
    labelled: str | Path | PhotoFolder | None = None,
    audit: bool = False,
    reporter: Reporter | None = None,
) -> AnnotatedImages:
    """Read annotations, and open the images that they are of.

    Args:
        annotations: a run folder, whose features are cached, or an annotations.jsonl.
        images: the folder of images, or an opened one.
        labelled: a folder with images/, masks/ and classes.txt to learn from too.
        audit: learn from audit answers too.
        reporter: shows progress; None = silent.

    Raises:
        DataError: no such file, folder or images.

    Example:
        >>> labels = picie.annotated("runs/first", "photos")  # doctest: +SKIP
        >>> taught = picie.load("runs/first").taught(labels)  # doctest: +SKIP
    """
    path = Path(annotations)
    folder = path if path.is_dir() else None
    if folder is not None:
        path = folder / ANNOTATIONS_FILE
    elif not path.exists():
        raise DataError(f"{path}: no such file or run folder; give one that has annotations")
    reading = Run.open(folder).config.reading if folder is not None and Run.is_run(folder) else None
    photos = images if isinstance(images, PhotoFolder) else open_folder(images, reading=reading)
    if labelled is not None and not isinstance(labelled, PhotoFolder):
        labelled = open_folder(labelled, labelled=True, reading=photos.reading)
    return AnnotatedImages(
        read_annotations(path),
        photos,
        labelled,
        None if folder is None else folder / FEATURES_FOLDER,
        audit,
        str(path),
        reporter,
    )


def teach(
    run: str | Path,
    images: str | Path | None = None,
    *,
    annotations: str | Path | None = None,
    labelled: str | Path | None = None,
    out: str | Path | None = None,
    audit: bool = False,
    device: str = "",
    reporter: Reporter | None = None,
) -> Segmenter:
    """Teach the model of a run from its names and annotations, and write the taught model.

    The old model stays as it is. Each call learns from all annotations anew.

    Args:
        run: the run folder.
        images: the images that were annotated; those of the training if None.
        annotations: another annotations.jsonl, or the folder of another run; those of the run if
            None.
        labelled: images with masks to learn from too: a folder with images/, masks/, classes.txt.
        out: folder of the taught model; RUN/taught if None. One that was taught before is replaced.
        audit: learn from audit answers too. They then no longer measure the model honestly.
        device: auto, cpu, cuda or mps; as in training if empty.
        reporter: shows progress and notes; None = silent.

    Raises:
        ConfigError: a folder with other files, or a model that was taught already.
        DataError: no annotations or images.
        ModelError: no trained model in the folder.
        PicieError: a file cannot be written.

    Example:
        >>> picie.teach("runs/first", "photos")  # doctest: +SKIP
    """
    folder, reporter = Path(run), reporter or Reporter(quiet=True)
    model = load(folder, device=device)
    target = folder / TAUGHT_FOLDER if out is None else Path(out)
    _check_target(target)
    photos = open_folder(_images_of(model, images), reading=model.config.reading)
    lessons = annotated(
        folder if annotations is None else annotations,
        photos,
        labelled=labelled,
        audit=audit,
        reporter=reporter,
    )
    lessons.cache = folder / FEATURES_FOLDER
    try:
        taught = model.taught(lessons)
    finally:
        reporter.enumerate(lessons.notes)
    with locked(target, "picie teach"):
        _check_target(target)
        taught.save(target)
    taught.run = target
    return taught


@dataclass(frozen=True, eq=False)
class Exercise:
    """What the head is fitted to.

    Attributes:
        start: the clusters and their names.
        marks: the strokes.
        classes: L.
        ignored: the class of ignored pixels.
        titles: of the classes that marks may have.
    """

    start: Start
    marks: Marks
    classes: int
    ignored: int
    titles: dict[int, str]

    def extra(self, head: Head) -> dict[str, bool]:
        """The title of each row that a head has beyond those of the clusters; whether ignored."""
        numbers = head.classes[len(self.start.rows) :].tolist()
        return {self.titles[number]: number == self.ignored for number in numbers}


def exercise(model: Segmenter, lessons: Lessons, sample: Tensor) -> Exercise:
    """Put names, strokes and random cells together; as for `taught_network`."""
    ids = _known(model)
    count = model.clusters + 1  # with the ignored pixels
    new = [title for title in lessons.titles if title not in ids]
    ids |= {title: count + number for number, title in enumerate(new)}
    classes = torch.tensor([ids[title] for title in lessons.titles])[lessons.classes]
    start = _start(model, sample)
    unit = F.normalize(lessons.cells, dim=1)
    marks = Marks(unit, classes, _winners(model, lessons.cells), lessons.strokes)
    titles = {number: title for title, number in reversed(ids.items())}
    return Exercise(start, marks, count + len(new), model.clusters, titles)


def taught_network(
    model: Segmenter, lessons: Lessons, sample: Tensor, labels: LabelsUsed
) -> tuple[PiCIE, ClassNames | None]:
    """Fit the head, and put it in place of the centroids.

    Args:
        model: with names, if there are any.
        lessons: at least one cell.
        sample: (M, D) features of random cells, of any length.
        labels: what is learnt from.
    """
    task = exercise(model, lessons, sample)
    head = fit_head(task.start, task.marks, task.classes)
    return with_head(model, head, task.extra(head), labels)


def with_head(
    model: Segmenter, head: Head, extra: dict[str, bool], labels: LabelsUsed
) -> tuple[PiCIE, ClassNames | None]:
    """Network and names of a model with a head in place of its centroids.

    Args:
        model: with names, if there are any.
        head: that was fitted to its centroids and names.
        extra: from `Exercise.extra`.
        labels: what the head has learnt from.
    """
    return _network(model, head, len(extra), labels), _names(model, extra)


def _known(model: Segmenter) -> dict[str, int]:
    """The id of each title that a mark may have; those of ignored classes share the last one."""
    ignored = [one.name for one in _classes(model) if one.ignore]
    return {
        **{title: number for number, title in enumerate(model.names)},
        **dict.fromkeys((*ignored, "ignore"), model.clusters),
    }


def _start(model: Segmenter, sample: Tensor) -> Start:
    """The centroids as unit vectors, and the sample in their clusters."""
    clusters = _winners(model, sample)
    cells = F.normalize(sample, dim=1)
    centroids = F.normalize(model.network.view_centroids(0)[0].cpu(), dim=1)
    if model.config.predict_rule != "cosine":  # lengths and offsets matter: directions of members
        sums = torch.zeros_like(centroids).index_add_(0, clusters, cells)
        counts = clusters.bincount(minlength=len(centroids))
        centroids = torch.where(counts[:, None] > 0, F.normalize(sums, dim=1), centroids)
    return Start(centroids, model.centroid_ids.clone(), cells, clusters)


def _winners(model: Segmenter, cells: Tensor) -> Tensor:
    """(M,) int64, the centroid that each of (M, D) features belongs to."""
    maps = cells[:, :, None, None].to(model.device)
    return model.centroid_scores(maps)[:, :, 0, 0].argmax(1).cpu()


def _network(model: Segmenter, head: Head, extra: int, labels: LabelsUsed) -> PiCIE:
    old = model.network
    groups = old.view_centroids(0)[1].cpu()
    more = torch.arange(extra) + int(groups.max()) + 1
    tree = old.trees[0].cpu() if old.trees.shape[1] else torch.empty(0, 3, dtype=torch.float64)
    if len(tree):
        count = len(groups)
        moved = tree.clone()
        moved[:, :2] += extra * (tree[:, :2] >= count)
        top = 2 * count - 2 + extra + torch.arange(extra)
        heights = tree[-1, 2] * (1 + _GAP * (torch.arange(extra) + 1)) + _GAP
        leaves = count + torch.arange(extra)
        tree = torch.cat([moved, torch.stack([leaves.double(), top.double(), heights], 1)])
    return old.taught(head.rows, torch.cat([groups, more]), head.offsets, tree, labels)


def _names(model: Segmenter, extra: dict[str, bool]) -> ClassNames | None:
    """The names, with numbers that fit the larger tree, and an entry for each new cluster.

    Args:
        model: with the old names.
        extra: the titles of the new clusters, in their order, and whether they are ignored.
    """
    names = model.class_names
    if names is None and not extra:
        return None
    cut = model.network.clusters if names is None else names.clusters
    count = model.network.groups.shape[1]
    entries = [
        replace(one, nodes=tuple(n + len(extra) * (n >= count) for n in one.nodes))
        for one in (() if names is None else names.classes)
    ]
    for number, (title, hidden) in enumerate(extra.items()):
        entries.append(NamedClass(title, (cut + number,), ignore=hidden))
    return ClassNames(cut + len(extra), tuple(entries), "taught names")


def _classes(model: Segmenter) -> tuple[NamedClass, ...]:
    return () if model.class_names is None else model.class_names.merged


def _named_parts(model: Segmenter) -> int:
    return sum(len(one.clusters) + len(one.nodes) for one in _classes(model))


def _new_classes(model: Segmenter, lessons: Lessons) -> list[str]:
    """A note for each class that only marks know."""
    known = _known(model)
    notes = []
    for number, title in enumerate(lessons.titles):
        if title not in known:
            count = len(lessons.strokes[lessons.classes == number].unique())
            marks = "1 mark is" if count == 1 else f"{count} marks are"
            alike = [name for name in known if name.casefold() == title.casefold()]
            hint = f"; did you mean {alike[0]!r}?" if alike else ""
            notes.append(
                f"{marks} of {title!r}, which no cluster is named: it becomes a class that is "
                f"learnt from marks alone{hint}"
            )
    return notes


def _images_of(model: Segmenter, images: str | Path | None) -> Path:
    if images is not None:
        return Path(images)
    if not model.config.data or not Path(model.config.data).exists():
        raise DataError(
            f"the images of the training ({model.config.data or 'unknown'}) are not there; give "
            "the folder of the images that were annotated, with --images"
        )
    return Path(model.config.data)


def _check_target(folder: Path) -> None:
    """Refuse a folder that holds anything but a taught model without changes.

    Raises:
        ConfigError: says what it holds.
    """
    entries = {path.name for path in folder.iterdir()} if folder.is_dir() else set[str]()
    if not folder.is_dir() and folder.exists():
        raise ConfigError(f"{folder}: is a file; give another --out")
    if entries & {ANNOTATIONS_FILE, HISTORY_FOLDER}:
        raise ConfigError(
            f"{folder}: its names were changed, which teaching again would undo; change those of "
            "the run instead, and remove this folder or give another --out"
        )
    if any(not name.startswith(".") for name in entries):
        try:
            taught = "labels" in read_json(folder / MODEL_CONFIG_FILE, ModelError)
        except ModelError:
            taught = False
        if not taught:
            raise ConfigError(
                f"{folder}: holds no taught model, but other files; give another --out"
            )
