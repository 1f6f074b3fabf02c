"""The network: backbone, pyramid decoder, and the centroids that classify its pixels."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from picie.errors import NotFittedError
from picie.models.backbones import Backbone
from picie.models.fpn import FeaturePyramid

__all__ = ["PiCIE"]


class PiCIE(nn.Module):
    """Pixel features, and the centroids that classify them (PiCIE, sections 3.2 and 4).

    Args:
        backbone: name of a timm network.
        feature_size: D, channels of the feature map.
        pretrained: load the backbone's weights.
        layers: layers of the backbone to use, as in `Backbone`; empty = its default.
        weights: weight file for the backbone, instead of timm's weights.

    Attributes:
        centroids: (V, P, D) float, P centroids for each of V views (or one set from unaugmented
            images); a buffer, empty until they are learnt.
        groups: (V, P) int64, the cluster 0..K-1 of each centroid; P = K unless over-clusters were
            merged. A buffer.
        offsets: (V, P) float, added to the scores: the biases of a learnt classifier, 0 for
            centroids. A buffer.
        trees: (V, P - 1, 3) float64, the order in which centroids merge, with their distances;
            (V, 0, 3) without a tree. A buffer.
    """

    centroids: Tensor
    groups: Tensor
    offsets: Tensor
    trees: Tensor

    def __init__(
        self,
        backbone: str,
        feature_size: int,
        *,
        pretrained: bool = True,
        layers: Sequence[int] = (),
        weights: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(backbone, pretrained=pretrained, layers=layers, weights=weights)
        self.decoder = FeaturePyramid(self.backbone.channels, feature_size)
        self.register_buffer("centroids", torch.empty(0, 0, feature_size))
        self.register_buffer("groups", torch.empty(0, 0, dtype=torch.int64))
        self.register_buffer("offsets", torch.empty(0, 0))
        self.register_buffer("trees", torch.empty(0, 0, 3, dtype=torch.float64))

    @property
    def stride(self) -> int:
        """Pixels of the image per cell of the feature map."""
        return self.backbone.strides[0]

    @property
    def clusters(self) -> int:
        """K, the number of clusters in predictions; 0 before they are learnt."""
        return int(self.groups.max()) + 1 if self.groups.numel() else 0

    def forward(self, images: Tensor) -> Tensor:
        """Unnormalised features (G is applied before they are normalised).

        Args:
            images: (B, 3, H, W) float in [0, 1].

        Returns:
            (B, D, h, w) with h = H / stride and w = W / stride, rounded up.
        """
        features: Tensor = self.decoder(self.backbone(images))
        return features

    def set_centroids(
        self,
        centroids: Sequence[Tensor],
        groups: Sequence[Tensor],
        offsets: Sequence[Tensor] | None = None,
        trees: Sequence[Tensor] | None = None,
    ) -> None:
        """Store the centroids, one set per view.

        Args:
            centroids: (P, D) per view.
            groups: (P,) int64 per view, the cluster 0..K-1 of each centroid.
            offsets: (P,) per view, added to the scores; None = 0.
            trees: (P - 1, 3) per view, from `build_tree`; None = no tree.
        """
        device = self.centroids.device
        self.centroids = torch.stack([c.detach().float() for c in centroids]).to(device)
        self.groups = torch.stack(list(groups)).to(device)
        self.offsets = torch.zeros(self.groups.shape, device=device)
        if offsets is not None:
            self.offsets += torch.stack([one.detach().float() for one in offsets]).to(device)
        self.trees = torch.empty(len(centroids), 0, 3, dtype=torch.float64, device=device)
        if trees is not None:
            self.trees = torch.stack(list(trees)).to(device)

    def regrouped(self, groups: Sequence[Tensor]) -> "PiCIE":
        """The same network, with shared weights, whose centroids form other clusters.

        Args:
            groups: (P,) int64 per view, the cluster 0..K-1 of each centroid.
        """
        other = copy.copy(self)
        other._buffers = dict(self._buffers)
        other.groups = torch.stack(list(groups)).to(self.groups.device)
        return other

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Load a state strictly, except that the number of centroids may differ.

        Raises:
            RuntimeError: a tensor is missing, unknown or of another shape (torch's own error).
        """
        state = dict(state)
        if "groups" in state:  # models of 0.1.0 have neither offsets nor trees
            views, count = state["groups"].shape
            state.setdefault("offsets", torch.zeros(views, count))
            state.setdefault("trees", torch.empty(views, 0, 3, dtype=torch.float64))
        for name in (
            "centroids",
            "groups",
            "offsets",
            "trees",
        ):  # their sizes are learnt, not configured
            if name in state:
                old = getattr(self, name)
                setattr(self, name, torch.empty_like(state[name], device=old.device))
        self.load_state_dict(state)

    def view_centroids(self, view: int) -> tuple[Tensor, Tensor, Tensor]:
        """The (P, D) centroids of a view (counted from 0), their (P,) clusters and (P,) offsets.

        Raises:
            NotFittedError: the view has no centroids.
        """
        if view >= len(self.centroids):
            raise NotFittedError(
                f"the model has no centroids for view {view + 1} (it has {len(self.centroids)} "
                "sets); train it first (picie train)"
            )
        return self.centroids[view], self.groups[view], self.offsets[view]
