"""Scores of a model on labelled images."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from picie.clustering.features import fit_clean_centroids, keep_centroids
from picie.data.cache import CropCache
from picie.data.crop_loader import BaseCrops, image_loader
from picie.data.datasets.registry import open_dataset
from picie.data.folder import PhotoFolder
from picie.data.images import check_size
from picie.data.listing import few
from picie.data.masks import MaskMap, MaskOrientation, Void, mask_rule
from picie.errors import ConfigError, DataError
from picie.evaluation.labelled import Crop, LabelledImages, count_pixels
from picie.evaluation.named import NameMatch, match_names
from picie.evaluation.probes import Probe, ProbeSettings, check_disjoint, run_probes
from picie.inference.segmenter import Segmenter, load
from picie.metrics.bootstrap import Intervals, bootstrap_intervals, check_resamples
from picie.metrics.confusion import Confusion
from picie.metrics.groups import Groups, check_groups
from picie.metrics.matching import Matching, check_matching
from picie.metrics.scores import Scores, score, score_classes
from picie.runtime import notebook
from picie.runtime.progress import Reporter

__all__ = ["Crop", "Evaluation", "Matching", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """Scores of the model's own centroids, and optional further scores.

    Attributes:
        scores: with the model's centroids; those of view 1 if it keeps two sets. Of its clusters,
            or of the classes that they are named as: `uses_names` in the protocol says which.
        other_views: scores of clusters with the centroids of the other views.
        fresh: one per repetition of k-means on unaugmented training images.
        intervals: bootstrap intervals of `scores`.
        probes: by kind, `linear` and `knn`: classifiers on the frozen features, which use labels.
        notes: what a reader of the scores must know about masks and names.
        unreadable: a line for each image that could not be read.
    """

    scores: Scores
    other_views: tuple[Scores, ...] = ()
    fresh: tuple[Scores, ...] = ()
    intervals: Intervals | None = None
    probes: dict[str, Scores] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    def __repr__(self) -> str:
        more = [f"{what} {number}" for what, number in self._further()]
        return f"<Evaluation: {'; '.join([repr(self.scores)[1:-1], *more])}>"

    def _repr_html_(self) -> str:
        further = self._further()
        return notebook.card(
            "Evaluation",
            self.scores._repr_html_(),
            notebook.table(further, ("also", "accuracy %, mIoU %")) if further else "",
            *(notebook.paragraph(f"note: {note}") for note in self.notes),
            notebook.paragraph(f"{len(self.unreadable)} unreadable" * bool(self.unreadable)),
        )

    def _further(self) -> list[tuple[str, str]]:
        """What other scores are of, and their accuracy and mIoU."""
        rows = [(f"view {view}", _both(one)) for view, one in enumerate(self.other_views, 2)]
        if self.intervals is not None:
            accuracy, miou = self.intervals.accuracy, self.intervals.miou
            ends = [f"{low:.1f} to {high:.1f}" for low, high in (accuracy, miou)]
            rows.append(("95 % interval", ", ".join(ends)))
        if self.fresh:
            spreads = [self.spread("accuracy"), self.spread("miou")]
            text = ", ".join(f"{one['mean']:.1f} +- {one['sd']:.1f}" for one in spreads)
            rows.append((f"{len(self.fresh)} times fresh clusters", text))
        return rows + [
            (f"{kind} probe (uses labels)", _both(one)) for kind, one in self.probes.items()
        ]

    def to_json(self) -> dict[str, Any]:
        """The keys of `Scores.to_json`, and one for each other non-empty attribute."""
        values = self.scores.to_json()
        if self.intervals is not None:
            values["bootstrap"] = self.intervals.to_json()
        if self.other_views:
            values["other_views"] = [scores.to_json() for scores in self.other_views]
        if self.fresh:
            values["fresh"] = {
                **{name: self.spread(name) for name in ("accuracy", "miou")},
                "runs": [scores.to_json() for scores in self.fresh],
            }
        if self.probes:
            values["probes"] = {
                kind: {"uses_labels": True} | scores.to_json()
                for kind, scores in self.probes.items()
            }
        if self.notes:
            values["notes"] = list(self.notes)
        if self.unreadable:
            values["unreadable"] = list(self.unreadable)
        return values

    def spread(self, name: Literal["accuracy", "miou"]) -> dict[str, float]:
        """Mean and sample standard deviation of the fresh scores; sd 0 for a single one."""
        values = np.array([getattr(scores, name) for scores in self.fresh])
        sd = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        return {"mean": float(values.mean()), "sd": sd}


def evaluate(
    model: Segmenter | str | Path,
    data: str | Path,
    *,
    split: str = "",
    dataset: str = "",
    size: int | None = None,
    crop: Crop = "center",
    match: Matching = "hungarian",
    fresh_clusters: int = 0,
    groups: Groups | None = None,
    bootstrap: int = 0,
    bootstrap_rematch: bool = False,
    probe: Probe | None = None,
    probe_split: str = "",
    neighbours: int = 20,
    seed: int = 0,
    named: bool | None = None,
    void: Void = "auto",
    mask_map: MaskMap = (),
    mask_orientation: MaskOrientation = "auto",
    reporter: Reporter | None = None,
) -> Evaluation:
    """Score masks against labels: dataset mIoU and pixel accuracy after one global matching.

    If the model has names that are classes of the labelled folder, the classes of its masks are
    scored by name instead, without matching. Pixels of unnamed and ignored clusters, and of names
    that the folder lacks, are then errors.

    Args:
        model: a trained model, or its folder.
        data: labelled folder: `images/`, `masks/<same stem>.png` (255 = void), `classes.txt`.
        split: list file inside it, by stem, or several joined by "+", or a pattern of names, as
            `open_folder` reads it; of a known data set one of its splits, or several joined by
            "+".
        dataset: name of a known data set, such as `cocostuff27`, whose own tree and label map are
            used; "" = any labelled folder.
        size: short side in pixels at which the network sees an image; as in training if None.
        crop: `center` scores the square centre crop at that size (PiCIE's protocol); `none` scores
            whole images at their own size.
        match: `hungarian` (one-to-one) or `majority` (many-to-one); the two are not comparable.
        fresh_clusters: also fit this many sets of centroids to unaugmented training images.
        groups: class ids by group; each group, such as things and stuff, is also scored on its own.
            The groups of the data set if None.
        bootstrap: resamples of the images for 95 % intervals, 100 or more; 0 = none.
        bootstrap_rematch: match clusters again in each resample.
        probe: also train classifiers on the frozen features, WITH the labels of other images:
            `linear`, `knn` or `both`.
        probe_split: list file of the images that a probe learns from; none of them may be scored.
        neighbours: k of the k-NN probe.
        seed: of the resamples, and of the feature pixels that a probe learns from.
        named: score classes by name (True) or clusters (False). None = by name if a name of the
            model is a class of the folder, and no option asks for clusters: `match="majority"`,
            `fresh_clusters`, `bootstrap_rematch`.
        void: stored value of void pixels; None or "none" = no value. "auto" = 255, unless a single
            class is left: then 255 is probably a class, and an error says so.
        mask_map: class id, or "void", of stored values, such as {255: 1}.
        mask_orientation: whether masks of images with an EXIF orientation are drawn on the images
            as they are `shown`, or as they are `stored`; "auto" = shown, unless the sizes or clear
            borders speak against it.
        reporter: shows progress; None = silent.

    Raises:
        DataError: no labels, wrong masks, no readable image, impossible groups, a bootstrap of a
            single image, or a probe that would be scored on images it learnt from.
        ConfigError: a size that is not a multiple of 32, an unknown crop, matching, probe or data
            set, impossible options for masks, names that cannot be scored, or options that cannot
            be combined.
    """
    rule = mask_rule(void, mask_map, mask_orientation)
    model = model if isinstance(model, Segmenter) else load(model, named=named is not False)
    side = model.config.size if size is None else size
    settings = ProbeSettings(probe, probe_split, neighbours, seed) if probe else None
    _check(side, crop, match, bootstrap, seed)
    _check_pairs(bootstrap, bootstrap_rematch, settings, split, probe_split)
    reporter = reporter or Reporter(quiet=True)
    folder = open_dataset(dataset, data, split, labelled=True, reading=model.config.reading)
    reporter.tell(folder.notes)
    groups = folder.groups if groups is None else groups
    check_groups(groups, len(folder.classes))
    learnt = None
    if settings:
        reading = folder.reading
        learnt = open_dataset(dataset, data, probe_split, labelled=True, reading=reading)
        check_disjoint(learnt, folder)
    asked = _asked(match, fresh_clusters, bootstrap_rematch)
    names = _names(model, folder, named, asked, reporter)
    scoring = _Scoring(
        _plain(model, side) if names is None else _plain(model, side).named(model.class_names),
        LabelledImages(folder, side, crop, rule),
        match,
        groups,
        {"data": str(data), "dataset": dataset or "folder", "split": split or "all"},
        reporter,
        names,
    )
    counted = scoring.count_views(keep_images=bootstrap > 0)
    views = [scoring.scores(one, _origin(model, view)) for view, one in enumerate(counted)]
    fresh = [
        scoring.fresh_scores(_plain(other, side), number)
        for number, other in enumerate(_fresh(model, fresh_clusters), 1)
    ]
    intervals = (
        scoring.intervals(counted[0], bootstrap, seed, rematch=bootstrap_rematch)
        if bootstrap
        else None
    )
    probes = scoring.probe_scores(learnt, settings) if learnt and settings else {}
    others, unreadable = tuple(views[1:]), tuple(scoring.images.problems.values())
    notes = (*scoring.notes, *_lonely(views[0]))
    return Evaluation(views[0], others, tuple(fresh), intervals, probes, notes, unreadable)


def _both(scores: Scores) -> str:
    return f"{scores.accuracy:.1f}, {scores.miou:.1f}"


def _lonely(scores: Scores) -> list[str]:
    """A note if a single class has labelled pixels."""
    classes = [name for name, share in scores.share.items() if share]
    if len(classes) > 1:
        return []
    return [f"only {classes[0]!r} has labelled pixels; scores of a single class mean little"]


@dataclass(frozen=True)
class _Scoring:
    """What all scores of one evaluation share; `model` has the size of the images."""

    model: Segmenter
    images: LabelledImages
    match: Matching
    groups: Groups
    about: dict[str, str]
    reporter: Reporter
    names: NameMatch | None

    @property
    def protocol(self) -> dict[str, Any]:
        labels = self.model.network.labels
        taught = {} if labels is None else {"labels_used": str(labels)}
        return (
            self.about
            | taught
            | {
                "images": len(self.images.folder),
                "size": self.images.side,
                "crop": self.images.crop,
                "post_processing": self.model.config.post_processing,
                "unreadable": len(self.images.problems),
                "uses_names": False,
                "mask_orientation": self.images.mask_orientation,
            }
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of labels that the model has used, of names and of masks."""
        labels = self.model.network.labels
        taught = [] if labels is None else [f"this model was taught with labels: {labels}"]
        return (*taught, *(self.names.lines if self.names else ()), *self.images.notes)

    def count_views(self, *, keep_images: bool) -> list[Confusion]:
        """One matrix for each set of centroids; per-image counts for the first only.

        Names belong to the first set, so it is the only one that is counted with names.
        """
        views = len(self.model.network.centroids)
        if not views:
            self.model.network.view_centroids(0)  # raises: the network has no centroids
        counted = [
            count_pixels(
                self.model,
                self.images,
                view=view,
                keep_images=keep_images and view == 0,
                reporter=self.reporter,
            )
            for view in range(views if self.names is None else 1)
        ]
        self.reporter.enumerate(self.images.problems.values())
        return counted

    def scores(self, confusion: Confusion, centroids: str) -> Scores:
        """Of classes by name if there are names, else of clusters after matching."""
        classes, groups, pixels = self.images.folder.classes, self.groups, confusion.pixels
        about = self.protocol | {"clusters": confusion.num_clusters, "centroids": centroids}
        matrix, names = confusion.matrix, self.names
        if names is None:
            return score(
                matrix, classes, match=self.match, groups=groups, protocol=about, pixels=pixels
            )
        about |= {"clusters": self.model.network.clusters} | names.protocol(matrix)
        return score_classes(
            matrix, classes, mapping=names.mapping, groups=groups, protocol=about, pixels=pixels
        )

    def intervals(
        self, counted: Confusion, resamples: int, seed: int, *, rematch: bool
    ) -> Intervals:
        return bootstrap_intervals(
            counted.images,
            match=self.match,
            resamples=resamples,
            seed=seed,
            rematch=rematch,
            mapping=None if self.names is None else self.names.mapping,
        )

    def fresh_scores(self, model: Segmenter, number: int) -> Scores:
        counted = count_pixels(model, self.images, reporter=self.reporter)
        return self.scores(counted, f"fresh k-means on unaugmented images, repeat {number}")

    def probe_scores(self, learnt: PhotoFolder, settings: ProbeSettings) -> dict[str, Scores]:
        return run_probes(
            self.model,
            LabelledImages(learnt, self.images.side, self.images.crop, self.images.rule),
            self.images,
            settings,
            protocol=self.protocol,
            reporter=self.reporter,
        )


def _asked(match: Matching, fresh_clusters: int, rematch: bool) -> str:
    """The option that asks for clusters, or ""."""
    options = {
        "--match majority": match == "majority",
        "--fresh-clusters": fresh_clusters > 0,
        "--bootstrap-rematch": rematch,
    }
    return next((option for option, given in options.items() if given), "")


def _names(
    model: Segmenter, folder: PhotoFolder, named: bool | None, asked: str, reporter: Reporter
) -> NameMatch | None:
    """The classes by name, or None if clusters are scored.

    Raises:
        ConfigError: names are asked for and cannot be scored.
    """
    if model.class_names is None:
        if named:
            raise ConfigError(
                "--named: the model has no names; give some with picie name (--clusters also "
                "leaves names out), or score clusters"
            )
        return None
    if named is False:
        return None
    if asked:
        if named:
            raise ConfigError(f"{asked} scores clusters, not names; remove it, or remove --named")
        reporter.say(f"{asked} scores clusters, so the names of the model are not used")
        return None
    names = match_names(model, folder.classes)
    if names.fits:
        return names
    problem = f"no name of the model is a class of {folder.root} ({few(list(folder.classes))})"
    if named:
        raise ConfigError(f"--named: {problem}; correct the names, or score clusters")
    reporter.say(f"{problem}; clusters are scored")
    return None


def _check(side: int, crop: str, match: str, bootstrap: int, seed: int) -> None:
    check_size(side)
    if crop not in get_args(Crop):
        raise ConfigError(f"unknown crop {crop!r}; known: {', '.join(get_args(Crop))}")
    check_matching(match)
    if bootstrap:
        check_resamples(bootstrap)
    if seed < 0:
        raise ConfigError(f"seed {seed}: give 0 or more")


def _check_pairs(
    bootstrap: int, rematch: bool, settings: ProbeSettings | None, split: str, probe_split: str
) -> None:
    """Refuse options that cannot be combined."""
    if rematch and not bootstrap:
        raise ConfigError(
            "--bootstrap-rematch needs resamples; add --bootstrap 1000, or remove "
            "--bootstrap-rematch"
        )
    if settings:
        settings.check(split)
    elif probe_split:
        raise ConfigError(
            f"no probe learns from --probe-split {probe_split!r}; add --probe linear, knn or both, "
            "or remove --probe-split"
        )


def _origin(model: Segmenter, view: int) -> str:
    """Where the centroids of a view come from, for the protocol."""
    clean = len(model.network.centroids) == 1
    origin = "unaugmented images" if clean else f"view {view + 1} of the last epoch"
    return f"trained model, {origin}"


def _plain(model: Segmenter, size: int) -> Segmenter:
    """The model at another size, without names, in float32."""
    return Segmenter(model.network, model.config.model_copy(update={"size": size}))


def _fresh(model: Segmenter, count: int) -> Iterator[Segmenter]:
    """Copies of the model with new centroids, fitted to its own training images."""
    if not count:
        return
    config = model.config
    if not config.data:
        raise DataError(
            "--fresh-clusters needs the training images, but the model does not record them"
        )
    folder = open_dataset(config.dataset, config.data, config.split, reading=config.reading)
    photos = folder.photos
    cache = CropCache(len(photos), config.base_size, memory_mb=config.cache_mb)
    crops = BaseCrops(photos, config.base_size, cache, folder.reading)
    loader = image_loader(crops, config, model.device)
    state = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    for number in range(1, count + 1):
        try:
            fit = fit_clean_centroids(model.network, loader, len(photos), config, repeat=number)
            keep_centroids(model.network, fit)
            yield Segmenter(model.network, config)
        finally:  # batch statistics may have changed too
            model.network.restore(state)
            model.network.eval()
