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
from picie.errors import ConfigError, DataError
from picie.evaluation.labelled import Crop, LabelledImages, count_pixels
from picie.evaluation.probes import Probe, ProbeSettings, check_disjoint, run_probes
from picie.inference.segmenter import Segmenter, load
from picie.metrics.bootstrap import Intervals, bootstrap_intervals, check_resamples
from picie.metrics.confusion import Confusion
from picie.metrics.groups import Groups, check_groups
from picie.metrics.matching import Matching, check_matching
from picie.metrics.scores import Scores, score
from picie.runtime.progress import Reporter

__all__ = ["Crop", "Evaluation", "Matching", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """Scores of the model's own centroids, and optional further scores.

    Attributes:
        scores: with the model's centroids; those of view 1 if it keeps two sets.
        other_views: scores with the centroids of the other views.
        fresh: one per repetition of k-means on unaugmented training images.
        intervals: bootstrap intervals of `scores`.
        probes: by kind, `linear` and `knn`: classifiers on the frozen features, which use labels.
    """

    scores: Scores
    other_views: tuple[Scores, ...] = ()
    fresh: tuple[Scores, ...] = ()
    intervals: Intervals | None = None
    probes: dict[str, Scores] = field(default_factory=dict)

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
    reporter: Reporter | None = None,
) -> Evaluation:
    """Score masks against labels: dataset mIoU and pixel accuracy after one global matching.

    Clusters are scored, whether or not they have names.

    Args:
        model: a trained model, or its folder.
        data: labelled folder: `images/`, `masks/<same stem>.png` (255 = void), `classes.txt`.
        split: list file inside it, by stem; of a known data set one of its splits, or several
            joined by "+".
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
        reporter: shows progress; None = silent.

    Raises:
        DataError: no labels, wrong masks, no readable image, impossible groups, a bootstrap of a
            single image, or a probe that would be scored on images it learnt from.
        ConfigError: a size that is not a multiple of 32, an unknown crop, matching, probe or data
            set, or options that cannot be combined.
    """
    model = model if isinstance(model, Segmenter) else load(model, named=False)
    side = model.config.size if size is None else size
    settings = ProbeSettings(probe, probe_split, neighbours, seed) if probe else None
    _check(side, crop, match, bootstrap, seed)
    _check_pairs(bootstrap, bootstrap_rematch, settings, split, probe_split)
    folder = open_dataset(dataset, data, split, labelled=True)
    groups = folder.groups if groups is None else groups
    check_groups(groups, len(folder.classes))
    learnt = open_dataset(dataset, data, probe_split, labelled=True) if settings else None
    if learnt is not None:
        check_disjoint(learnt, folder)
    scoring = _Scoring(
        _plain(model, side),
        LabelledImages(folder, side, crop),
        match,
        groups,
        {"data": str(data), "dataset": dataset or "folder", "split": split or "all"},
        reporter or Reporter(quiet=True),
    )
    counted = scoring.count_views(keep_images=bootstrap > 0)
    views = [
        scoring.scores(confusion, _origin(model, view)) for view, confusion in enumerate(counted)
    ]
    fresh = [
        scoring.fresh_scores(_plain(other, side), number)
        for number, other in enumerate(_fresh(model, fresh_clusters), 1)
    ]
    intervals = None
    if bootstrap:
        intervals = bootstrap_intervals(
            counted[0].images,
            match=match,
            resamples=bootstrap,
            seed=seed,
            rematch=bootstrap_rematch,
        )
    probes = scoring.probe_scores(learnt, settings) if learnt and settings else {}
    return Evaluation(views[0], tuple(views[1:]), tuple(fresh), intervals, probes)


@dataclass(frozen=True)
class _Scoring:
    """What all scores of one evaluation share; `model` has the size of the images."""

    model: Segmenter
    images: LabelledImages
    match: Matching
    groups: Groups
    named: dict[str, str]
    reporter: Reporter

    @property
    def protocol(self) -> dict[str, Any]:
        return self.named | {
            "images": len(self.images.folder),
            "size": self.images.side,
            "crop": self.images.crop,
            "post_processing": self.model.config.post_processing,
            "unreadable": len(self.images.problems),
        }

    def count_views(self, *, keep_images: bool) -> list[Confusion]:
        """One matrix for each set of centroids; per-image counts for the first only."""
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
            for view in range(views)
        ]
        self.reporter.enumerate(self.images.problems.values())
        return counted

    def scores(self, confusion: Confusion, centroids: str) -> Scores:
        return score(
            confusion.matrix,
            self.images.folder.classes,
            match=self.match,
            groups=self.groups,
            protocol=self.protocol | {"clusters": confusion.num_clusters, "centroids": centroids},
        )

    def fresh_scores(self, model: Segmenter, number: int) -> Scores:
        counted = count_pixels(model, self.images, reporter=self.reporter)
        return self.scores(counted, f"fresh k-means on unaugmented images, repeat {number}")

    def probe_scores(self, learnt: PhotoFolder, settings: ProbeSettings) -> dict[str, Scores]:
        return run_probes(
            self.model,
            LabelledImages(learnt, self.images.side, self.images.crop),
            self.images,
            settings,
            protocol=self.protocol,
            reporter=self.reporter,
        )


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
    photos = open_dataset(config.dataset, config.data, config.split).photos
    cache = CropCache(len(photos), config.base_size, memory_mb=config.cache_mb)
    crops = BaseCrops(photos, config.base_size, cache)
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
