"""Confidence: the probability that the class of a pixel is right, as far as a model can know it.

It is the largest softmax of the logits that make the mask. The logits of a learnt classifier are
taken as they are. Those of clusters are similarities, which need a sharpness t: softmax(t s). With
N ids, t = 3.4 (1 + ln N) for cosines: more ids leave more probability to the wrong ones, unless the
softmax is sharper. The factor 3.4 makes the confidence agree with the accuracy of named clusters on
six data sets (docs/audit.md has the errors on sets that did not choose it).
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from picie.clustering.pseudo_labels import Rule
from picie.postprocessing.upsampling import Mask, upsampled_strips

__all__ = ["CERTAIN", "Confidence", "confidence_map", "limited", "mean_confidence", "sharpness"]

Confidence = NDArray[np.uint8]
"""(H, W) confidence of each pixel in 255ths."""

CERTAIN = 255
"""The largest confidence: probability 1."""

_FACTOR = 3.4


def sharpness(rule: Rule, ids: int, *, learnt: bool) -> float:
    """The factor of logits before their softmax.

    Args:
        rule: how features and centroids are compared.
        ids: N, the number of ids that have centroids.
        learnt: whether the logits come from a learnt classifier.
    """
    if learnt:
        return 1.0
    cosines = _FACTOR * (1 + math.log(ids))
    return cosines / 2 if rule == "l2" else cosines  # of unit vectors, -|f - c|^2 is 2 f.c - 2


@torch.no_grad()
def confidence_map(logits: Tensor, size: tuple[int, ...], factor: float) -> Confidence:
    """Confidence of each pixel of a mask.

    Args:
        logits: (K, h, w), from which `upsample` makes the mask.
        size: (H, W) of the mask.
        factor: of the logits, from `sharpness`.
    """
    confidence = np.empty(size, np.uint8)
    top = 0
    for strip in upsampled_strips(logits, size):
        # The largest of softmax(x) is 1 / sum(exp(x - max x)).
        total = strip.sub_(strip.amax(0)).mul_(factor).exp_().sum(0)
        rows = slice(top, top + len(total))
        confidence[rows] = total.reciprocal_().mul_(CERTAIN).round_().byte().cpu().numpy()
        top += len(total)
    return confidence


def limited(confidence: Confidence, before: Mask, after: Mask) -> Confidence:
    """Confidence after some pixels were given to other classes.

    What is left of the probability of the first class is the most that another one can have.

    Args:
        confidence: (H, W) of the mask `before`.
        before: (H, W) ids.
        after: (H, W) ids of which some have changed.
    """
    rest = np.minimum(confidence, CERTAIN - confidence)
    changed: Confidence = np.where(before == after, confidence, rest)
    return changed


@torch.no_grad()
def mean_confidence(logits: Tensor, factor: float, ids: int) -> float:
    """Mean confidence, 0..1, of the cells of the grid that are not ignored; 0 if all of them are.

    Args:
        logits: (K, h, w), as for `confidence_map`.
        factor: of the logits, from `sharpness`.
        ids: N; a channel beyond them is ignored.
    """
    top, winner = logits.max(0)
    total = logits.sub(top).mul_(factor).exp_().sum(0)
    shown = total.reciprocal_()[winner < ids]
    return float(shown.mean()) if len(shown) else 0.0
