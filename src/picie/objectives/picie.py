"""PiCIE's objective: within-view and cross-view clustering losses (PiCIE, section 3.3)."""

from torch import Tensor
from torch.nn import functional as F

from picie.types import Losses

__all__ = ["clustering_loss", "picie_losses"]


def clustering_loss(
    logits: Tensor, labels: Tensor, *, weight: Tensor | None = None, temperature: float = 1.0
) -> Tensor:
    """Cross-entropy of the prototype classifier: -log softmax_k(-d(z, mu_k)) at k = y.

    With d = 1 - cosine the constant cancels, so the logits are the similarities themselves. The
    weighted mean is sum(w_y loss) / sum(w_y).

    Args:
        logits: (B, K, h, w) similarities to the K centroids.
        labels: (B, h, w) int64 pseudo-labels in 0..K-1.
        weight: (K,) weight of each cluster.
        temperature: divides the logits.

    Returns:
        a scalar.
    """
    return F.cross_entropy(logits / temperature, labels, weight=weight)


def picie_losses(
    logits: dict[tuple[int, int], Tensor],
    labels: tuple[Tensor, Tensor],
    weights: tuple[Tensor, Tensor],
    *,
    temperature: float = 1.0,
) -> Losses:
    """Four cross-entropies: each view against its own labels, and against the other view's.

    within = (L(z1, y1, mu1) + L(z2, y2, mu2)) / 2, cross = (L(z1, y2, mu2) + L(z2, y1, mu1)) / 2,
    total = (within + cross) / 2. The paper adds where the code averages: a scale only.

    Args:
        logits: (v, c) -> (B, K, h, w), features of view v against centroids of view c, from 0.
        labels: (B, h, w) per view.
        weights: (K,) per view; centroids, labels and weights always come from the same view.
        temperature: divides the logits.
    """

    def loss(view: int, clusters: int) -> Tensor:
        return clustering_loss(
            logits[view, clusters],
            labels[clusters],
            weight=weights[clusters],
            temperature=temperature,
        )

    within = (loss(0, 0) + loss(1, 1)) / 2
    cross = (loss(0, 1) + loss(1, 0)) / 2
    return Losses(total=(within + cross) / 2, within=within, cross=cross)
