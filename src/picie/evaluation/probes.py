"""Probes: small classifiers that learn the classes from frozen features, with labels.

They measure how much the features of a network say about the classes, independently of its
clusters. The classifier replaces the centroids; images, crop, size, upsampling and scores are those
of the evaluation. The network is not changed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from picie.data.folder import PhotoFolder
from picie.errors import ConfigError, DataError
from picie.evaluation.labelled import LabelledImages, count_pixels
from picie.inference.segmenter import Segmenter
from picie.metrics.scores import Scores, score_classes
from picie.models.picie import PiCIE
from picie.runtime.progress import Reporter
from picie.runtime.random import Stream, numpy_generator
from picie.types import VOID

__all__ = [
    "PENALTY",
    "Probe",
    "ProbeSettings",
    "check_disjoint",
    "check_neighbours",
    "fit_linear",
    "neighbour_votes",
    "run_probes",
]

PENALTY = 1e-5
"""L2 penalty of the linear classifier: factor of half the squared weights."""

_STEPS = 500
_ROWS = 2**16  # samples per block of the linear classifier
_SCORES = 2**24  # similarities per block: 64 MB
_NEVER = -1e4  # logit of a class without samples; finite, because logits are interpolated


@torch.enable_grad()
def fit_linear(features: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Multinomial logistic regression by L-BFGS over all samples, initialised at zero.

    Minimises mean cross-entropy + PENALTY / 2 |W|^2, with unpenalised biases and unweighted
    classes. A class without samples gets a bias that never wins.

    Args:
        features: (N, D) float32 of unit length.
        labels: (N,) int64, 0..L-1.
        num_classes: L.

    Returns:
        weights (L, D) and biases (L,), without gradients.

    Raises:
        DataError: no sample.
    """
    _check_samples(features)
    present, targets = labels.unique(return_inverse=True)
    weight = features.new_zeros(len(present), features.shape[1]).requires_grad_()
    bias = features.new_zeros(len(present)).requires_grad_()
    optimiser = torch.optim.LBFGS(
        [weight, bias],
        max_iter=_STEPS,
        tolerance_grad=1e-7,
        tolerance_change=1e-10,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        total = PENALTY / 2 * weight.square().sum()
        total.backward()
        for part in _blocks(len(features), _ROWS):
            logits = features[part] @ weight.T + bias
            loss = F.cross_entropy(logits, targets[part], reduction="sum") / len(features)
            loss.backward()
            total = total.detach() + loss.detach()
        return total

    optimiser.step(closure)
    weights = features.new_zeros(num_classes, features.shape[1])
    biases = features.new_full((num_classes,), _NEVER)
    weights[present], biases[present] = weight.detach(), bias.detach()
    return weights, biases


@torch.no_grad()
def neighbour_votes(
    queries: Tensor, bank: Tensor, labels: Tensor, num_classes: int, neighbours: int
) -> Tensor:
    """Share of each class among the k most similar samples, by cosine, unweighted.

    Similarities are computed for one block of queries at a time.

    Args:
        queries: (N, D) floating point, of any length.
        bank: (M, D) samples of any length.
        labels: (M,) int64, 0..L-1.
        num_classes: L.
        neighbours: k, 1..M.

    Returns:
        (N, L) float32 in [0, 1]; rows sum to 1.

    Raises:
        ConfigError: k below 1.
        DataError: fewer samples than neighbours.
    """
    check_neighbours(neighbours)
    _check_samples(bank, neighbours)
    directions = F.normalize(bank.float(), dim=1)
    votes = torch.empty(len(queries), num_classes, device=queries.device)
    for part in _blocks(len(queries), max(1, _SCORES // len(bank))):
        similar = F.normalize(queries[part].float(), dim=1) @ directions.T
        nearest = similar.topk(neighbours, dim=1, sorted=False).indices
        counts = torch.zeros(len(nearest), num_classes, device=queries.device)
        counts.scatter_add_(1, labels[nearest], torch.ones_like(nearest, dtype=torch.float32))
        votes[part] = counts / neighbours
    return votes


def check_neighbours(neighbours: int) -> None:
    """Refuse numbers of neighbours below 1.

    Raises:
        ConfigError: below 1.
    """
    if neighbours < 1:
        raise ConfigError(f"{neighbours} neighbours cannot vote; give 1 or more")


def _blocks(size: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, size)) for start in range(0, size, step))


def _check_samples(samples: Tensor, wanted: int = 1) -> None:
    if len(samples) < wanted:
        raise DataError(
            f"the probe needs {wanted} labelled feature pixels and has {len(samples)}; give it "
            "more images, or use fewer neighbours"
        )


Probe = Literal["linear", "knn", "both"]

_PIXELS = 256  # labelled feature pixels per image that a probe learns from
_MOST = 2**19  # in all images together: 256 MB at D = 128
_BANK = 2**14  # samples that k-NN compares with; more would be very slow on a CPU

Classifier = Callable[[Tensor], Tensor]
"""From (B, D, h, w) unit features to (B, L, h, w) float32, larger = more likely."""


@dataclass(frozen=True)
class ProbeSettings:
    """Settings of the probes.

    Attributes:
        kind: `linear`, `knn` or `both`.
        split: list file of the images whose labels are learnt from.
        neighbours: k of k-NN.
        seed: of the sampled feature pixels.
    """

    kind: Probe
    split: str
    neighbours: int = 20
    seed: int = 0

    def check(self, split: str) -> None:
        """Refuse impossible settings for an evaluation on `split`.

        Raises:
            ConfigError: an unknown kind, no split to learn from, the split that is scored, or no
                neighbours.
        """
        if self.kind not in get_args(Probe):
            raise ConfigError(f"unknown probe {self.kind!r}; known: {', '.join(get_args(Probe))}")
        if not self.split:
            raise ConfigError(
                "a probe learns from labels other than those it is scored on; name the images "
                "to learn from (--probe-split train)"
            )
        if self.split == split:
            raise ConfigError(
                f"the probe would learn from split {split!r}, which is scored; give another "
                "--probe-split"
            )
        check_neighbours(self.neighbours)

    @property
    def kinds(self) -> tuple[str, ...]:
        """`linear`, `knn` or both."""
        return ("linear", "knn") if self.kind == "both" else (self.kind,)


def check_disjoint(learnt: PhotoFolder, scored: PhotoFolder) -> None:
    """Refuse to score a probe on images that it learnt from.

    Raises:
        DataError: an image is in both, or the classes differ.
    """
    common = {photo.file for photo in learnt.photos} & {photo.file for photo in scored.photos}
    if common:
        raise DataError(
            f"{scored.root}: {len(common)} images are both in the probe split {learnt.split!r} and "
            f"in the scored split {scored.split or '(all images)'} (first: {min(common)}); a "
            "probe must not be scored on labels it learnt from, so choose disjoint splits"
        )


def run_probes(
    model: Segmenter,
    learnt: LabelledImages,
    scored: LabelledImages,
    settings: ProbeSettings,
    *,
    protocol: dict[str, Any],
    reporter: Reporter,
) -> dict[str, Scores]:
    """Scores of each probe; all of them use labels, and their protocol says so.

    Args:
        model: with the size of the images.
        learnt: images that the classifiers learn from.
        scored: images to score, disjoint from `learnt`.
        settings: of the probes.
        protocol: of the evaluation.
        reporter: shows progress.

    Raises:
        DataError: no readable image or labelled pixel, or fewer of them than neighbours.
    """
    samples, labels = _sample(model, learnt, settings.seed, reporter)
    reporter.enumerate(learnt.problems.values())
    classes = len(scored.folder.classes)
    scores = {}
    for kind in settings.kinds:
        if kind == "linear":
            classify, described = _linear(samples, labels, classes)
        else:
            classify, described = _knn(samples, labels, classes, settings)
        probed = _Probed(model, classify, classes)
        counted = count_pixels(probed, scored, reporter=reporter)
        named = {"uses_labels": True, "probe": described, "probe_split": settings.split}
        named["post_processing"] = "none"  # the post-processing of the model's masks does not apply
        scores[kind] = score_classes(
            counted.matrix,
            scored.folder.classes,
            protocol=protocol | named | {"seed": settings.seed},
            pixels=counted.pixels,
        )
    return scores


class _Probed(Segmenter):
    """A segmenter whose logits come from a classifier instead of centroids."""

    def __init__(self, model: Segmenter, classify: Classifier, classes: int) -> None:
        self._classify = classify
        self._classes = classes
        super().__init__(model.network, model.config)

    @property
    def clusters(self) -> int:
        return self._classes

    @torch.no_grad()
    def _logits(self, images: Tensor, view: int, lean: PiCIE) -> Tensor:
        return self._classify(F.normalize(self._features(images, lean), dim=1))


def _sample(
    model: Segmenter, images: LabelledImages, seed: int, reporter: Reporter
) -> tuple[Tensor, Tensor]:
    """(N, D) float32 unit features and (N,) int64 classes of random labelled feature pixels.

    Every image contributes up to the same number; the sample does not depend on batches.
    """
    wanted = min(_PIXELS, max(1, _MOST // len(images.folder)))
    samples, labels = [], []
    for batch in images.batches("probe features", reporter):
        features = F.normalize(model.features(images.for_network(batch)), dim=1)
        for image, maps in zip(batch, features, strict=True):
            truth = _at_cells(image.truth, maps.shape[1:]).ravel()
            places = np.flatnonzero(truth != VOID)
            if len(places) > wanted:
                rng = numpy_generator(Stream.PROBE_PIXELS, seed, image.index)
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
    sampled: NDArray[np.uint8] = truth[rows[:, None], columns]
    return sampled


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
