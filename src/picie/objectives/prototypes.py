"""The prototype classifier and its cross-entropy, one block of pixels at a time.

Centroids are the fixed weights of a 1x1 convolution (PiCIE, section 3.2). Its logits for every
pixel, centroid and pair of views would be the largest tensors of a training step, which would spend
most of its time moving them through memory. Here scores, loss and gradient of a block of pixels are
computed while the block is in cache, and no N x K tensor is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.runtime.devices import for_each

__all__ = ["Prototypes", "Term", "prototype_loss"]

Rule = Literal["cosine", "dot", "l2"]

_CPU_VALUES = 131_072  # scores of a block: they fit into the second-level cache
_DEVICE_ROWS = 65_536  # enough work for each kernel
_TINY = 1e-12  # lower bound of the norms that vectors are divided by


@dataclass(frozen=True)
class Prototypes:
    """Centroids as a fixed classifier.

    Attributes:
        vectors: (P, D) float32, sorted by cluster; unit vectors for cosine.
        offsets: (P, 1) float32, added to the products with the vectors; None = 0.
        clusters: (P,) int64, ascending, the cluster 0..K-1 of each vector.
        weights: (K,) float32, weights of the clusters in the loss.
    """

    vectors: Tensor
    offsets: Tensor | None
    clusters: Tensor
    weights: Tensor

    @classmethod
    def of(cls, centroids: Tensor, groups: Tensor, weights: Tensor, rule: Rule) -> Prototypes:
        """Sort centroids by cluster.

        Args:
            centroids: (P, D).
            groups: (P,) int64, the cluster 0..K-1 of each centroid; every cluster occurs.
            weights: (K,) weights of the clusters in the loss.
            rule: `cosine` normalises the centroids, `dot` uses them as they are, `l2` is the
                negative squared distance (up to |f|^2, which cancels in the cross-entropy).
        """
        vectors = F.normalize(centroids, dim=1, eps=_TINY) if rule == "cosine" else centroids
        clusters, order = torch.sort(groups, stable=True)
        vectors, offsets = vectors[order].detach().float(), None
        if rule == "l2":
            vectors, offsets = 2 * vectors, -vectors.square().sum(1, keepdim=True)
        return cls(vectors, offsets, clusters, weights.float())

    @property
    def single(self) -> bool:
        """Whether every cluster has exactly one centroid."""
        return len(self.vectors) == len(self.weights)


@dataclass(frozen=True)
class Term:
    """One cross-entropy: features against a set of prototypes.

    Attributes:
        prototypes: the classifier.
        labels: (N,) int64 pseudo-labels 0..K-1.
        scale: () factor of the sum of weighted losses; 1 / (sum of the weights of the labels)
            turns it into a weighted mean.
    """

    prototypes: Prototypes
    labels: Tensor
    scale: Tensor


def prototype_loss(
    rows: Tensor, terms: Sequence[Term], temperature: float = 1.0, *, unit: bool = True
) -> Tensor:
    """Cross-entropies of pixel features: -log softmax_k(s_k / t) at k = y (PiCIE, equation 3).

    The paper uses -d with d = 1 - cosine; the constant cancels, so similarities can replace -d. The
    similarity s_k to a cluster is that to the best of its centroids.

    Args:
        rows: (N, D) floating point features, N >= 0.
        terms: T terms, each with its own labels of these N features.
        temperature: t, divides the similarities.
        unit: normalise the features to unit length first.

    Returns:
        (T,) float32, the sum over pixels of scale * weight[y] * loss. Gradients of the rows are
        computed together with the losses, so the gradient of the output must be the same for all
        terms: sum them, and put factors into `Term.scale`.
    """
    return cast(Tensor, _PrototypeLoss.apply(rows, tuple(terms), temperature, unit))


class _PrototypeLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, terms: tuple[Term, ...], temperature: float, unit: bool
    ) -> Tensor:
        gradient = torch.empty_like(rows) if ctx.needs_input_grad[0] else None
        largest = max(len(term.prototypes.vectors) for term in terms)
        blocks = _blocks(len(rows), largest, rows.device)
        losses = torch.zeros(len(blocks), len(terms), device=rows.device)

        def work(number: int) -> None:
            # both settings are per thread
            with torch.no_grad(), torch.autocast(rows.device.type, enabled=False):
                _add_block(
                    rows, blocks[number], terms, temperature, losses[number], gradient, unit=unit
                )

        for_each(work, len(blocks), rows.device)
        ctx.save_for_backward(*() if gradient is None else (gradient,))
        return losses.sum(0)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        # All terms share one stored gradient, so their output gradients are equal: use the first.
        return gradient * outputs[0][0].to(gradient.dtype), None, None, None


def _blocks(count: int, largest: int, device: torch.device) -> list[slice]:
    step = _DEVICE_ROWS
    if device.type == "cpu":
        step = max(64, _CPU_VALUES // largest)
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def _add_block(
    rows: Tensor,
    part: slice,
    terms: Sequence[Term],
    temperature: float,
    losses: Tensor,
    gradient: Tensor | None,
    *,
    unit: bool,
) -> None:
    block = rows[part].float()
    length = torch.linalg.vector_norm(block, dim=1, keepdim=True).clamp_min_(_TINY)
    if unit:
        block = block / length if rows.dtype == torch.float32 else block.div_(length)
    slope: Tensor | None = None  # gradient of the loss with respect to the block
    for number, term in enumerate(terms):
        loss, of_scores = _term(block, term, part, temperature, wanted=gradient is not None)
        losses[number] += loss
        if of_scores is not None:
            product = of_scores.T @ term.prototypes.vectors
            slope = product if slope is None else slope.add_(product)
    if gradient is None or slope is None:
        return
    if unit:  # f = x / |x|: the gradient is projected onto the complement of f
        along = (slope * block).sum(1, keepdim=True)
        slope.addcmul_(block, along, value=-1).div_(length)
    gradient[part] = slope


def _term(
    block: Tensor, term: Term, part: slice, temperature: float, *, wanted: bool
) -> tuple[Tensor, Tensor | None]:
    """Scaled loss of a block, and if `wanted` its (P, n) gradient with respect to the scores."""
    prototypes, labels = term.prototypes, term.labels[part]
    scores = torch.mm(prototypes.vectors, block.T)  # (P, n): reductions over P run along the rows
    if prototypes.offsets is not None:
        scores += prototypes.offsets
    best = scores if prototypes.single else _best(scores, prototypes)  # (K, n)
    logits = best.sub(best.amax(0)).div_(temperature)
    correct = logits.gather(0, labels[None])
    shares = logits.exp_()
    total = shares.sum(0, keepdim=True)
    weight = prototypes.weights[labels][None] * term.scale
    loss = (total.log() - correct).mul_(weight).sum()
    if not wanted:
        return loss, None
    weight /= temperature
    slope = shares.mul_(weight / total).scatter_add_(0, labels[None], -weight)
    if prototypes.single:
        return loss, slope
    winner = scores.ge_(best[prototypes.clusters])  # 1 for the best centroid of its cluster
    return loss, winner.mul_(slope[prototypes.clusters])


def _best(scores: Tensor, prototypes: Prototypes) -> Tensor:
    """(K, n) largest score in each group of rows."""
    best = scores.new_empty(len(prototypes.weights), scores.shape[1])
    groups = prototypes.clusters[:, None].expand_as(scores)
    return best.scatter_reduce_(0, groups, scores, "amax", include_self=False)
