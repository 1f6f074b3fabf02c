"""Statistics of an epoch: sums over its steps, and their summary."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from picie.clustering.validity import effective_clusters
from picie.types import Losses

__all__ = ["EpochTotals", "epoch_line"]

_TITLES = {
    "within": "within",
    "cross": "cross",
    "within_auxiliary": "auxiliary within",
    "cross_auxiliary": "auxiliary cross",
    "mutual_information": "mutual information",
    "mutual_information_auxiliary": "auxiliary",
}


@dataclass
class EpochTotals:
    """Sums over the steps of one epoch, kept on the training device until they are read.

    Attributes:
        labels: (V, K) int64, number of pseudo-labels per view and cluster.
        losses: () sums by name; `loss` is the total.
        steps: number of optimiser steps.
        images: number of images.
        seconds: wall time by part.
    """

    labels: Tensor
    losses: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0
    images: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, losses: Losses, labels: Tensor, images: int) -> None:
        """Add one step."""
        for name, value in {"loss": losses.total, **losses.parts}.items():
            before = self.losses.get(name)
            self.losses[name] = value.detach() + (0 if before is None else before)
        self.labels = self.labels + labels
        self.steps += 1
        self.images += images

    def share(self, total: Callable[[Tensor], Tensor]) -> None:
        """Replace the sums by those over all processes; `total` sums a tensor over them."""
        self.losses = {name: total(value) for name, value in self.losses.items()}
        self.labels = total(self.labels)
        self.images = int(total(torch.tensor(self.images, device=self.labels.device)))

    def note(self, seconds: float) -> str:
        """Mean loss and speed so far, for the progress bar; synchronises with the device."""
        loss = float(self.losses.get("loss", 0.0)) / max(self.steps, 1)
        return f"loss {loss:.3f}, {self.images / seconds:.1f} images/s"

    def summary(self) -> dict[str, Any]:
        """Mean losses, and the distribution of the pseudo-labels over the clusters.

        `effective_clusters` is exp(entropy of the shares), per view.
        """
        shares = (self.labels / self.labels.sum(1, keepdim=True).clamp_min(1)).cpu()
        return {
            **{name: float(value) / max(self.steps, 1) for name, value in self.losses.items()},
            "effective_clusters": [effective_clusters(view) for view in self.labels.cpu()],
            "cluster_shares": [[round(share, 5) for share in view] for view in shares.tolist()],
            "images": self.images,
            "seconds": dict(self.seconds),
        }


def epoch_line(record: dict[str, Any], epochs: int) -> str:
    """The summary of an epoch as one line of text."""
    parts = ", ".join(
        f"{_TITLES[name]} {value:.4f}" for name, value in record.items() if name in _TITLES
    )
    text = f"epoch {record['epoch'] + 1}/{epochs}: loss {record['loss']:.4f} ({parts}), "
    if record.get("kmeans_objective"):
        text += f"k-means {record['kmeans_objective'][0]:.4f}, "
    effective = " and ".join(f"{value:.1f}" for value in record["effective_clusters"])
    text += f"effective clusters {effective}, {sum(record['seconds'].values()):.0f} s"
    if "miou" in record:
        text += f", accuracy {record['accuracy']:.1f}, mIoU {record['miou']:.1f}"
    return text
