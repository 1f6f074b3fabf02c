"""Probes: small classifiers that learn the classes from frozen features, with labels.

They say how much of the classes a network's features hold, whatever its clusters make of them. The
classifier takes the place of the centroids; pictures, crop, size, enlargement and scores are those
of the evaluation. The network is never changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from picie.counting import LabelledPictures, count_pixels
from picie.data.folder import PhotoFolder
from picie.errors import ConfigError, DataError
from picie.inference.segmenter import Segmenter
from picie.metrics.probing import PENALTY, check_neighbours, fit_linear, neighbour_votes
from picie.metrics.scores import Scores, score_classes
from picie.runtime.progress import Reporter
from picie.runtime.random import Stream, numpy_generator
from picie.types import VOID

__all__ = ["Probe", "ProbeSettings", "check_disjoint", "run_probes"]

Probe = Literal["linear", "knn", "both"]

_PIXELS = 256  # labelled feature pixels of each picture that a probe learns from
_MOST = 2**19  # of all pictures together: 256 MB at D = 128
_BANK = 2**14  # of these, the ones that k-NN compares with; more would make it very slow on a CPU

Classifier = Callable[[Tensor], Tensor]
"""From (B, D, h, w) unit features to (B, L, h, w) float32, larger = likelier."""


@dataclass(frozen=True)
class ProbeSettings:
    """What is probed, and with what.

    Attributes:
        kind: `linear`, `knn` or `both`.
        split: list file of the pictures whose labels are learnt.
        neighbours: k of k-NN.
        seed: chooses the feature pixels.
    """

    kind: Probe
    split: str
    neighbours: int = 20
    seed: int = 0

    def check(self, split: str) -> None:
        """Refuse settings that cannot be, for an evaluation of `split`.

        Raises:
            ConfigError: an unknown kind, no split to learn from or the one that is scored, or no
                neighbours.
        """
        if self.kind not in get_args(Probe):
            raise ConfigError(f"unknown probe {self.kind!r}; known: {', '.join(get_args(Probe))}")
        if not self.split:
            raise ConfigError(
                "a probe learns from labels, which must not be those that are scored; name the "
                "pictures it may learn from (--probe-split train)"
            )
        if self.split == split:
            raise ConfigError(
                f"the probe would learn from split {split!r}, which is scored; give another "
                "--probe-split"
            )
        check_neighbours(self.neighbours)

    @property
    def kinds(self) -> tuple[str, ...]:
        """`linear`, `knn` or both of them."""
        return ("linear", "knn") if self.kind == "both" else (self.kind,)


def check_disjoint(learnt: PhotoFolder, scored: PhotoFolder) -> None:
    """Refuse to score a probe on pictures that it learnt from.

    Raises:
        DataError: a picture is in both, or the classes differ.
    """
    common = {photo.file for photo in learnt.photos} & {photo.file for photo in scored.photos}
    if common:
        raise DataError(
            f"{scored.root}: {len(common)} pictures are in the probe split {learnt.split!r} and "
            f"in what is scored, {scored.split or 'all pictures'} (first: {min(common)}); a probe "
            "must not be scored on labels it has seen, choose splits without common pictures"
        )


def run_probes(
    model: Segmenter,
    learnt: LabelledPictures,
    scored: LabelledPictures,
    settings: ProbeSettings,
    *,
    protocol: dict[str, Any],
    reporter: Reporter,
) -> dict[str, Scores]:
    """Scores of each kind of probe; all of them use labels, and their protocol says so.

    Args:
        model: set to the side of the pictures.
        learnt: what the classifiers learn from.
        scored: other pictures.
        settings: which probes.
        protocol: of the evaluation.
        reporter: shows how far it came.

    Raises:
        DataError: no readable picture or labelled pixel, or fewer of them than neighbours.
    """
    samples, labels = _sample(model, learnt, settings.seed, reporter)
    reporter.enumerate(learnt.problems.values())
    classes = len(scored.folder.classes)
    found = {}
    for kind in settings.kinds:
        if kind == "linear":
            classify, described = _linear(samples, labels, classes)
        else:
            classify, described = _knn(samples, labels, classes, settings)
        probed = _Probed(model, classify, classes)
        matrix = count_pixels(probed, scored, reporter=reporter).matrix
        named = {"uses_labels": True, "probe": described, "probe_split": settings.split}
        named["post_processing"] = "none"  # whatever the masks of the model go through
        found[kind] = score_classes(
            matrix, scored.folder.classes, protocol=protocol | named | {"seed": settings.seed}
        )
    return found


class _Probed(Segmenter):
    """A segmenter whose logits come from a classifier in place of centroids."""

    def __init__(self, model: Segmenter, classify: Classifier, classes: int) -> None:
        super().__init__(model.network, model.config)
        self._classify = classify
        self._classes = classes

    @property
    def clusters(self) -> int:
        return self._classes

    @torch.no_grad()
    def logits(self, images: Tensor, *, view: int = 0) -> Tensor:
        return self._classify(F.normalize(self.features(images), dim=1))


def _sample(
    model: Segmenter, pictures: LabelledPictures, seed: int, reporter: Reporter
) -> tuple[Tensor, Tensor]:
    """(N, D) float32 unit features and (N,) int64 classes of random labelled feature pixels.

    Every picture gives the same number, which does not depend on how pictures come in batches.
    """
    wanted = min(_PIXELS, max(1, _MOST // len(pictures.folder)))
    samples, labels = [], []
    for batch in pictures.batches("probe features", reporter):
        features = F.normalize(model.features(pictures.for_network(batch)), dim=1)
        for one, maps in zip(batch, features, strict=True):
            truth = _at_cells(one.truth, maps.shape[1:]).ravel()
            places = np.flatnonzero(truth != VOID)
            if len(places) > wanted:
                rng = numpy_generator(Stream.PROBE_PIXELS, seed, one.index)
                places = rng.choice(places, wanted, replace=False, shuffle=False)
            samples.append(maps.flatten(1)[:, torch.from_numpy(places).to(maps.device)].T)
            labels.append(torch.from_numpy(truth[places].astype(np.int64)).to(maps.device))
    return torch.cat(samples).contiguous(), torch.cat(labels)


def _at_cells(truth: NDArray[np.uint8], cells: tuple[int, ...]) -> NDArray[np.uint8]:
    """(h, w) labels at the centres of the feature pixels of (H, W) labels."""
    rows, columns = (
        (2 * np.arange(number) + 1) * length // (2 * number)
        for number, length in zip(cells, truth.shape, strict=True)
    )
    found: NDArray[np.uint8] = truth[rows[:, None], columns]
    return found


def _linear(samples: Tensor, labels: Tensor, classes: int) -> tuple[Classifier, str]:
    weight, bias = fit_linear(samples, labels, classes)

    def classify(features: Tensor) -> Tensor:
        return F.conv2d(features, weight[:, :, None, None], bias)

    return classify, (
        f"linear: multinomial logistic regression by L-BFGS on {len(samples)} feature pixels, "
        f"L2 penalty {PENALTY:g}, no class weights"
    )


def _knn(
    samples: Tensor, labels: Tensor, classes: int, settings: ProbeSettings
) -> tuple[Classifier, str]:
    if len(samples) > _BANK:
        rng = numpy_generator(Stream.PROBE_BANK, settings.seed)
        chosen = torch.from_numpy(rng.choice(len(samples), _BANK, replace=False, shuffle=False))
        samples, labels = samples[chosen.to(samples.device)], labels[chosen.to(labels.device)]
    vote = partial(
        neighbour_votes,
        bank=samples,
        labels=labels,
        num_classes=classes,
        neighbours=settings.neighbours,
    )

    def classify(features: Tensor) -> Tensor:
        batch, _, height, width = features.shape
        votes = vote(features.permute(0, 2, 3, 1).flatten(0, 2))
        return votes.view(batch, height, width, classes).permute(0, 3, 1, 2)

    return classify, (
        f"knn: votes of the {settings.neighbours} most similar (cosine) of {len(samples)} feature "
        "pixels, unweighted"
    )
