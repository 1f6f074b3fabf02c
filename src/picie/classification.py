"""From tensors of pictures to the similarity of every pixel to every cluster."""

from collections.abc import Sequence
from typing import Literal, Self, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.clustering.pseudo_labels import group_scores, scores
from picie.config import Config, make_config
from picie.cutting import cut_network
from picie.devices import autocast, choose_device
from picie.errors import ConfigError
from picie.models.folding import FoldedCopy
from picie.models.picie import PiCIE
from picie.postprocessing import average_scales, refine_borders

__all__ = ["PixelClassifier", "Precision"]

Precision = Literal["auto", "fp32", "bf16", "fp16"]


class PixelClassifier:
    """A network with its settings, on its device, in the precision it computes in.

    Args:
        network: features and centroids.
        config: the settings it was trained with.
        precision: of the network's arithmetic; auto is bf16 on a CUDA device that has it, else
            fp32. Logits are float32 in any case.

    Raises:
        ConfigError: an unknown device or precision.
    """

    def __init__(self, network: PiCIE, config: Config, *, precision: Precision = "fp32") -> None:
        self.config = config
        self.device = choose_device(config.device)
        self.network = network.eval().to(self.device).to(memory_format=torch.channels_last)
        if precision not in get_args(Precision):
            known = ", ".join(get_args(Precision))
            raise ConfigError(f"unknown precision {precision!r}; known: {known}")
        self._precision = precision
        self._folded = FoldedCopy(self.network)

    @property
    def clusters(self) -> int:
        """K, the number of different ids in masks."""
        return self.network.clusters

    def cut(self, clusters: int) -> Self:
        """The same model with another number of clusters, without training; weights are shared.

        Args:
            clusters: K, from 2 to the number of centroids; ids are numbered anew.

        Raises:
            ConfigError: a number that cannot be, or clusters that a learnt classifier separates.
            NotFittedError: nothing was learnt.
        """
        network = cut_network(self.network, clusters)
        config = self.config.model_copy(update={"clusters": clusters})
        return type(self)(network, config, precision=self._precision)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Pixel features, not normalised.

        Args:
            images: (B, 3, H, W) float in [0, 1].

        Returns:
            (B, D, h, w) float32 with h = H / stride, rounded up.
        """
        self.network.eval()
        lean = self._folded()
        with autocast(self.device, self._precision):
            features: Tensor = lean(images.to(self.device))
        return features.float()

    @torch.no_grad()
    def classify(self, features: Tensor, *, view: int = 0) -> Tensor:
        """Similarity of each feature to each cluster: that of its best centroid.

        Args:
            features: (B, D, h, w) as `features` gives them.
            view: which set of centroids, from 0.

        Returns:
            (B, K, h, w) float32; larger = nearer.
        """
        centroids, groups, offsets = self.network.view_centroids(view)
        rule = self.config.predict_rule
        if rule != "cosine" and self.config.unit_features:  # cosine divides by the length itself
            features = F.normalize(features, dim=1)
        found = scores(features, centroids, rule) + offsets[:, None, None]
        return group_scores(found, groups)

    @torch.no_grad()
    def logits(self, images: Tensor, *, view: int = 0) -> Tensor:
        """What masks are made from: `classify` of the `features`, then the post-processing.

        Args:
            images: (B, 3, H, W) float in [0, 1], sides multiples of 32.
            view: which set of centroids, from 0.

        Returns:
            (B, K, h, w) float32 on the grid of the features; (B, K, H / 2, W / 2) where several
            scales are averaged or borders refined, as the config says.
        """
        self.network.view_centroids(view)  # raises before the network works for nothing
        scales, iterations = self.config.predict_scales, self.config.refine

        def plain(pictures: Tensor) -> Tensor:
            return self.classify(self.features(pictures), view=view)

        if scales == (1.0,) and not iterations:
            return plain(images)
        averaged = average_scales(plain, images, scales)
        return refine_borders(averaged, images.to(averaged.device), iterations)

    def post_processed(
        self, *, scales: Sequence[float] | None = None, refine: int | None = None
    ) -> Self:
        """The same model with another post-processing; weights are shared.

        Args:
            scales: factors of the size at which pictures are seen, 0.25..4; None = as they are.
            refine: iterations of border refinement, 0 = none; None = as they are.

        Raises:
            ConfigError: values that cannot be.
        """
        changed = {"predict_scales": scales and tuple(scales), "refine": refine}
        values = {name: value for name, value in changed.items() if value is not None}
        config = make_config(**self.config.model_dump() | values)
        return type(self)(self.network, config, precision=self._precision)
