"""The network: backbone, pyramid decoder, and the centroids that classify its pixels."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from picie.models.backbones import Backbone
from picie.models.centroids import (
    LEARNT,
    CentroidSet,
    centroid_set,
    check_groups,
    check_shapes,
    check_tree,
    check_view,
)
from picie.models.fpn import FeaturePyramid
from picie.models.timm_features import Check
from picie.types import LabelsUsed

__all__ = ["PiCIE"]


class PiCIE(nn.Module):
    """Pixel features, and the centroids that classify them (PiCIE, sections 3.2 and 4).

    Args:
        backbone: name of a timm network.
        feature_size: D, channels of the feature map.
        pretrained: load the backbone's weights.
        layers: layers of the backbone to use, as in `Backbone`; empty = its default.
        weights: weight file for the backbone, instead of timm's weights.
        check: is called with the backbone's tensors before they take memory; as in `Backbone`.

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
    labels: LabelsUsed | None = None
    """What it was taught by a person; None = it has learnt without labels."""

    def __init__(
        self,
        backbone: str,
        feature_size: int,
        *,
        pretrained: bool = True,
        layers: Sequence[int] = (),
        weights: str | Path | None = None,
        check: Check | None = None,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(
            backbone, pretrained=pretrained, layers=layers, weights=weights, check=check
        )
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

    def taught(
        self,
        rows: Tensor,
        groups: Tensor,
        offsets: Tensor,
        tree: Tensor,
        labels: LabelsUsed,
    ) -> "PiCIE":
        """The same network, with shared weights, with other rows in place of its centroids.

        Args:
            rows: (P, D), one view.
            groups: (P,) int64.
            offsets: (P,), added to the scores.
            tree: (P - 1, 3), or (0, 3) without one.
            labels: what they were learnt from.
        """
        other = copy.copy(self)
        other._buffers = dict(self._buffers)
        other.set_centroids([rows], [groups], [offsets], [tree])
        other.labels = labels
        return other

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Load a state strictly, except that the number of centroids may differ.

        Raises:
            RuntimeError: a tensor is missing, unknown or of another shape (torch's own error), or
                holds values that no training can give.
        """
        state = dict(state)
        shapes = {name: tuple(state[name].shape) for name in LEARNT if name in state}
        check_shapes(shapes, self.centroids.shape[-1])
        if "groups" in state:  # models of 0.1.0 have neither offsets nor trees
            views, count = shapes["groups"]
            state.setdefault("offsets", torch.zeros(views, count))
            state.setdefault("trees", torch.empty(views, 0, 3, dtype=torch.float64))
        _check_values(state, {name for name, _ in self.named_parameters()})
        for name, kind in LEARNT.items():  # their sizes are learnt, not configured
            if name in state:
                device = getattr(self, name).device
                like = torch.empty_like(state[name], dtype=getattr(torch, kind), device=device)
                setattr(self, name, like)
        self.load_state_dict(state)

    def view_centroids(self, view: int) -> tuple[Tensor, Tensor, Tensor]:
        """The (P, D) centroids of a view (counted from 0), their (P,) clusters and (P,) offsets.

        Raises:
            NotFittedError: the view has no centroids.
        """
        check_view(view, len(self.centroids))
        return self.centroids[view], self.groups[view], self.offsets[view]

    def centroid_set(self, view: int = 0) -> CentroidSet:
        """The same as arrays, with the tree.

        Raises:
            NotFittedError: the view has no centroids.
        """
        buffers = {name: getattr(self, name).detach().cpu().numpy() for name in LEARNT}
        return centroid_set(buffers, view)


def _check_values(state: Mapping[str, Tensor], parameters: set[str]) -> None:
    """Raise RuntimeError for values that would give masks without meaning, or fail later."""
    for name, values in state.items():
        checked = name in parameters or name in LEARNT or ".running_" in name
        if checked and values.is_floating_point() and not bool(values.isfinite().all()):
            raise RuntimeError(f"{name} holds values that are not finite")
        if name.endswith("running_var") and bool((values < 0).any()):
            raise RuntimeError(f"{name} holds variances below 0")
    if "groups" not in state:
        return  # load_state_dict says that it is missing
    check_groups(state["groups"].cpu().numpy())
    for tree in state.get("trees", ()):
        check_tree(tree.cpu().numpy())
