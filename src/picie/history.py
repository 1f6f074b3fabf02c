"""What happened in an epoch: sums over its steps, and their summary."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from picie.types import Losses

__all__ = ["EpochTotals", "epoch_line"]


@dataclass
class EpochTotals:
    """Sums over the steps of one epoch, kept on the training device until they are asked for.

    Attributes:
        losses: (3,) sums of total, within and cross.
        labels: (2, K) int64, pseudo-labels of each view per cluster.
        steps: optimiser steps.
        images: pictures seen.
        seconds: wall time by part.
    """

    losses: Tensor
    labels: Tensor
    steps: int = 0
    images: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, losses: Losses, labels: Tensor, images: int) -> None:
        """Count one step."""
        self.losses += torch.stack([losses.total, losses.within, losses.cross]).detach()
        self.labels += labels
        self.steps += 1
        self.images += images

    def share(self, total: Callable[[Tensor], Tensor]) -> None:
        """Make the sums those of all processes; `total` adds a tensor up over them."""
        self.losses, self.labels = total(self.losses), total(self.labels)
        self.images = int(total(torch.tensor(self.images, device=self.labels.device)))

    def note(self, seconds: float) -> str:
        """Mean loss and speed so far, for the progress bar; waits for the device."""
        loss = float(self.losses[0]) / max(self.steps, 1)
        return f"loss {loss:.3f}, {self.images / seconds:.1f} images/s"

    def summary(self) -> dict[str, Any]:
        """Means of the losses, and how the pseudo-labels spread over the clusters.

        `effective_clusters` is exp(entropy of the shares), per view.
        """
        total, within, cross = (self.losses / max(self.steps, 1)).tolist()
        shares = (self.labels / self.labels.sum(1, keepdim=True).clamp_min(1)).cpu()
        entropy = -(shares * shares.clamp_min(1e-12).log()).sum(1)
        return {
            "loss": total,
            "within": within,
            "cross": cross,
            "effective_clusters": entropy.exp().tolist(),
            "cluster_shares": [[round(share, 5) for share in view] for view in shares.tolist()],
            "images": self.images,
            "seconds": dict(self.seconds),
        }


def epoch_line(record: dict[str, Any], epochs: int) -> str:
    """The summary of an epoch in one line for people."""
    first, second = record["effective_clusters"]
    text = (
        f"epoch {record['epoch'] + 1}/{epochs}: loss {record['loss']:.4f} "
        f"(within {record['within']:.4f}, cross {record['cross']:.4f}), "
        f"k-means {record['kmeans_objective'][0]:.4f}, "
        f"effective clusters {first:.1f} and {second:.1f}, "
        f"{sum(record['seconds'].values()):.0f} s"
    )
    if "miou" in record:
        text += f", accuracy {record['accuracy']:.1f}, mIoU {record['miou']:.1f}"
    return text
